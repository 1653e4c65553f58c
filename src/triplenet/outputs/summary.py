"""What is told of each scan of a batch: a line of ``results.csv``. Nothing in it tells whose scan it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from triplenet.files import write_csv
from triplenet.inference.result import BoundedInfo, Record, Refusal
from triplenet.prepare.notes import SEPARATOR

TABLE = "results.csv"
DIGITS = 6
"""After the point in the table: more would differ between numbers of threads"""
COLUMNS = (
    "number", "folder", "status", "code", "reason", "predicted", "positive_probability", "slice", "slices", "rule",
    "search_evaluations", "aggregate", "positive_low", "positive_high", "positive_sd", "measured_by", "infected_ml",
    "infected_ml_low", "infected_ml_high", "infected_share", "infected_share_low", "infected_share_high", "warnings",
    "model_tensors_sha256",
)  # fmt: skip
"""The classes' probabilities, ``p_NAME``, stand after ``predicted``."""
PROBABILITY = "p_"


class Summary(BaseModel):
    """One scan in short: what was found, or why it was refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    code: str | None = None
    """Of a refusal; None for a result"""
    reason: str | None = None
    predicted: str | None = None
    probabilities: dict[str, float] = {}
    """by class, in the model's order"""
    positive_probability: float | None = None
    slice: int | None = None
    """from the feet, from 0"""
    slices: int | None = None
    rule: str | None = None
    search_evaluations: int | None = None
    aggregate: str | None = None
    positive_range: tuple[float, float] | None = None
    positive_sd: float | None = None
    measured_by: str | None = None
    infected_ml: BoundedInfo | None = None
    infected_share: BoundedInfo | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """not in the table: of the scan, and which of several series was taken"""
    model_tensors_sha256: str | None = None

    @property
    def refused(self) -> bool:
        """Whether there is no result."""
        return self.code is not None

    @classmethod
    def of_record(cls, record: Record) -> Summary:
        """Of a result."""
        decision, measures, choice = record.decision, record.measures, record.scan.choice
        series = (f"one of several series was taken ({choice})",) if choice.startswith("chosen of") else ()
        return cls(
            predicted=record.predicted,
            probabilities={one.name: one.probability for one in record.classes},
            positive_probability=record.positive_probability,
            slice=record.slice.from_feet,
            slices=record.slice.of,
            rule=record.slice.rule,
            search_evaluations=None if record.search is None else record.search.evaluations,
            aggregate=None if decision is None else decision.aggregate,
            positive_range=None if decision is None else decision.positive_range,
            positive_sd=None if decision is None else decision.positive_sd,
            measured_by=None if measures is None else measures.by,
            infected_ml=None if measures is None else measures.both.infection_ml,
            infected_share=None if measures is None else measures.both.infected_share,
            warnings=record.warnings,
            notes=(*series, *record.scan.notes),
            model_tensors_sha256=record.model.tensors_sha256,
        )

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Summary:
        """Of a scan that was refused."""
        reason = refusal.what if refusal.do is None else f"{refusal.what}; {refusal.do}"
        return cls(code=refusal.code, reason=" ".join(reason.split()))

    def row(self) -> dict[str, object]:
        """The cells of the table, but for number and folder."""
        low, high = (None, None) if self.positive_range is None else self.positive_range
        cells: dict[str, object] = {
            "status": "refused" if self.refused else "done",
            "code": self.code,
            "reason": self.reason,
            "predicted": self.predicted,
            **{PROBABILITY + name: value for name, value in self.probabilities.items()},
            "positive_probability": self.positive_probability,
            "slice": self.slice,
            "slices": self.slices,
            "rule": self.rule,
            "search_evaluations": self.search_evaluations,
            "aggregate": self.aggregate,
            "positive_low": low,
            "positive_high": high,
            "positive_sd": self.positive_sd,
            "measured_by": self.measured_by,
            **_bounded("infected_ml", self.infected_ml),
            **_bounded("infected_share", self.infected_share),
            "warnings": SEPARATOR.join(text.replace(SEPARATOR, ", ").removesuffix(".") for text in self.warnings),
            "model_tensors_sha256": self.model_tensors_sha256,
        }
        return {name: _cell(value) for name, value in cells.items()}


def write_table(path: Path, rows: Sequence[Mapping[str, object]], classes: Sequence[str]) -> None:
    """Write ``results.csv`` as a whole.

    :param classes: of the model, so that the columns are there before the first result is
    :raises OutputFailed: no room, no permission
    """
    after = COLUMNS.index("predicted") + 1
    write_csv(path, rows, [*COLUMNS[:after], *(PROBABILITY + name for name in classes), *COLUMNS[after:]])


def _bounded(name: str, info: BoundedInfo | None) -> dict[str, float | None]:
    if info is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: info.estimate, f"{name}_low": info.low, f"{name}_high": info.high}


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.{DIGITS}f}"
    return "" if value is None else value
