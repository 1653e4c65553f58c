"""What the search costs: the slice that it finds against that of the masks, and ways to put several slices together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from triplenet.benchmark.execution import Benchmark
from triplenet.evaluation.comparisons import Comparison, compare
from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.method_tables import interval_cell, title_of
from triplenet.evaluation.predictions import OutOfFoldPredictions, RunPredictions, join
from triplenet.evaluation.statistics import statistics_of
from triplenet.evaluation.tables import Cell, Column, Row, Table
from triplenet.inference.aggregation import AGGREGATES, Aggregate
from triplenet.inference.searched_cohort import THRESHOLDS, SearchedRun, SearchedSlice, answered, refusals
from triplenet.training.job import Job

SEARCHED, TOGETHER = "searched_slices", "slices_together"


@dataclass(frozen=True)
class _Method:
    """A method's runs on searched slices."""

    name: str
    runs: Mapping[Job, SearchedRun]
    rules: Mapping[Job, Aggregate]
    """The best on each run's own validation patients"""

    def slices(self) -> list[SearchedSlice]:
        """Its test patients."""
        return [one for run in self.runs.values() for one in answered(run, "test")]


def searched_tables(found: Benchmark, searched: Mapping[Job, SearchedRun], positive: int | None) -> tuple[Table, ...]:
    """Both tables; none where no scan could be searched.

    :param searched: of ``search_cohort``
    :param positive: the target of a binary task
    """
    methods = []
    for name in found.plan.order:
        runs = {job: run for job, run in searched.items() if job.method == name}
        if any(True for run in runs.values() for _ in answered(run, "test")):
            rules = {job: _best_rule(found, job, run, positive) for job, run in runs.items()}
            methods.append(_Method(name, runs, rules))
    if not methods:
        return ()
    return _searched(found, methods, positive), _together(found, methods, positive)


def _searched(found: Benchmark, methods: Sequence[_Method], positive: int | None) -> Table:
    auc, away = "AUC", "where the masks show infection"
    columns = (
        Column("mask", "mask's slice", group=auc, better=None),
        Column("searched", "searched slice", group=auc, better=None),
        Column("difference", "difference", group=auc, better=None),
        Column("p", "p", unit="", scale=1, digits=3, group=auc, better=None),
        Column("by", "searched by", unit="", group="the search", better=None),
        Column("evaluations", "slices looked at", unit="", scale=1, digits=1, group="the search", better=None),
        Column("patients", "patients", unit="", scale=1, digits=0, group=away, better=None),
        Column("away", "median |dz|", unit="mm", scale=1, digits=1, group=away, better=None),
        Column("far", "90th percentile", unit="mm", scale=1, digits=1, group=away, better=None),
        Column("ratio", "area of the largest", digits=1, group=away, better=None),
        Column("shown", "shows infection", digits=1, group=away, better=None),
    )
    rows = []
    for method in methods:
        one = _best_alone(found, method, positive)
        slices = method.slices()
        ill = [slice_ for slice_ in slices if slice_.lesion]
        away_mm = np.array([slice_.away_mm for slice_ in ill], dtype=np.float64)
        searchers = {run.by for run in method.runs.values()}
        cells = {
            "mask": interval_cell(one.mask),
            "searched": interval_cell(one.searched),
            "difference": interval_cell(one.difference),
            "p": Cell(one.p),
            "by": Cell(text=", ".join(sorted(map(_searcher, searchers)))),
            "evaluations": Cell(float(np.mean([slice_.evaluations for slice_ in slices])))
            if searchers != {THRESHOLDS}
            else Cell(),
            "patients": Cell(float(len(ill))),
        }
        if ill:
            cells |= {
                "away": Cell(float(np.median(away_mm))),
                "far": Cell(float(np.percentile(away_mm, 90))),
                "ratio": Cell(float(np.mean([slice_.area_ratio or 0.0 for slice_ in ill]))),
                "shown": Cell(float(np.mean([bool(slice_.shows_lesion) for slice_ in ill]))),
            }
        rows.append(Row(method.name, title_of(method.name), cells))
    notes = [
        "Test patients with a volume, classified on the slice of the masks and on the one that a search of the scan "
        "finds without them; 95 % intervals, the difference tested by DeLong's paired test (several classes: the "
        "bootstrap), not corrected for the number of methods.",
        "|dz|: from the slice found to that of the largest infection in the masks; area: infection in the slice found "
        "against the largest. Slices looked at: by the network that searched; thresholds read all of them.",
    ]
    codes = refusals([run for method in methods for run in method.runs.values()])
    if codes:
        left = ", ".join(f"{count} {code}" for code, count in codes.items())
        notes.append(f"Patients left out: {left}.")
    return Table(SEARCHED, "The searched slice against the mask's", "method", columns, tuple(rows), tuple(notes))


