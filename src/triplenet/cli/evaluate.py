"""``triplenet evaluate``: metrics, intervals and curves of one run."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triplenet.cli import console
from triplenet.cli.preparation_notes import say_notes_of

if TYPE_CHECKING:
    from triplenet.evaluation.intervals import Estimate
    from triplenet.evaluation.single_run import Evaluation

_NAMES = {
    "auc": "AUC",
    "brier": "Brier score",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "npv": "NPV",
    "accuracy": "accuracy",
    "f1": "F-measure",
}
#: Behind the Brier score: whether probabilities mean what they say.
_CALIBRATION = {"slope": "calibration slope", "in_the_large": "calibration in the large"}


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    partition: Annotated[str, typer.Option(help="test or validation.")] = "test",
    prevalences: console.Prevalences = "0.05,0.1,0.2,0.5",
    widths: console.Widths = "0.1,0.05",
    json: console.Json = False,
) -> None:
    """Evaluate a run on patients it was not trained on; also written into RUN/evaluation."""
    from rich.table import Table

    from triplenet.evaluation.single_run import FOLDER
    from triplenet.evaluation.single_run import evaluate as evaluate_run
    from triplenet.training import open_run

    if partition not in ("test", "validation"):
        raise typer.BadParameter("choose test or validation", param_hint="--partition")
    opened = open_run(run)
    found = evaluate_run(
        opened,
        "test" if partition == "test" else "validation",
        prevalences=console.shares(prevalences, "--prevalences"),
        widths=console.shares(widths, "--widths"),
    )
    say_notes_of(opened)
    if json:
        console.print_json(found.as_dict())
        return
    target = f"target: {found.positive}" if found.positive else "macro means over the classes"
    table = Table(title=f"{found.job.method}, fold {found.job.fold}, {found.patients} {partition} patients ({target})")
    for heading in ("", "value", "95 % interval"):
        table.add_column(heading, justify="left" if not heading else "right")
    for title, estimate in _leading(found):
        between = "–" if isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"
        table.add_row(title, "–" if isnan(estimate.value) else f"{estimate.value:.3f}", between)
    console.out.print(table)
    for more in found.tables:
        console.print_table(more)
    matrix = Table(title="Confusion matrix: rows truth, columns prediction")
    matrix.add_column("")
    for name in found.classes:
        matrix.add_column(name, justify="right")
    for name, row in zip(found.classes, found.matrix, strict=True):
        matrix.add_row(name, *map(str, row))
    console.out.print(matrix)
    for name in found.never_predicted:
        console.say(f"note: the class {name} is never predicted; where it has patients, its precision counts as 0")
    for text in found.not_estimated:
        console.say(f"note: {text}")
    console.out.print(f"written to {run / FOLDER}", markup=False)


def _leading(found: Evaluation) -> Iterator[tuple[str, Estimate]]:
    """The metrics, the calibration line behind the Brier score."""
    for name, estimate in found.metrics.items():
        yield _NAMES[name], estimate
        if name == "brier":
            yield from ((title, getattr(found.calibration, part)) for part, title in _CALIBRATION.items())
