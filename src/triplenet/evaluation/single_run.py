"""One run, evaluated: a benchmark of one method, one fold and one seed, with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from triplenet.errors import BadRun
from triplenet.evaluation.figures import draw_figures
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.metrics import Matrix, confusion, paper_columns, textbook_metrics
from triplenet.evaluation.results import Results, summarise
from triplenet.files import jsonable, write_json
from triplenet.model import check_model
from triplenet.training.job import Job
from triplenet.training.run import Run, open_run

FOLDER = "evaluation"
SHOWN = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "npv",
    "f1",
    "auc",
    "brier",
)


@dataclass(frozen=True)
class Evaluation:
    """What a run's kept weights say of one partition."""

    job: Job
    results: Results
    """Of this run alone"""
    matrix: Matrix
    """(C, C), rows truth, columns prediction"""
    patients: int
    """Of the partition, those without a label among them"""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.results.classes

    @property
    def positive(self) -> str | None:
        """The target of the metrics of a binary task; None: they are macro means."""
        return None if self.results.positive is None else self.classes[self.results.positive]

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """Textbook definitions, with 95 % intervals over patients, as a benchmark has them."""
        found = self.results.estimates[self.job.method]
        return {name: found[name] for name in SHOWN}

    @property
    def never_predicted(self) -> tuple[str, ...]:
        """Classes that nobody is called."""
        return tuple(
            name for name, count in zip(self.classes, self.matrix.sum(axis=0).tolist(), strict=True) if count == 0
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: nothing for what is not defined."""
        positive = self.results.positive
        found = textbook_metrics(self.matrix, positive)
        plain: dict[str, Any] = jsonable(
            {
                "method": self.job.method,
                "task": self.results.task.name,
                "fold": self.job.fold,
                "partition": self.results.partition,
                "classes": self.classes,
                "positive": self.positive,
                "patients": self.patients,
                "never_predicted": self.never_predicted,
                "matrix": self.matrix.tolist(),
                "metrics": {name: asdict(estimate) for name, estimate in self.metrics.items()},
                "averages": {name: asdict(getattr(found, name)) for name in ("macro", "weighted", "micro")},
                "per_class": dict(zip(self.classes, map(asdict, found.per_class), strict=True)),
                "paper_columns": asdict(paper_columns(self.matrix, 1 if positive is None else positive)),
                "calibration": asdict(self.results.calibration[self.job.method]),
            }
        )
        return plain


def evaluate(
    run: Run | Path | str, partition: Literal["test", "validation"] = "test", *, write: bool = True
) -> Evaluation:
    """Evaluate a finished run on patients it was not trained on.

    :param run: opened, or its folder
    :param write: also into the run's folder, see ``write_evaluation``
    :raises OutputFailed: no room, no permission; otherwise as ``assess``
    """
    opened = run if isinstance(run, Run) else open_run(run)
    evaluation = assess(opened, partition)
    if write:
        write_evaluation(evaluation, opened)
    return evaluation


def assess(run: Run, partition: str = "test") -> Evaluation:
    """Evaluate a finished run; nothing is written.

    :param partition: ``test`` or ``validation``
    :raises BadRun: the training is not finished, or the partition has no patients with a label
    :raises BadModel: the run's model file is damaged
    """
    predictions = run.predictions().of(partition)
    if run.model.is_file():  # nothing is said of a model that cannot be used
        check_model(run.model)
    if not (predictions.labels >= 0).any():
        raise BadRun(f"no {partition} patient has a label", where=run.folder)
    job = Job(run.info.method, run.info.fold, _seed(run))
    results = summarise({job: run}, run.task, (job.method,), seeds=(job.seed,), partition=partition)
    matrix = confusion(predictions.labels, predictions.predicted, len(run.info.classes))
    return Evaluation(job, results, matrix, len(predictions.labels))


def _seed(run: Run) -> int:
    """Of a comparator too, which has no recipe of a training."""
    training = run.info.recipe.get("training")
    seed = training.get("seed", 0) if isinstance(training, dict) else 0
    return seed if isinstance(seed, int) else 0


def write_evaluation(evaluation: Evaluation, run: Run) -> Path:
    """Write ``evaluation/test.json`` into the run, and its figures into ``evaluation/test``; likewise for validation.

    :raises OutputFailed: no room, no permission
    """
    folder = run.folder / FOLDER
    partition = evaluation.results.partition
    write_json(folder / f"{partition}.json", evaluation.as_dict())
    draw_figures(evaluation.results, folder / partition)
    return folder
