"""Benchmarks whose runs nobody trained: what each says of each patient is written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from toy_run import random_card
from triplenet import networks
from triplenet.benchmark import Benchmark, Job, NotRun, Plan
from triplenet.benchmark.records import Failure, run_folder
from triplenet.model import save_model, task_card
from triplenet.training.run import (
    Hardware,
    Predictions,
    Run,
    RunInfo,
    open_run,
    write_history,
    write_info,
    write_predictions,
)

Answer = Callable[[Job, str, int], float]
"""Job, patient and true class -> probability of the second class"""


def made_run(plan: Plan, folder: Path, job: Job, answer: Answer) -> Run:
    """A finished run that answers so."""
    prepared, task = plan.prepared, plan.task
    fold = prepared.fold(job.fold)
    folder.mkdir(parents=True, exist_ok=True)
    names = (*fold.validation, *fold.test)
    labels = prepared.labels(task)[prepared.rows(names)]
    of_second = np.array([answer(job, name, int(label)) for name, label in zip(names, labels, strict=True)])
    info = RunInfo(
        status="complete",
        method=plan.recipe(job).method,
        task=task_card(task),
        classes=task.classes,
        fold=job.fold,
        fold_sha256=fold.sha256,
        prepared=str(prepared.folder),
        data_sha256=prepared.info.sha256,
        recipe=plan.recipe(job).dump(),
        encoder=None,
        patients={},
        parameters=0,
        versions={"torch": "0"},
        hardware=Hardware(device="cpu", name="abacus", threads=1, system="none"),
        started=datetime(2022, 11, 24, tzinfo=UTC),
        epochs=3,
        best_epoch=1,
        seconds=1.0,
        validation={"accuracy": 0.5, "auc": None, "loss": 1.0},
    )
    write_info(folder, info)
    partitions = ("validation",) * len(fold.validation) + ("test",) * len(fold.test)
    probabilities = np.stack([1 - of_second, of_second], axis=1)
    write_predictions(folder, Predictions(names, partitions, labels, probabilities), task.classes)
    columns = ("loss_total", "training_accuracy", "validation_loss", "validation_accuracy")
    write_history(folder, [{"epoch": epoch, **dict.fromkeys(columns, 1 / (epoch + 1))} for epoch in range(3)])
    return open_run(folder)


def give_model(run: Run, plan: Plan, job: Job, *, crop: int = 32) -> None:
    """A model file of random weights, so that the run can be explained."""
    task, options = plan.task, plan.recipe(job).network
    card = random_card(plan.prepared, task, plan.recipe(job).method, fold=job.fold, crop=crop, options=options)
    torch.manual_seed(0)
    network = networks.build(plan.recipe(job).method, classes=len(task.classes), **card.network).eval()
    save_model(run.model, network, torch.full((card.size, card.size), 0.3), card)


def made_benchmark(
    plan: Plan,
    out: Path,
    answer: Answer,
    *,
    failed: Sequence[Job] = (),
    not_run: Sequence[NotRun] = (),
) -> Benchmark:
    """All trainings of a plan, but for the failed ones."""
    runs = {job: made_run(plan, run_folder(out, job), job, answer) for job in plan.trainings() if job not in failed}
    failures = {job: Failure(code="TRAINING_DIVERGED", text="the loss is no longer finite") for job in failed}
    whole = replace(plan, not_run=tuple(not_run))
    return Benchmark(out, whole, runs, failures, (), "1 worker with 1 thread each")