def _together(found: Benchmark, methods: Sequence[_Method], positive: int | None) -> Table:
    group = "AUC on searched slices, test patients"
    columns = (
        *(Column(rule, rule, group=group) for rule in AGGREGATES),
        Column("chosen", "chosen on validation", group=group, better=None),
        Column("rules", "which", unit="", group="", better=None),
    )
    rows = []
    for method in methods:
        cells: dict[str, Cell] = {
            rule: interval_cell(_auc(_predictions(found, method, lambda _job, rule=rule: rule), positive))  # type: ignore[misc]
            for rule in AGGREGATES
        }
        cells["chosen"] = interval_cell(_auc(_predictions(found, method, method.rules.__getitem__), positive))
        names = list(method.rules.values())
        cells["rules"] = Cell(text=", ".join(f"{rule} {names.count(rule)}" for rule in AGGREGATES if rule in names))
        rows.append(Row(method.name, title_of(method.name), cells))
    notes = (
        "best: the slice found; the others put the best slices together: their mean, noisy-or (one diseased slice is "
        "enough), and the mean weighted by their infection.",
        "Chosen on validation: for each run the rule with the highest AUC on its own validation patients, the first of "
        "equals; how many runs chose which.",
    )
    return Table(TOGETHER, "Several slices together", "method", columns, tuple(rows), notes)


@dataclass(frozen=True)
class _Alone:
    """The searched slice by itself against the mask's."""

    mask: Estimate
    searched: Estimate
    difference: Estimate
    p: float


def _best_alone(found: Benchmark, method: _Method, positive: int | None) -> _Alone:
    both = {
        "searched": _predictions(found, method, lambda _job: "best"),
        "mask": _predictions(found, method, None),
    }
    rows: Sequence[Comparison] = compare(both, "mask", positive=positive, metrics=("auc",))
    change = rows[0].difference
    return _Alone(
        _auc(both["mask"], positive),
        _auc(both["searched"], positive),
        Estimate(change.value, change.low, change.high),
        change.p,
    )


def _auc(predictions: OutOfFoldPredictions, positive: int | None) -> Estimate:
    return estimates(predictions, positive=positive).get("auc", Estimate(np.nan, np.nan, np.nan))


def _predictions(found: Benchmark, method: _Method, rule_of: Callable[[Job], Aggregate] | None) -> OutOfFoldPredictions:
    """A method's test patients that were searched: by a rule, or, without one, on the slices of the masks."""
    groups = {patient.patient: patient.group for patient in found.plan.prepared.patients}
    runs = list(_of_runs(found, method, rule_of))
    known = groups if any(groups.values()) else None
    return join({method.name: runs}, known)[method.name]


def _of_runs(found: Benchmark, method: _Method, rule_of: Callable[[Job], Aggregate] | None) -> Iterator[RunPredictions]:
    for job, run in method.runs.items():
        own = found.runs[job].predictions().of("test")
        row_of = {patient: row for row, patient in enumerate(own.patients)}
        slices = [one for one in answered(run, "test") if one.patient in row_of]
        rows = [row_of[one.patient] for one in slices]
        if rows:
            said = own.probabilities[rows]
            if rule_of is not None:
                said = np.array([one.probabilities[rule_of(job)] for one in slices])
            patients = tuple(one.patient for one in slices)
            yield RunPredictions(job.fold, job.seed, patients, own.labels[rows], said)


def _best_rule(found: Benchmark, job: Job, run: SearchedRun, positive: int | None) -> Aggregate:
    """The rule with the highest AUC on the run's validation patients; the first of equals, and where there is none."""
    own = found.runs[job].predictions().of("validation")
    label_of = dict(zip(own.patients, own.labels.tolist(), strict=True))
    slices = [one for one in answered(run, "validation") if label_of.get(one.patient, -1) >= 0]
    if not slices:
        return AGGREGATES[0]
    labels = np.array([label_of[one.patient] for one in slices])

    def auc(rule: Aggregate) -> float:
        said = np.array([one.probabilities[rule] for one in slices])
        value = float(statistics_of(labels, said.argmax(1), said, positive)(np.ones((1, len(labels))))["auc"][0])
        return -1.0 if np.isnan(value) else value

    return max(AGGREGATES, key=auc)


def _searcher(by: str) -> str:
    return by if by == THRESHOLDS else title_of(by)
