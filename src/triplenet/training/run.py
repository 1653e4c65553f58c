"""A run: the folder that one training leaves, and reading it. Loads without torch.

``run.json``           what was trained on what, with what, how long
``history.csv``        one line an epoch
``model.safetensors``  the kept weights, see ``triplenet.model``
``predictions.csv``    what the kept weights say of the validation and test patients
``state/``             to go on from, while the training is not finished
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from triplenet import catalog
from triplenet.errors import BadRun, PathMissing
from triplenet.files import held_folder, write_csv, write_json
from triplenet.model import Hash, TaskCard
from triplenet.training.recipe import Recipe

INFO, HISTORY, MODEL, PREDICTIONS, STATE = (
    "run.json",
    "history.csv",
    "model.safetensors",
    "predictions.csv",
    "state",
)
PROBABILITY = "p_"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Hardware(_Record):
    """What computed a run."""

    device: str
    """``cpu`` or ``cuda``"""
    name: str
    threads: int
    """of each process"""
    processes: int = 1
    precision: str = "fp32"
    """of the network's passes"""
    deterministic: bool = False
    """Whether only algorithms were used that give the same bits each time; always so on a processor."""
    system: str


class EncoderFile(_Record):
    """Where the encoder's first weights came from."""

    name: str
    sha256: Hash


class RunInfo(_Record):
    """``run.json``."""

    format: Literal["triplenet run"] = "triplenet run"
    version: Literal[1] = 1
    status: Literal["running", "complete"] = "running"
    method: str
    task: TaskCard
    classes: tuple[str, ...]
    fold: int
    fold_sha256: Hash
    prepared: str
    """The prepared set's folder as seen from the run's; only its name where they have nothing in common."""
    data_sha256: Hash
    leakage: int = 0
    """Pairs of patients with near-duplicate images on two sides of a fold, which the user allowed."""
    recipe: dict[str, JsonValue]
    encoder: EncoderFile | None
    """None: random weights"""
    patients: dict[str, dict[str, int]]
    """partition -> class -> patients; those without a finding under the empty name"""
    parameters: int
    versions: dict[str, str]
    hardware: Hardware
    started: datetime
    """UTC"""
    resumed: int = 0
    """How often."""
    finished: datetime | None = None
    seconds: float | None = None
    """Of all epochs together."""
    epochs: int = 0
    best_epoch: int | None = None
    """The kept weights' epoch, counted from 0."""
    validation: dict[str, float | None] = {}
    """Of the kept weights."""
    files: dict[str, Hash] = {}

    def identity(self) -> dict[str, JsonValue]:
        """What must be the same for a run to be gone on with."""
        return {
            "method": self.method,
            "task": self.task.name,
            "classes": list(self.classes),
            "findings": dict(self.task.findings),
            "fold": self.fold,
            "fold_sha256": self.fold_sha256,
            "data_sha256": self.data_sha256,
            "recipe": Recipe.of_dump(self.recipe).shown(),  # as this version writes it
            "device": self.hardware.device,
        }


@dataclass(frozen=True)
class Predictions:
    """``predictions.csv``, or a part of it."""

    patients: tuple[str, ...]
    partitions: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    """(N,)"""
    probabilities: npt.NDArray[np.float64]
    """(N, C)"""

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(N,) the most probable class; the first one on a tie."""
        predicted: npt.NDArray[np.int64] = self.probabilities.argmax(1)
        return predicted

    def of(self, partition: str) -> Predictions:
        """One partition's."""
        rows = [row for row, name in enumerate(self.partitions) if name == partition]
        return Predictions(
            tuple(self.patients[row] for row in rows),
            tuple(self.partitions[row] for row in rows),
            self.labels[rows],
            self.probabilities[rows],
        )


