"""What finished runs say together: predictions, intervals, comparisons, thresholds, calibration.

A single run is a benchmark of one method, one fold and one seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from triplenet.catalog import Task
from triplenet.errors import UnknownName
from triplenet.evaluation.comparisons import Comparison, compare
from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.intervals import RESAMPLES, Estimate
from triplenet.evaluation.method_calibration import Calibration, calibration_of
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.predictions import OutOfFoldPredictions, RunPredictions, join
from triplenet.evaluation.strata import Stratum, strata
from triplenet.evaluation.thresholds import RULES, Rule, Threshold
from triplenet.evaluation.validation import (
    RunKey,
    at_temperature,
    choose_thresholds,
    fit_temperatures,
    with_temperatures,
    with_thresholds,
)
from triplenet.files import jsonable
from triplenet.model.temperature import Temperature, apply_temperature
from triplenet.prepare.store import PreparedPatient
from triplenet.training.job import Job
from triplenet.training.run import Run

REFERENCE = "baseline"
COMPARED = ("accuracy", "auc", "f1", "sensitivity", "specificity")


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that tables, figures and pages show."""

    task: Task
    methods: tuple[str, ...]
    """Those that ran, or tried to"""
    seeds: tuple[int, ...]
    runs: Mapping[Job, Run]
    """The finished ones"""
    partition: str
    """Of whose patients it is"""
    positive: int | None
    """The target of a binary task"""
    reference: str
    """Whom the others are compared with"""
    predictions: Mapping[str, OutOfFoldPredictions]
    """Method -> what it says of the test patients"""
    validation: Mapping[str, tuple[RunPredictions, ...]]
    """Method -> what its runs say of their validation patients"""
    estimates: Mapping[str, Mapping[str, Estimate]]
    """Method -> metric, mean over folds; empty if all its runs failed"""
    class_estimates: Mapping[str, tuple[Mapping[str, Estimate], ...]]
    """Method -> class -> metric of that class against the rest"""
    threshold_estimates: Mapping[Rule, Mapping[str, Mapping[str, Estimate]]]
    """Rule -> method -> metric where its thresholds call the classes; empty for several classes"""
    comparisons: tuple[Comparison, ...]
    thresholds: Mapping[Rule, Mapping[str, Mapping[RunKey, Threshold]]]
    """Rule -> method -> run; empty for several classes"""
    temperatures: Mapping[str, Mapping[RunKey, Temperature]]
    calibration: Mapping[str, Calibration]
    scaled: Mapping[str, Calibration]
    """After temperature scaling"""
    tempered: bool
    """Whether predictions, and all that is made of them, are at the temperatures; ``calibration`` never is"""
    strata: Mapping[str, Mapping[str, tuple[Stratum, ...]]]
    """Column -> method -> its values"""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes

    @property
    def finished(self) -> tuple[str, ...]:
        """Methods with at least one finished run."""
        return tuple(name for name in self.methods if self.estimates[name])

    def runs_of_one_fold(self) -> dict[str, Run]:
        """Method -> its run of the fold and seed that most methods have a run of, the first of such.

        Of methods with a network: those are what can be explained.
        """
        by_fold_and_seed: dict[tuple[int, int], dict[str, Run]] = {}
        for job, run in sorted(self.runs.items(), key=lambda item: (item[0].seed, item[0].fold)):
            if run.model.is_file():
                by_fold_and_seed.setdefault((job.fold, job.seed), {})[job.method] = run
        found = max(by_fold_and_seed.values(), key=len, default={})
        return {name: found[name] for name in self.methods if name in found}

    def at_thresholds(self, rule: Rule, positive: int) -> dict[str, OutOfFoldPredictions]:
        """The predictions, called by the thresholds of a rule."""
        return {
            name: with_thresholds(self.predictions[name], chosen, positive)
            for name, chosen in self.thresholds[rule].items()
        }

    def temperature(self, job: Job) -> float:
        """At which a run's probabilities are shown: 1 leaves them as the network says them."""
        return self.temperatures[job.method][job.fold, job.seed].value if self.tempered else 1.0

    def shown(self, job: Job, probabilities: Floats) -> Floats:
        """(N, C) a run's probabilities as the predictions have them."""
        return apply_temperature(probabilities, self.temperature(job)) if self.tempered else probabilities

    def as_dict(self) -> dict[str, JsonValue]:
        """``statistics.json``; nothing for what is not defined."""
        found = {
            "format": "triplenet benchmark statistics",
            "version": 3,
            "reference": self.reference,
            "temperature_scaled": self.tempered,
            "positive": None if self.positive is None else self.classes[self.positive],
            "intervals": {method: _dicts(found) for method, found in self.estimates.items()},
            "class_intervals": {
                method: {name: _dicts(found) for name, found in zip(self.classes, each, strict=True)}
                for method, each in self.class_estimates.items()
            },
            "threshold_intervals": {
                rule.title: {method: _dicts(found) for method, found in each.items()}
                for rule, each in self.threshold_estimates.items()
            },
            "comparisons": [asdict(one) | {"verdict": one.verdict()} for one in self.comparisons],
            "thresholds": [
                {"rule": rule.title, "method": method, "fold": fold, "seed": seed}
                | {name: value for name, value in asdict(threshold).items() if name != "rule"}
                for rule, each in self.thresholds.items()
                for method, chosen in each.items()
                for (fold, seed), threshold in chosen.items()
            ],
            "temperatures": [
                {"method": method, "fold": fold, "seed": seed} | asdict(temperature)
                for method, chosen in self.temperatures.items()
                for (fold, seed), temperature in chosen.items()
            ],
            "calibration": _dicts(self.calibration),
            "calibration_after_temperature": _dicts(self.scaled),
            "strata": {
                column: {method: [asdict(stratum) for stratum in found] for method, found in each.items()}
                for column, each in self.strata.items()
            },
        }
        plain: dict[str, JsonValue] = jsonable(found)
        return plain


