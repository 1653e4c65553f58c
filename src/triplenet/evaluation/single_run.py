"""One run, evaluated: a benchmark of one method, one fold and one seed, with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from triplenet.errors import BadRun
from triplenet.evaluation.figures import draw_figures
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.method_calibration import Calibration
from triplenet.evaluation.metrics import Matrix, confusion, paper_columns, textbook_metrics
from triplenet.evaluation.predictive_values import PREVALENCES
from triplenet.evaluation.results import Results, summarise
from triplenet.evaluation.sample_size import WIDTHS
from triplenet.evaluation.supplement_tables import not_estimated, supplement_tables
from triplenet.evaluation.tables import Table, write_table
from triplenet.files import jsonable, write_json
from triplenet.model import check_model
from triplenet.training.job import Job
from triplenet.training.run import Run, open_run

FOLDER = "evaluation"
TABLES = "tables"
#: What hangs on no threshold leads; accuracy and F, which mislead where classes are unequal, come last.
SHOWN = (
    "auc",
    "brier",
    "sensitivity",
    "specificity",
    "precision",
    "npv",
    "balanced_accuracy",
    "accuracy",
    "f1",
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
    def calibration(self) -> Calibration:
        """Of the positive class's probability, or of the most probable class's."""
        return self.results.calibration[self.job.method]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Predictive values, widths of intervals, the AUC by its influence curve."""
        return tuple(supplement_tables(self.results))

    @property
    def not_estimated(self) -> tuple[str, ...]:
        """What one run cannot tell, a sentence each."""
        return not_estimated(self.results)

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
                "calibration": asdict(self.calibration),
                **self.results.supplement.as_dict(),
                "not_estimated": self.not_estimated,
            }
        )
        return plain


def evaluate(
    run: Run | Path | str,
    partition: Literal["test", "validation"] = "test",
    *,
    prevalences: Sequence[float] = PREVALENCES,
    widths: Sequence[float] = WIDTHS,
    write: bool = True,
) -> Evaluation:
    """Evaluate a finished run on patients it was not trained on.

    :param run: opened, or its folder
    :param prevalences: at which PPV and NPV are told, each above 0 and below 1
    :param widths: of intervals, for which the patients needed are told, each above 0 and below 1
    :param write: also into the run's folder, see ``write_evaluation``
    :raises OutputFailed: no room, no permission; otherwise as ``assess``
    """
    opened = run if isinstance(run, Run) else open_run(run)
    evaluation = assess(opened, partition, prevalences=prevalences, widths=widths)
    if write:
        write_evaluation(evaluation, opened)
    return evaluation


def assess(
    run: Run,
    partition: str = "test",
    *,
    prevalences: Sequence[float] = PREVALENCES,
    widths: Sequence[float] = WIDTHS,
) -> Evaluation:
    """Evaluate a finished run; nothing is written.

    :param partition: ``test`` or ``validation``
    :raises BadInput: a prevalence or a width is not one
    :raises BadRun: the training is not finished, or the partition has no patients with a label
    :raises BadModel: the run's model file is damaged
    """
    predictions = run.predictions().of(partition)
    if run.model.is_file():  # nothing is said of a model that cannot be used
        check_model(run.model)
    if not (predictions.labels >= 0).any():
        raise BadRun(f"no {partition} patient has a label", where=run.folder)
    job = Job(run.info.method, run.info.fold, _seed(run))
    results = summarise(
        {job: run},
        run.task,
        (job.method,),
        seeds=(job.seed,),
        partition=partition,
        prevalences=prevalences,
        widths=widths,
    )
    matrix = confusion(predictions.labels, predictions.predicted, len(run.info.classes))
    return Evaluation(job, results, matrix, len(predictions.labels))


def _seed(run: Run) -> int:
    """Of a comparator too, which has no recipe of a training."""
    training = run.info.recipe.get("training")
    seed = training.get("seed", 0) if isinstance(training, dict) else 0
    return seed if isinstance(seed, int) else 0


def write_evaluation(evaluation: Evaluation, run: Run) -> Path:
    """Write ``evaluation/test.json`` into the run, its figures into ``evaluation/test``, its tables into
    ``evaluation/test/tables``; likewise for validation.

    :raises OutputFailed: no room, no permission
    """
    folder = run.folder / FOLDER
    partition = evaluation.results.partition
    write_json(folder / f"{partition}.json", evaluation.as_dict())
    draw_figures(evaluation.results, folder / partition)
    for table in evaluation.tables:
        write_table(folder / partition / TABLES, table)
    return folder
