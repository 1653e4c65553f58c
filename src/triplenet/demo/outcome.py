"""What the demo's page shows, gathered from its runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from triplenet import catalog
from triplenet.evaluation.curves import roc_curve
from triplenet.evaluation.single_run import Evaluation
from triplenet.explanation import heat_maps, overlap
from triplenet.model import load_model
from triplenet.prepare.store import PreparedSet
from triplenet.report import Case, Curve, Demo, Estimate, Look, MethodOutcome, NewScan
from triplenet.training import Run

#: Column of the history -> what it shows.
_CURVES = {"loss_total": "training loss", "validation_auc": "validation AUC"}
_PER_FINDING = {"typical": 2, "indeterminate": 1, "atypical": 1, "negative": 1}


def outcome(
    prepared: PreparedSet,
    runs: Mapping[str, Run],
    evaluations: Mapping[str, Evaluation],
    new_scan: NewScan,
    seconds: float,
    commands: tuple[str, ...],
) -> Demo:
    """Everything the page shows."""
    run = next(iter(runs.values()))
    fold = prepared.fold(run.info.fold)
    rows = prepared.rows(fold.test)
    images = np.array(prepared.images[rows])
    heats = {
        method: heat_maps(load_model(one.model), images, one.predictions().of("test").predicted)
        for method, one in runs.items()
    }
    infections = np.array(prepared.masks[rows]) == catalog.INFECTION
    methods = tuple(_method(evaluations[method], runs[method], heats[method], infections) for method in runs)
    shown = _chosen(prepared, rows, runs)
    return Demo(
        task=run.task,
        findings=Counter(patient.finding or "" for patient in prepared.patients),
        partition={"training": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
        methods=methods,
        cases=tuple(
            _case(prepared, int(rows[position]), position, runs, heats, infections[position]) for position in shown
        ),
        new_scan=new_scan,
        settings=_settings(prepared, run),
        commands=commands,
        seconds=seconds,
        intervals="95 % intervals over patients (Wilson for proportions, DeLong for AUC, bootstrap for F)",
    )


def _method(
    evaluation: Evaluation, run: Run, heats: npt.NDArray[np.float32], infections: npt.NDArray[np.bool_]
) -> MethodOutcome:
    scores = [overlap(heat, mask) for heat, mask in zip(heats, infections, strict=True) if mask.any()]
    inside = [score.mass_inside for score in scores if score.mass_inside is not None]
    history = run.history()
    test = run.predictions().of("test")
    roc = roc_curve(test.labels == 1, test.probabilities[:, 1])
    return MethodOutcome(
        name=evaluation.job.method,
        metrics={
            name: Estimate(*(None if math.isnan(number) else number for number in (one.value, one.low, one.high)))
            for name, one in evaluation.metrics.items()
        },
        confusion=evaluation.matrix,
        roc=None if roc is None else Curve(roc.false_positive_rate, roc.true_positive_rate),
        history={
            title: Curve(
                [float(row["epoch"] or 0) + 1 for row in history if row[column] is not None],
                [float(value) for row in history if (value := row[column]) is not None],
            )
            for column, title in _CURVES.items()
        },
        inside=Estimate(float(np.mean(inside))) if inside else None,
        pointing=(sum(bool(score.peak_inside) for score in scores), len(scores)),
        seconds=run.info.seconds,
    )


def _chosen(prepared: PreparedSet, rows: npt.NDArray[np.int64], runs: Mapping[str, Run]) -> list[int]:
    """Positions among the test patients: the first of each finding in numerical order, then the first mistakes."""
    left = dict(_PER_FINDING)
    shown = []
    for position, row in enumerate(rows):
        finding = prepared.patients[row].finding or ""
        if left.get(finding, 0) > 0:
            left[finding] -= 1
            shown.append(position)
    for run in runs.values():
        tested = run.predictions().of("test")
        wrong = [int(position) for position in np.flatnonzero(tested.predicted != tested.labels)]
        shown += [position for position in wrong if position not in shown][:1]
    return shown


def _case(
    prepared: PreparedSet,
    row: int,
    position: int,
    runs: Mapping[str, Run],
    heats: Mapping[str, npt.NDArray[np.float32]],
    infection: npt.NDArray[np.bool_],
) -> Case:
    patient = prepared.patients[row]
    finding = patient.finding or ""
    looks = []
    for method, run in runs.items():
        tested = run.predictions().of("test")
        looks.append(
            Look(
                method=method,
                heat=heats[method][position],
                predicted=run.info.classes[int(tested.predicted[position])],
                probability=float(tested.probabilities[position, list(run.positive)].sum()),
            )
        )
    return Case(
        name=patient.patient,
        finding=finding,
        truth=next(iter(runs.values())).task.findings[finding],
        image=np.array(prepared.images[row]),
        infection=infection,
        looks=tuple(looks),
    )


def _settings(prepared: PreparedSet, run: Run) -> dict[str, str]:
    recipe = run.recipe
    lower, upper = prepared.info.window_hu
    return {
        "Slice": "the one with the largest infection area, else the largest lung area",
        "Window": f"{lower:g} to {upper:g} HU",
        "Image": f"{prepared.info.size} × {prepared.info.size}, of which {recipe.augmentation.crop} × "
        f"{recipe.augmentation.crop} are read",
        "Encoder": "ResNet18 from random weights (with ImageNet weights it would learn faster)",
        "Training": f"{recipe.training.epochs} epochs, batches of {recipe.training.batch}, Adam "
        f"{recipe.training.learning_rate:g}, seed {recipe.training.seed}; the last weights are kept",
        "Augmentation": f"two views for Triple Net; turned by up to {recipe.augmentation.rotation_degrees:g}°, "
        "flipped, cropped, brighter or darker",
        "Data": prepared.info.sha256[:16],
    }
