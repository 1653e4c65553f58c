"""What comparators say of each fold's patients, as runs' folders that have no network; made after the trainings.

A seed of a comparator without learning, and of features, says what every other says; that of a segmentation is its
networks'. What an earlier call found is kept until something that decides it changes, as other answers are.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

import triplenet
from triplenet.benchmark.comparators import Comparator
from triplenet.benchmark.plan import Plan, digest
from triplenet.benchmark.progress import BenchmarkProgress, OnProgress, RunProgress
from triplenet.benchmark.records import (
    Failure,
    RunRecord,
    finished_run,
    intact,
    read_record,
    record_path,
    run_folder,
    write_record,
)
from triplenet.errors import BadRun, TripleNetError
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.outside_paper import FEATURES, OPACITY, SEGMENTATION
from triplenet.evaluation.probe import Part, fit_probe, share_as_probability, threshold_on
from triplenet.evaluation.results import positive_of
from triplenet.files import clear_abandoned, sha256_of, whole_folder
from triplenet.model import task_card
from triplenet.prepare.store import OPACITY as OPACITY_FILE
from triplenet.processes import usable_threads
from triplenet.relative_paths import relative_path
from triplenet.training.job import Job
from triplenet.training.run import (
    MODEL,
    PREDICTIONS,
    Hardware,
    Predictions,
    Run,
    RunInfo,
    write_info,
    write_predictions,
)
from triplenet.training.validation_scores import accuracy, auc

COMPARATOR_VERSION = 1
"""Of what is computed here: kept answers of another are done anew"""
PARTITIONS = ("train", "validation", "test")


@dataclass(frozen=True)
class _Answer:
    """Probabilities of a fold's validation and test patients, and what was chosen for them."""

    probabilities: Floats
    """(n, C)"""
    chosen: dict[str, JsonValue]
    parameters: int


def run_comparators(
    plan: Plan,
    out: Path,
    trained: Mapping[Job, Run],
    progress_of: BenchmarkProgress,
    on_progress: OnProgress,
    *,
    device: str = "auto",
) -> None:
    """Ask all of them; what happened stands in the progress and in the records.

    :param trained: the finished runs
    :param device: of networks that segment
    """
    jobs = list(plan.comparator_jobs())
    for job in jobs:
        progress_of[job] = RunProgress()
    for job in jobs:
        comparator = plan.comparators[job.method]
        fingerprint = _fingerprint(plan, comparator, job, trained)
        if _is_kept(out, job, fingerprint):
            progress_of[job] = RunProgress("kept")
            continue
        progress_of[job] = RunProgress("running")
        on_progress(progress_of)
        failure = _make(plan, comparator, job, out, trained, fingerprint, device)
        progress_of[job] = RunProgress("done" if failure is None else "failed", failure=failure)
        on_progress(progress_of)


def _source(comparator: Comparator, job: Job) -> Job:
    """The run whose network a comparator asks."""
    return Job(comparator.of, job.fold, job.seed)


def _fingerprint(plan: Plan, comparator: Comparator, job: Job, trained: Mapping[Job, Run]) -> dict[str, JsonValue]:
    """What must be the same for an answer to be kept."""
    prepared, read = plan.prepared, ""
    if comparator.kind == OPACITY:
        read = prepared.info.files[OPACITY_FILE]
    elif comparator.features is not None:
        read = comparator.features.sha256
    elif _source(comparator, job) in trained:
        read = trained[_source(comparator, job)].info.files.get(MODEL, "")
    task: dict[str, JsonValue] = {"classes": list(plan.task.classes), "findings": dict(plan.task.findings)}
    return {
        "comparator": comparator.name,
        "reads": read,
        "data": prepared.info.sha256,
        "fold": prepared.fold(job.fold).sha256,
        "task": task | {"positive": list(plan.task.positive)},
        "code": f"{triplenet.__version__} {COMPARATOR_VERSION}",
    }


def _is_kept(out: Path, job: Job, fingerprint: Mapping[str, JsonValue]) -> bool:
    try:
        record = read_record(record_path(out, job))
        run = finished_run(out, job)
    except BadRun:
        return False
    return run is not None and record is not None and record.hash == digest(fingerprint) and intact(run)


def _make(
    plan: Plan,
    comparator: Comparator,
    job: Job,
    out: Path,
    trained: Mapping[Job, Run],
    fingerprint: dict[str, JsonValue],
    device: str,
) -> Failure | None:
    folder = run_folder(out, job)
    shutil.rmtree(folder, ignore_errors=True)  # of another fingerprint, or damaged
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(folder.parent)
    failure = None
    try:
        with whole_folder(folder) as new:
            _write(plan, comparator, job, trained, new, folder, device)
    except TripleNetError as error:
        failure = Failure.of(error, out, plan.prepared.folder)
    status = "complete" if failure is None else "failed"
    record = RunRecord(hash=digest(fingerprint), fingerprint=fingerprint, status=status, failure=failure)
    write_record(record_path(out, job), record)
    return failure