@dataclass(frozen=True)
class Run:
    """A run's folder, opened."""

    folder: Path
    info: RunInfo

    @property
    def complete(self) -> bool:
        """Whether the training is finished."""
        return self.info.status == "complete"

    @property
    def recipe(self) -> Recipe:
        """What decided the training."""
        return Recipe.of_dump(self.info.recipe)

    @property
    def task(self) -> catalog.Task:
        """Findings and classes."""
        return self.info.task.task(self.info.classes)

    @property
    def positive(self) -> tuple[int, ...]:
        """Indices of the classes that count as disease."""
        return tuple(self.info.classes.index(name) for name in self.info.task.positive)

    @property
    def model(self) -> Path:
        """The model file; there once the run is complete."""
        return self.folder / MODEL

    def history(self) -> list[dict[str, float | None]]:
        """The lines of ``history.csv`` by column; ``best`` is 1 or 0, None where a value is not defined.

        :raises BadRun: missing or damaged
        """
        try:
            return [{name: _number(text) for name, text in row.items()} for row in _read_csv(self.folder / HISTORY)]
        except ValueError as error:
            raise BadRun("damaged", where=self.folder / HISTORY) from error

    def predictions(self) -> Predictions:
        """What the kept weights say.

        :raises BadRun: the training is not finished, or the file is damaged
        """
        path = self.folder / PREDICTIONS
        if not self.complete:
            raise BadRun("the training is not finished", where=self.folder, do="go on with triplenet train --resume")
        rows = _read_csv(path)
        classes = self.info.classes
        try:
            found = Predictions(
                tuple(row["patient"] for row in rows),
                tuple(row["partition"] for row in rows),
                np.array([classes.index(row["label"]) for row in rows], dtype=np.int64),
                np.array([[float(row[PROBABILITY + name]) for name in classes] for row in rows], dtype=np.float64),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise BadRun("damaged", where=path) from error
        probabilities = found.probabilities
        if not (np.isfinite(probabilities).all() and (probabilities >= 0).all() and (probabilities <= 1).all()):
            raise BadRun("damaged: probabilities that are not 0 to 1", where=path)
        return found


def open_run(path: Path | str) -> Run:
    """Open a run's folder, finished or not.

    :raises PathMissing: there is no such folder
    :raises BadRun: not a run, or of another version
    """
    folder = Path(path)
    if not folder.is_dir():
        raise PathMissing("no such run", where=folder)
    try:
        return Run(folder, RunInfo.model_validate_json((folder / INFO).read_bytes()))
    except OSError as error:
        raise BadRun("not a run: no run.json", where=folder) from error
    except ValidationError as error:
        raise BadRun("run.json is damaged or of another version", where=folder) from error


def write_info(folder: Path, info: RunInfo) -> None:
    """Write ``run.json``."""
    write_json(folder / INFO, info.model_dump(mode="json"))


def write_history(folder: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write ``history.csv`` anew: numbers so that they read back as they are, nothing for None."""
    write_csv(folder / HISTORY, [{name: _text(value) for name, value in row.items()} for row in rows])


def write_predictions(folder: Path, predictions: Predictions, classes: Sequence[str]) -> None:
    """Write ``predictions.csv``."""
    write_csv(
        folder / PREDICTIONS,
        [
            {
                "patient": patient,
                "partition": partition,
                "label": classes[label],
                "predicted": classes[predicted],
                # Nine digits give a float32 back as it was.
                **{PROBABILITY + name: f"{p:.9g}" for name, p in zip(classes, row, strict=True)},
            }
            for patient, partition, label, predicted, row in zip(
                predictions.patients,
                predictions.partitions,
                predictions.labels,
                predictions.predicted,
                predictions.probabilities,
                strict=True,
            )
        ],
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no other process trains in it at the same time.

    :raises BadRun: another one does
    """
    with ExitStack() as holding:
        try:
            holding.enter_context(held_folder(folder))
        except BlockingIOError as error:
            raise BadRun("another process is training in this folder", where=folder) from error
        yield


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else repr(value)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadRun("missing or damaged", where=path) from error
