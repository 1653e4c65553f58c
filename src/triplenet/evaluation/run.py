"""One run, evaluated on its test patients: metrics with intervals, the confusion matrix, curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triplenet.errors import BadRun
from triplenet.evaluation.curves import Roc, roc_curve
from triplenet.evaluation.estimates import estimates
from triplenet.evaluation.figures import confusion_figure, history_figure, roc_figure, write_figure
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.metrics import Matrix, confusion, paper_columns, standard
from triplenet.files import write_csv, write_json
from triplenet.training.run import Predictions, Run

FOLDER = "evaluation"
SHOWN = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "npv",
    "f",
    "auc",
    "brier",
)


@dataclass(frozen=True)
class Evaluation:
    """What a run's kept weights say of one partition."""

    method: str
    task: str
    fold: int
    partition: str
    classes: tuple[str, ...]
    positive: str | None
    """The target of the metrics of a binary task; None: they are macro means"""
    patients: int
    matrix: Matrix
    """(C, C), rows truth, columns prediction"""
    metrics: dict[str, Estimate]
    """Textbook definitions, with 95 % intervals over patients: Wilson's for proportions, DeLong's for a binary
    task's AUC, else bootstrap"""
    roc: Roc | None
    """Of a binary task with patients of both classes"""
    never_predicted: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: everything but the curve, and the paper's columns and the averages besides."""
        found = standard(self.matrix, None if self.positive is None else self.classes.index(self.positive))
        facts = {name: value for name, value in vars(self).items() if name not in ("matrix", "metrics", "roc")}
        return facts | {
            "matrix": self.matrix.tolist(),
            "metrics": {name: asdict(estimate) for name, estimate in self.metrics.items()},
            "averages": {name: asdict(getattr(found, name)) for name in ("macro", "weighted", "micro")},
            "per_class": dict(zip(self.classes, (asdict(one) for one in found.per_class), strict=True)),
            "paper_columns": asdict(paper_columns(self.matrix, self._positive_index())),
        }

    def _positive_index(self) -> int:
        return 1 if self.positive is None else self.classes.index(self.positive)


def evaluate(run: Run, partition: str = "test") -> Evaluation:
    """Evaluate a finished run.

    :param partition: ``test`` or ``validation``
    :raises BadRun: the training is not finished, or the partition has no patients with a label
    """
    predictions = run.predictions().of(partition)
    if not (predictions.labels >= 0).any():
        raise BadRun(f"no {partition} patient has a label", where=run.folder)
    classes = run.info.classes
    matrix = confusion(predictions.labels, predictions.predicted, len(classes))
    positive = run.positive[0] if len(classes) == 2 and len(run.positive) == 1 else None
    return Evaluation(
        method=run.info.method,
        task=run.info.task.name,
        fold=run.info.fold,
        partition=partition,
        classes=classes,
        positive=None if positive is None else classes[positive],
        patients=len(predictions.labels),
        matrix=matrix,
        metrics=_metrics(predictions, positive),
        roc=None if positive is None else _roc(predictions, positive),
        never_predicted=tuple(name for name, count in zip(classes, matrix.sum(axis=0), strict=True) if count == 0),
    )


def write(evaluation: Evaluation, run: Run) -> Path:
    """Write ``evaluation/test.json`` into the run and, for a binary task, ``test-roc.csv``; likewise for validation."""
    folder = run.folder / FOLDER
    folder.mkdir(exist_ok=True)
    name = evaluation.partition
    write_json(folder / f"{name}.json", _without_nan(evaluation.as_dict()))
    if evaluation.roc is not None:
        columns = asdict(evaluation.roc)
        rows = [dict(zip(columns, point, strict=True)) for point in zip(*columns.values(), strict=True)]
        write_csv(folder / f"{name}-roc.csv", rows)
        curve = roc_figure(evaluation.roc.false_positive_rate, evaluation.roc.true_positive_rate, _title(evaluation))
        write_figure(folder / f"{name}-roc.png", curve)
    write_figure(
        folder / f"{name}-confusion.png", confusion_figure(evaluation.matrix, evaluation.classes, _title(evaluation))
    )
    history = history_figure(run.history(), run.info.best_epoch, f"{evaluation.method}, fold {evaluation.fold}")
    write_figure(folder / "history.png", history)
    return folder


def _title(evaluation: Evaluation) -> str:
    title = f"{evaluation.method}, fold {evaluation.fold}, {evaluation.patients} {evaluation.partition} patients"
    area = evaluation.metrics.get("auc")
    if area is None or np.isnan(area.value):
        return title
    return f"{title}\nAUC {area.value:.3f} ({area.low:.3f} to {area.high:.3f})"


def _roc(predictions: Predictions, positive: int) -> Roc | None:
    known = predictions.labels >= 0
    return roc_curve(predictions.labels[known] == positive, predictions.probabilities[known, positive])


def _metrics(predictions: Predictions, positive: int | None) -> dict[str, Estimate]:
    found = estimates(predictions.labels, predictions.predicted, predictions.probabilities, positive=positive)
    return {name: found[name] for name in SHOWN}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and np.isnan(value):
        return None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