def _write(
    plan: Plan, comparator: Comparator, job: Job, trained: Mapping[Job, Run], new: Path, folder: Path, device: str
) -> None:
    """The files of one run into ``new``, which will be ``folder``."""
    began, started = perf_counter(), datetime.now(UTC)
    prepared, task, fold = plan.prepared, plan.task, plan.prepared.fold(job.fold)
    labels = prepared.labels(task)
    rows = {name: prepared.rows(getattr(fold, name)) for name in PARTITIONS}
    rows = {name: each[labels[each] >= 0] for name, each in rows.items()}
    answer = _answer(plan, comparator, job, trained, rows, labels, device)
    partitions = tuple(name for name in PARTITIONS[1:] for _ in rows[name])
    asked = np.concatenate([rows[name] for name in PARTITIONS[1:]])
    names = tuple(prepared.patients[row].patient for row in asked.tolist())
    predictions = Predictions(names, partitions, labels[asked], answer.probabilities)
    write_predictions(new, predictions, task.classes)
    validation = predictions.of("validation")
    scores = {
        "accuracy": accuracy(validation.labels, validation.predicted),
        "auc": auc(validation.labels, validation.probabilities),
    }
    info = RunInfo(
        status="complete",
        method=job.method,
        task=task_card(task),
        classes=task.classes,
        fold=job.fold,
        fold_sha256=fold.sha256,
        prepared=relative_path(prepared.folder.resolve(), folder.resolve()),
        data_sha256=prepared.info.sha256,
        leakage=len(prepared.info.leakage),
        recipe={"comparator": {"what": comparator.shown} | answer.chosen, "training": {"seed": job.seed}},
        encoder=None,
        patients={
            name: {label: int((labels[each] == c).sum()) for c, label in enumerate(task.classes)}
            for name, each in rows.items()
        },
        parameters=answer.parameters,
        versions={"triplenet": triplenet.__version__, "numpy": np.__version__, "python": platform.python_version()},
        hardware=Hardware(
            device="cpu",
            name=platform.processor() or platform.machine(),
            threads=usable_threads(),
            system=f"{platform.system()} {platform.machine()}",
        ),
        started=started,
        finished=datetime.now(UTC),
        seconds=perf_counter() - began,
        validation={name: None if np.isnan(value) else value for name, value in scores.items()},
        files={PREDICTIONS: sha256_of(new / PREDICTIONS)},
    )
    write_info(new, info)


def _answer(
    plan: Plan,
    comparator: Comparator,
    job: Job,
    trained: Mapping[Job, Run],
    rows: Mapping[str, npt.NDArray[np.int64]],
    labels: npt.NDArray[np.int64],
    device: str,
) -> _Answer:
    """One score for two classes goes by a threshold chosen on validation; everything else through a probe."""
    positive = positive_of(plan.task)
    by_threshold = positive is not None and comparator.kind != FEATURES
    needed = PARTITIONS[1:] if by_threshold else PARTITIONS
    values = _values(plan, comparator, job, trained, np.concatenate([rows[name] for name in needed]), device)
    at = np.cumsum([0, *(len(rows[name]) for name in needed)])
    of = {name: values[first:last] for name, first, last in zip(needed, at, at[1:], strict=False)}
    asked = np.concatenate([of["validation"], of["test"]])
    if positive is not None and by_threshold:
        threshold = threshold_on(of["validation"][:, 0], labels[rows["validation"]] == positive)
        found = np.empty((len(asked), 2))
        found[:, positive] = share_as_probability(asked[:, 0], threshold)
        found[:, 1 - positive] = 1 - found[:, positive]
        return _Answer(found, {"threshold": threshold}, 1)
    training, validation = (Part(of[name], labels[rows[name]]) for name in PARTITIONS[:2])
    probe = fit_probe(training, validation, len(plan.task.classes))
    return _Answer(probe.predict(asked), {"inverse_penalty": probe.inverse_penalty}, probe.parameters)


def _values(
    plan: Plan,
    comparator: Comparator,
    job: Job,
    trained: Mapping[Job, Run],
    rows: npt.NDArray[np.int64],
    device: str,
) -> Floats:
    """(n, D) what a comparator knows of these patients: one score, or features."""
    if comparator.features is not None:
        return comparator.features.vectors[rows]
    if comparator.kind == SEGMENTATION:
        return _segmented(plan, _source(comparator, job), trained, rows, device)[:, None]
    return np.array([[plan.prepared.patients[row].opacity] for row in rows.tolist()], dtype=np.float64)


def _segmented(plan: Plan, source: Job, trained: Mapping[Job, Run], rows: npt.NDArray[np.int64], device: str) -> Floats:
    if source not in trained:
        raise BadRun(f"the run whose network segments failed ({source})", do="mend that one first")
    from triplenet.benchmark.infected_share import infected_shares
    from triplenet.model import load_model
    from triplenet.training.device import choose_device

    model = load_model(trained[source].model, str(choose_device(device)))
    return infected_shares(model, plan.prepared, rows.tolist())
