"""What the finished runs of a benchmark say together: answers, intervals, comparisons, thresholds, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import JsonValue

from triplenet.benchmark.calibration import Calibration, calibration_of
from triplenet.benchmark.plan import Job, Plan
from triplenet.benchmark.run import Benchmark
from triplenet.errors import UnknownName
from triplenet.evaluation.answers import Answers, RunAnswers, join
from triplenet.evaluation.comparisons import Comparison, answer_estimates, compare
from triplenet.evaluation.intervals import RESAMPLES, Estimate
from triplenet.evaluation.statistics import Floats
from triplenet.evaluation.strata import Stratum, strata
from triplenet.evaluation.temperature import Temperature, apply_temperature
from triplenet.evaluation.thresholds import RULES, Rule, Threshold
from triplenet.evaluation.validation import (
    RunKey,
    at_temperature,
    choose_thresholds,
    fit_temperatures,
    with_temperatures,
    with_thresholds,
)
from triplenet.prepare.store import PreparedPatient
from triplenet.training.run import Run

REFERENCE = "baseline"
COMPARED = ("accuracy", "auc", "f", "sensitivity", "specificity")


@dataclass(frozen=True)
class Results:
    """Everything that tables, figures and the report show."""

    benchmark: Benchmark
    positive: int | None
    """The target of a binary task"""
    reference: str
    """Whom the others are compared with"""
    answers: Mapping[str, Answers]
    """Method -> what it says of the test patients"""
    validation: Mapping[str, tuple[RunAnswers, ...]]
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
    """Whether answers, and all that is made of them, are at the temperatures; ``calibration`` never is"""
    strata: Mapping[str, Mapping[str, tuple[Stratum, ...]]]
    """Column -> method -> its values"""

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that ran, or tried to."""
        return self.benchmark.plan.methods

    @property
    def classes(self) -> tuple[str, ...]:
        return self.benchmark.plan.task.classes

    @property
    def finished(self) -> tuple[str, ...]:
        """Methods with at least one finished run."""
        return tuple(name for name in self.methods if self.estimates[name])

    def runs_of_one_fold(self) -> dict[str, Run]:
        """Method -> its run of the fold and seed that most methods have a run of, the first of such."""
        by_place: dict[tuple[int, int], dict[str, Run]] = {}
        for job, run in sorted(self.benchmark.runs.items(), key=lambda item: (item[0].seed, item[0].fold)):
            by_place.setdefault((job.fold, job.seed), {})[job.method] = run
        found = max(by_place.values(), key=len, default={})
        return {name: found[name] for name in self.methods if name in found}

    def at_thresholds(self, rule: Rule, positive: int) -> dict[str, Answers]:
        """The answers, called by the thresholds of a rule."""
        return {
            name: with_thresholds(self.answers[name], chosen, positive)
            for name, chosen in self.thresholds[rule].items()
        }

    def temperature(self, job: Job) -> float:
        """At which a run's probabilities are shown: 1 leaves them as the network says them."""
        return self.temperatures[job.method][job.fold, job.seed].value if self.tempered else 1.0

    def shown(self, job: Job, probabilities: Floats) -> Floats:
        """(N, C) a run's probabilities as the answers have them."""
        return apply_temperature(probabilities, self.temperature(job)) if self.tempered else probabilities

    def as_dict(self) -> dict[str, JsonValue]:
        """``statistics.json``."""
        return {
            "format": "triplenet benchmark statistics",
            "version": 2,
            "reference": self.reference,
            "temperature_scaled": self.tempered,
            "positive": None if self.positive is None else self.classes[self.positive],
            "intervals": {
                method: {name: _plain(asdict(one)) for name, one in found.items()}
                for method, found in self.estimates.items()
            },
            "class_intervals": {
                method: {
                    name: {metric: _plain(asdict(one)) for metric, one in found.items()}
                    for name, found in zip(self.classes, each, strict=True)
                }
                for method, each in self.class_estimates.items()
            },
            "threshold_intervals": {
                rule.title: {
                    method: {name: _plain(asdict(one)) for name, one in found.items()} for method, found in each.items()
                }
                for rule, each in self.threshold_estimates.items()
            },
            "comparisons": [_plain(asdict(one) | {"verdict": one.verdict()}) for one in self.comparisons],
            "thresholds": [
                _plain(
                    {"rule": rule.title, "method": method, "fold": fold, "seed": seed}
                    | {name: value for name, value in asdict(one).items() if name != "rule"}
                )
                for rule, each in self.thresholds.items()
                for method, chosen in each.items()
                for (fold, seed), one in chosen.items()
            ],
            "temperatures": [
                _plain({"method": method, "fold": fold, "seed": seed} | asdict(one))
                for method, chosen in self.temperatures.items()
                for (fold, seed), one in chosen.items()
            ],
            "calibration": {method: _plain(asdict(one)) for method, one in self.calibration.items()},
            "calibration_after_temperature": {method: _plain(asdict(one)) for method, one in self.scaled.items()},
            "strata": {
                column: {method: [_plain(asdict(one)) for one in found] for method, found in each.items()}
                for column, each in self.strata.items()
            },
        }


