"""What a reader of a benchmark must know before believing it, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from triplenet import catalog
from triplenet.benchmark.benchmark_results import BenchmarkResults
from triplenet.benchmark.execution import Benchmark
from triplenet.evaluation.predictions import never_predicted
from triplenet.evaluation.strata import FEW_OF_A_CLASS, FEW_PATIENTS
from triplenet.prepare.notes import by_kind

FEW_EPOCHS = 10


def cautions(found: Benchmark, results: BenchmarkResults | None) -> tuple[str, ...]:
    """All of them, the gravest first."""
    return (*_runs(found), *_data(found), *(() if results is None else (*_answers(results), *_choices(results))))


def _runs(found: Benchmark) -> Iterator[str]:
    for job, failure in found.failures.items():
        yield f"{catalog.method(job.method).title}, fold {job.fold}, seed {job.seed}: failed ({failure.code})."
    for one in found.plan.not_run:
        yield f"{catalog.method(one.method).title}: not run, {one.reason}."
    for what, values in (
        ("computed on different devices", {run.info.hardware.name for run in found.runs.values()}),
        ("made with different versions of torch", {run.info.versions.get("torch") for run in found.runs.values()}),
        ("computed with different numbers of threads", {run.info.hardware.threads for run in found.runs.values()}),
    ):
        if len(values) > 1:
            yield f"The runs were {what}: they differ by more than their methods."


def _data(found: Benchmark) -> Iterator[str]:
    plan = found.plan
    info = plan.prepared.info
    if info.leakage:
        yield (
            f"{_count(len(info.leakage), 'pair')} of patients with nearly the same image on two sides of a fold: "
            "the user allowed it, and the test results may be too good."
        )
    labels = plan.prepared.labels(plan.task)
    for number in plan.folds:
        fold = plan.prepared.fold(number)
        for name, members in (("test", fold.test), ("validation", fold.validation)):
            known = labels[plan.prepared.rows(members)]
            counts = np.bincount(known[known >= 0], minlength=len(plan.task.classes))
            few = counts.sum() < FEW_PATIENTS
            rare = [one for one, count in zip(plan.task.classes, counts, strict=True) if count < FEW_OF_A_CLASS]
            if few or rare:
                of = f", fewer than {FEW_OF_A_CLASS} of {' and of '.join(rare)}" if rare else ""
                yield f"Fold {number} is small: {_count(int(counts.sum()), f'{name} patient')}{of}."
    for note, count in by_kind(patient.notes for patient in plan.prepared.patients):
        yield f"{count} of {info.patients} scans: {note}."
    if info.derived_lungs:
        yield f"The lung masks of {info.derived_lungs} of {info.patients} patients were derived, not drawn by a reader."
    if info.rejected:
        yield f"{_count(info.rejected, 'scan')} of the cohort could not be prepared: see rejected.csv."
    yield from _trainings(found)
    random = [
        catalog.method(name).title
        for name, recipe in plan.recipes.items()
        if recipe.encoder.weights == "none" and catalog.method(name).imagenet
    ]
    if random:
        yield f"Trained from random weights instead of ImageNet's: {', '.join(random)}."


def _trainings(found: Benchmark) -> Iterator[str]:
    """Runs that were stopped while they still learnt, and runs that learnt to say one class."""
    runs = list(found.runs.items())
    short = [job for job, run in runs if run.info.epochs < FEW_EPOCHS]
    if short:
        yield (
            f"{len(short)} of {_count(len(runs), 'run')} trained for fewer than {FEW_EPOCHS} epochs: too few to judge "
            "a method."
        )
    last = [
        job
        for job, run in runs
        if run.recipe.training.keep != "last" and run.info.best_epoch == run.info.epochs - 1 and run.info.epochs > 1
    ]
    if last:
        yield (
            f"{len(last)} of {_count(len(runs), 'run')} were best on validation in their last epoch: they may not have "
            "finished learning."
        )
    majority = []
    for job, run in runs:
        labels = run.predictions().of("validation").labels
        counts = np.bincount(labels[labels >= 0], minlength=1)
        accuracy = run.info.validation.get("accuracy")
        if counts.sum() and accuracy is not None and abs(accuracy - counts.max() / counts.sum()) < 1e-9:
            majority.append(str(job))
    if majority:
        yield (
            f"The kept validation accuracy is that of calling everybody the most frequent class in {len(majority)} of "
            f"{_count(len(runs), 'run')} ({'; '.join(majority)})."
        )


def _answers(results: BenchmarkResults) -> Iterator[str]:
    for name in results.finished:
        title = catalog.method(name).title
        never = never_predicted(results.predictions[name])
        for c, label in enumerate(results.classes):
            where = [f"fold {fold}, seed {seed}" for fold, seed, missed in never if missed == c]
            if where:
                yield (
                    f"{title} never predicts the class {label} in {_count(len(where), 'run')} ({'; '.join(where)}). "
                    "What such a run would say of other patients, no interval and no test can tell."
                )
    if len(results.benchmark.plan.seeds) == 1:
        yield (
            "One seed: the intervals say how far the choice of test patients carries, not how much another training "
            "of the same method would differ."
        )


def _choices(results: BenchmarkResults) -> Iterator[str]:
    for rule, each in results.thresholds.items():
        for name, chosen in each.items():
            for (fold, seed), one in chosen.items():
                if one.fallback is not None:
                    title = catalog.method(name).title
                    yield f"{title}, fold {fold}, seed {seed}: threshold 0.5 instead of {rule.title}, {one.fallback}."
    bound = [
        f"{catalog.method(name).title} (fold {fold}, seed {seed})"
        for name, chosen in results.temperatures.items()
        for (fold, seed), one in chosen.items()
        if one.at_bound
    ]
    if bound:
        yield f"No best temperature on the validation patients, the nearest bound is used: {', '.join(bound)}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
