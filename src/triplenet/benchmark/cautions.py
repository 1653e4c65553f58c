"""What a reader of a benchmark must know before believing it.

What is true of the whole stands in a few sentences; what is true of single runs in a table, methods by kinds, with the
folds in which it is so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from triplenet.benchmark.benchmark_results import BenchmarkResults
from triplenet.benchmark.execution import Benchmark
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.predictions import never_predicted
from triplenet.evaluation.strata import FEW_OF_A_CLASS, FEW_PATIENTS
from triplenet.evaluation.tables import Cell, Column, Row, Table
from triplenet.prepare.notes import by_kind
from triplenet.training.job import Job
from triplenet.training.run import Run

FEW_EPOCHS = 10
TABLE = "cautions"
_NEVER = "never predicts"


@dataclass(frozen=True)
class Kind:
    """Something that may be true of a run."""

    heading: str
    """Of the column"""
    says: str
    """What a method then does, for a sentence"""
    group: str = ""
    """Heading over several columns"""


@dataclass(frozen=True)
class RunCaution:
    """One thing to know of one run."""

    job: Job
    kind: Kind


_SHORT = Kind(f"under {FEW_EPOCHS} epochs", f"trained for fewer than {FEW_EPOCHS} epochs")
_LAST = Kind("best in the last epoch", "was best on validation in its last epoch")
_MAJORITY = Kind(
    "no better than one class",
    "has the kept validation accuracy of calling everybody the most frequent class",
)
_BOUND = Kind("temperature at a bound", "has no best temperature on the validation patients, the nearest bound is used")


def cautions(found: Benchmark, results: BenchmarkResults | None) -> tuple[str, ...]:
    """All of them, a sentence each, the gravest first."""
    runs = run_cautions(found, results)
    by_method = {
        (one.kind, one.job.method): [other.job for other in runs if (other.kind, other.job.method) == of]
        for one in runs
        for of in [(one.kind, one.job.method)]
    }
    single = (
        f"{title_of(method)} {kind.says} in {_count(len(jobs), 'run')} "
        f"({'; '.join(f'fold {job.fold}, seed {job.seed}' for job in jobs)})."
        for (kind, method), jobs in by_method.items()
    )
    return (*leading(found, runs), *scan_cautions(found), *single)


def leading(found: Benchmark, runs: Sequence[RunCaution]) -> tuple[str, ...]:
    """What is true of the whole, and how often something is true of a run.

    :param runs: ``run_cautions`` of it
    """
    return (*_not_there(found), *_how_many(found, runs), *_data(found), *_made(found))


def scan_cautions(found: Benchmark) -> tuple[str, ...]:
    """How many scans of the prepared set have which peculiarity."""
    info = found.plan.prepared.info
    notes = [
        f"{count} of {info.patients} scans: {note}."
        for note, count in by_kind(patient.notes for patient in found.plan.prepared.patients)
    ]
    if info.derived_lungs:
        of = f"{info.derived_lungs} of {info.patients} patients"
        notes.append(f"The lung masks of {of} were derived, not drawn by a reader.")
    if info.rejected:
        notes.append(f"{_count(info.rejected, 'scan')} of the cohort could not be prepared: see rejected.csv.")
    return tuple(notes)


def run_cautions(found: Benchmark, results: BenchmarkResults | None) -> tuple[RunCaution, ...]:
    """What is true of single runs, the gravest kind first."""
    each = [*_failures(found)]
    if results is not None:
        each += _never(results)
    each += [
        RunCaution(job, kind)
        for kind in (_MAJORITY, _SHORT, _LAST)
        for job, run in found.runs.items()
        if _is_so(kind, run)
    ]
    if results is not None:
        each += _choices(results)
    return tuple(each)


def caution_table(found: Benchmark, results: BenchmarkResults | None) -> Table | None:
    """Methods by kinds, with the folds in which they hold; None where nothing is to be said of any run."""
    runs = run_cautions(found, results)
    if not runs:
        return None
    headings = dict.fromkeys((one.kind.group, one.kind.heading) for one in runs)
    columns = tuple(
        Column(f"{group} {heading}".strip(), heading, unit="", scale=1, better=None, group=group)
        for group, heading in headings
    )
    rows = []
    for method in found.plan.methods:
        cells = {}
        for column in columns:
            of = (column.group, column.title)
            jobs = [one.job for one in runs if (one.kind.group, one.kind.heading) == of and one.job.method == method]
            if jobs:
                cells[column.name] = Cell(text=_folds(jobs, found))
        rows.append(Row(method, title_of(method), cells))
    several = len(found.plan.seeds) > 1
    note = f"The folds{' and, where not all, their seeds' if several else ''} in which it is so."
    return Table(TABLE, "What speaks against single runs", "method", columns, tuple(rows), (note,))


def _folds(jobs: Sequence[Job], found: Benchmark) -> str:
    """``all folds``, ``1, 3``, ``1 (seed 4)``."""
    seeds_of: dict[int, list[int]] = {}
    for job in jobs:
        seeds_of.setdefault(job.fold, []).append(job.seed)
    every = found.plan.seeds
    if len(found.plan.folds) > 1 and all(len(seeds_of.get(fold, ())) == len(every) for fold in found.plan.folds):
        return "all folds"
    return ", ".join(
        f"{fold}" if len(seeds) == len(every) else f"{fold} (seed {', '.join(map(str, seeds))})"
        for fold, seeds in seeds_of.items()
    )


def _not_there(found: Benchmark) -> Iterator[str]:
    if found.failures:
        failed = dict.fromkeys(title_of(job.method) for job in found.failures)
        yield f"{_count(len(found.failures), 'run')} failed, of {_and(failed)}."
    reasons: dict[str, list[str]] = {}
    for one in found.plan.not_run:
        reasons.setdefault(one.reason, []).append(title_of(one.method))
    for reason, titles in reasons.items():
        yield f"{_and(titles)}: not run, {reason}."


def _how_many(found: Benchmark, runs: Sequence[RunCaution]) -> Iterator[str]:
    """Of runs that learnt to say one class, and of runs that were stopped while they still learnt."""
    number = _count(len(found.runs), "run")
    never = dict.fromkeys(one.job for one in runs if one.kind.group == _NEVER)
    if never:
        titles = dict.fromkeys(title_of(job.method) for job in never)
        yield (
            f"In {len(never)} of {number} a class is never predicted ({_and(titles)}): what such a run would say of "
            "other patients, no interval and no test can tell."
        )
    for kind, text in (
        (_MAJORITY, "have the kept validation accuracy of calling everybody the most frequent class"),
        (_SHORT, f"trained for fewer than {FEW_EPOCHS} epochs: too few to judge a method"),
        (_LAST, "were best on validation in their last epoch: they may not have finished learning"),
    ):
        count = sum(one.kind == kind for one in runs)
        if count:
            yield f"{count} of {number} {text}."


def _data(found: Benchmark) -> Iterator[str]:
    plan = found.plan
    if plan.prepared.info.leakage:
        yield (
            f"{_count(len(plan.prepared.info.leakage), 'pair')} of patients with nearly the same image on two sides of "
            "a fold: the user allowed it, and the test results may be too good."
        )
    small = [text for number in plan.folds if (text := _small(found, number))]
    if small:
        yield " ".join(small)


def _small(found: Benchmark, number: int) -> str:
    """What a fold has too few of; empty where it has enough."""
    plan = found.plan
    labels = plan.prepared.labels(plan.task)
    fold = plan.prepared.fold(number)
    parts = []
    for name, members in (("test", fold.test), ("validation", fold.validation)):
        known = labels[plan.prepared.rows(members)]
        counts = np.bincount(known[known >= 0], minlength=len(plan.task.classes))
        rare = [one for one, count in zip(plan.task.classes, counts, strict=True) if count < FEW_OF_A_CLASS]
        if counts.sum() < FEW_PATIENTS or rare:
            of = f" (fewer than {FEW_OF_A_CLASS} of {_and(rare)})" if rare else ""
            parts.append(f"{_count(int(counts.sum()), f'{name} patient')}{of}")
    return f"Fold {number} is small: {_and(parts)}." if parts else ""


def _made(found: Benchmark) -> Iterator[str]:
    for what, values in (
        ("computed on different devices", {run.info.hardware.name for run in found.trained.values()}),
        ("made with different versions of torch", {run.info.versions.get("torch") for run in found.trained.values()}),
        ("computed with different numbers of threads", {run.info.hardware.threads for run in found.trained.values()}),
    ):
        if len(values) > 1:
            yield f"The runs were {what}: they differ by more than their methods."
    could = [name for name in found.plan.recipes if found.plan.catalog_method(name).imagenet]
    random = [name for name in could if found.plan.recipes[name].encoder.weights == "none"]
    if random:
        who = "every method that could have them" if random == could and len(could) > 1 else _and(map(title_of, random))
        yield f"Trained from random weights instead of ImageNet's: {who}."
    if len(found.plan.seeds) == 1 and found.runs:
        yield (
            "One seed: the intervals say how far the choice of test patients carries, not how much another training "
            "of the same method would differ."
        )


def _failures(found: Benchmark) -> Iterator[RunCaution]:
    for job, failure in found.failures.items():
        yield RunCaution(job, Kind(f"failed: {failure.code}", f"failed ({failure.code})"))


def _never(results: BenchmarkResults) -> Iterator[RunCaution]:
    for c, label in enumerate(results.classes):
        kind = Kind(label, f"never predicts the class {label}", _NEVER)
        for name in results.finished:
            for fold, seed, missed in never_predicted(results.predictions[name]):
                if missed == c:
                    yield RunCaution(Job(name, fold, seed), kind)


def _is_so(kind: Kind, run: Run) -> bool:
    """Whether a kind is true of how a run was trained."""
    info = run.info
    if kind == _SHORT:
        return 0 < info.epochs < FEW_EPOCHS  # a comparator has none
    if kind == _LAST:
        return info.epochs > 1 and info.best_epoch == info.epochs - 1 and run.recipe.training.keep != "last"
    labels = run.predictions().of("validation").labels
    counts = np.bincount(labels[labels >= 0], minlength=1)
    accuracy = info.validation.get("accuracy")
    return bool(counts.sum() and accuracy is not None and abs(accuracy - counts.max() / counts.sum()) < 1e-9)


def _choices(results: BenchmarkResults) -> Iterator[RunCaution]:
    for rule, each in results.thresholds.items():
        for name, chosen in each.items():
            for (fold, seed), one in chosen.items():
                if one.fallback is not None:
                    says = f"takes the threshold 0.5 instead of {rule.title}, {one.fallback},"
                    yield RunCaution(Job(name, fold, seed), Kind(rule.title, says, "threshold 0.5 instead of"))
    for name, fitted in results.temperatures.items():
        for (fold, seed), temperature in fitted.items():
            if temperature.at_bound:
                yield RunCaution(Job(name, fold, seed), _BOUND)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _and(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