def summarise(
    found: Benchmark,
    *,
    reference: str | None = None,
    columns: Sequence[str] | None = None,
    temperature: bool = False,
    resamples: int = RESAMPLES,
) -> Results:
    """Put a benchmark's finished runs together; there must be one at least.

    :param reference: the method that the others are compared with; the baseline where it is among them, else the first
    :param columns: of the cohort, whose values part the patients; by default ``site`` where the tested have several
    :param temperature: take every probability at its run's temperature, fitted on the run's validation patients
    :raises UnknownName: no such method or column
    :raises BadRun: runs do not fit together
    """
    plan = found.plan
    reference = _reference(plan, reference)
    positive = _positive(found)
    chosen = _columns(plan, columns)
    test: dict[str, list[RunAnswers]] = {name: [] for name in plan.methods}
    validation: dict[str, list[RunAnswers]] = {name: [] for name in plan.methods}
    for job, run in found.runs.items():
        predictions = run.predictions()
        for partition, kept in (("test", test), ("validation", validation)):
            part = predictions.of(partition)
            kept[job.method].append(RunAnswers(job.fold, job.seed, part.patients, part.labels, part.probabilities))
    groups = {patient.patient: patient.group for patient in plan.prepared.patients}
    plain = join(test, groups if any(group is not None for group in groups.values()) else None)
    temperatures = {name: fit_temperatures(runs) for name, runs in validation.items()}
    scaled = {name: with_temperatures(one, temperatures[name]) for name, one in plain.items()}
    answers = scaled if temperature else plain
    if temperature:
        validation = {name: at_temperature(runs, temperatures[name]) for name, runs in validation.items()}
    thresholds: dict[Rule, dict[str, dict[RunKey, Threshold]]] = {}
    if positive is not None:
        for rule in RULES:
            thresholds[rule] = {
                name: choose_thresholds(runs, rule, positive) for name, runs in validation.items() if runs
            }
    return Results(
        benchmark=found,
        positive=positive,
        reference=reference,
        answers=answers,
        validation={name: tuple(runs) for name, runs in validation.items()},
        estimates={
            name: answer_estimates(one, positive=positive, resamples=resamples) for name, one in answers.items()
        },
        class_estimates={
            name: tuple(answer_estimates(one, positive=c, resamples=resamples) for c in range(one.classes))
            for name, one in answers.items()
        },
        threshold_estimates={
            rule: {
                name: answer_estimates(
                    with_thresholds(answers[name], chosen, positive), positive=positive, resamples=resamples
                )
                for name, chosen in each.items()
            }
            for rule, each in thresholds.items()
            if positive is not None
        },
        comparisons=compare(answers, reference, positive=positive, metrics=COMPARED, resamples=resamples)
        if len(answers) > 1
        else (),
        thresholds=thresholds,
        temperatures=temperatures,
        calibration={name: calibration_of(one, positive, resamples=resamples) for name, one in plain.items()},
        scaled={name: calibration_of(one, positive, resamples=resamples) for name, one in scaled.items()},
        tempered=temperature,
        strata={
            column: {
                name: _strata(column, one, plan.prepared.patients, positive, resamples)
                for name, one in answers.items()
                if one.pooled()[0].size
            }
            for column in chosen
        },
    )


def check_choices(plan: Plan, reference: str | None, columns: Sequence[str] | None) -> None:
    """Refuse a reference or columns that are not there, before anything is trained.

    :raises UnknownName: no such method or column
    """
    _reference(plan, reference)
    _columns(plan, columns)


def _strata(
    column: str, answers: Answers, patients: Sequence[PreparedPatient], positive: int | None, resamples: int
) -> tuple[Stratum, ...]:
    rows, predicted, probabilities = answers.pooled()
    value_of = {patient.patient: column_value(patient, column) for patient in patients}
    return strata(
        [value_of[answers.patients[row]] for row in rows.tolist()],
        answers.labels[rows],
        predicted,
        probabilities,
        positive=positive,
        groups=None if answers.groups is None else [answers.groups[row] for row in rows.tolist()],
        resamples=resamples,
    )


def column_value(patient: PreparedPatient, column: str) -> str | None:
    """What the cohort's table says in a column; None where it says nothing."""
    own = {"site": patient.site, "finding": patient.finding, "group": patient.group}
    return own[column] if column in own else patient.extra.get(column) or None


def _columns(plan: Plan, wanted: Sequence[str] | None) -> tuple[str, ...]:
    patients = plan.prepared.patients
    if wanted is None:
        tested = {name for number in plan.folds for name in plan.prepared.fold(number).test}
        sites = {patient.site for patient in patients if patient.finding is not None and patient.patient in tested}
        return ("site",) if len(sites) > 1 else ()
    known = ["site", "finding", *dict.fromkeys(name for patient in patients for name in patient.extra)]
    for name in wanted:
        if name not in known:
            raise UnknownName("the cohort has no such column", where=repr(name), do=f"it has {', '.join(known)}")
    return tuple(dict.fromkeys(wanted))


def _reference(plan: Plan, wanted: str | None) -> str:
    methods = plan.methods
    if wanted is not None and wanted not in methods:
        raise UnknownName("not a method of this benchmark", where=repr(wanted), do=f"choose among {', '.join(methods)}")
    return wanted or (REFERENCE if REFERENCE in methods else methods[0])


def _positive(found: Benchmark) -> int | None:
    task = found.plan.task
    return task.classes.index(task.positive[0]) if len(task.classes) == 2 and len(task.positive) == 1 else None


def _plain(value: object) -> JsonValue:
    """For JSON: nothing for what is not defined."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)