def summarise(
    runs: Mapping[Job, Run],
    task: Task,
    methods: Sequence[str],
    *,
    seeds: Sequence[int] = (0,),
    patients: Sequence[PreparedPatient] = (),
    partition: str = "test",
    reference: str | None = None,
    columns: Sequence[str] = (),
    temperature: bool = False,
    resamples: int = RESAMPLES,
) -> Results:
    """Put finished runs together; there must be one at least.

    :param methods: all that should have run, in the order of the tables
    :param patients: of the prepared set: their groups, and the columns that part them
    :param partition: whose patients are spoken of; thresholds and temperatures are always of the validation patients
    :param reference: the method that the others are compared with; see ``reference_of``
    :param columns: of the cohort, whose values part the patients
    :param temperature: take every probability at its run's temperature, fitted on the run's validation patients
    :raises BadRun: runs do not fit together
    """
    positive = positive_of(task)
    reference = reference_of(methods, reference)
    shown: dict[str, list[RunPredictions]] = {name: [] for name in methods}
    validation: dict[str, list[RunPredictions]] = {name: [] for name in methods}
    for job, run in runs.items():
        predictions = run.predictions()
        for name, kept in ((partition, shown), ("validation", validation)):
            part = predictions.of(name)
            kept[job.method].append(RunPredictions(job.fold, job.seed, part.patients, part.labels, part.probabilities))
    groups = {patient.patient: patient.group for patient in patients}
    plain = join(shown, groups if any(group is not None for group in groups.values()) else None)
    temperatures = {name: fit_temperatures(own) for name, own in validation.items()}
    scaled = {name: with_temperatures(own, temperatures[name]) for name, own in plain.items()}
    joined = scaled if temperature else plain
    if temperature:
        validation = {name: at_temperature(own, temperatures[name]) for name, own in validation.items()}
    thresholds: dict[Rule, dict[str, dict[RunKey, Threshold]]] = {}
    if positive is not None:
        for rule in RULES:
            thresholds[rule] = {name: choose_thresholds(own, rule, positive) for name, own in validation.items() if own}
    return Results(
        task=task,
        methods=tuple(methods),
        seeds=tuple(seeds),
        runs=runs,
        partition=partition,
        positive=positive,
        reference=reference,
        predictions=joined,
        validation={name: tuple(own) for name, own in validation.items()},
        estimates={name: estimates(own, positive=positive, resamples=resamples) for name, own in joined.items()},
        class_estimates={
            name: tuple(estimates(own, positive=c, resamples=resamples) for c in range(own.classes))
            for name, own in joined.items()
        },
        threshold_estimates={
            rule: {
                name: estimates(with_thresholds(joined[name], chosen, positive), positive=positive, resamples=resamples)
                for name, chosen in each.items()
            }
            for rule, each in thresholds.items()
            if positive is not None
        },
        comparisons=compare(joined, reference, positive=positive, metrics=COMPARED, resamples=resamples)
        if len(joined) > 1
        else (),
        thresholds=thresholds,
        temperatures=temperatures,
        calibration={name: calibration_of(own, positive, resamples=resamples) for name, own in plain.items()},
        scaled={name: calibration_of(own, positive, resamples=resamples) for name, own in scaled.items()},
        tempered=temperature,
        strata={
            column: {
                name: _strata(column, own, patients, positive, resamples)
                for name, own in joined.items()
                if own.pooled()[0].size
            }
            for column in columns
        },
    )


def positive_of(task: Task) -> int | None:
    """The target of a binary task; None for one with several classes."""
    return task.classes.index(task.positive[0]) if len(task.classes) == 2 and len(task.positive) == 1 else None


def reference_of(methods: Sequence[str], wanted: str | None) -> str:
    """The method asked for; else the baseline where it is among them, else the first.

    :raises UnknownName: no such method
    """
    if wanted is not None and wanted not in methods:
        raise UnknownName("not a method of this benchmark", where=repr(wanted), do=f"choose among {', '.join(methods)}")
    return wanted or (REFERENCE if REFERENCE in methods else methods[0])


def _strata(
    column: str,
    predictions: OutOfFoldPredictions,
    patients: Sequence[PreparedPatient],
    positive: int | None,
    resamples: int,
) -> tuple[Stratum, ...]:
    rows, predicted, probabilities = predictions.pooled()
    value_of = {patient.patient: column_value(patient, column) for patient in patients}
    return strata(
        [value_of[predictions.patients[row]] for row in rows.tolist()],
        predictions.labels[rows],
        predicted,
        probabilities,
        positive=positive,
        groups=None if predictions.groups is None else [predictions.groups[row] for row in rows.tolist()],
        resamples=resamples,
    )


def column_value(patient: PreparedPatient, column: str) -> str | None:
    """What the cohort's table says in a column; None where it says nothing."""
    own = {"site": patient.site, "finding": patient.finding, "group": patient.group}
    return own[column] if column in own else patient.extra.get(column) or None


def _dicts(found: Mapping[str, Estimate] | Mapping[str, Calibration]) -> dict[str, object]:
    return {name: asdict(value) for name, value in found.items()}
