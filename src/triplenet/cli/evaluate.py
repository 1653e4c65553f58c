"""``triplenet evaluate``: metrics, intervals and curves of one run."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from triplenet.cli import console
from triplenet.cli.preparation_notes import say_notes_of

_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "npv": "NPV",
    "f1": "F-measure",
    "auc": "AUC",
    "brier": "Brier score",
}


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    partition: Annotated[str, typer.Option(help="test or validation.")] = "test",
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
    found = evaluate_run(opened, "test" if partition == "test" else "validation")
    say_notes_of(opened)
    if json:
        console.print_json(found.as_dict())
        return
    target = f"target: {found.positive}" if found.positive else "macro means over the classes"
    table = Table(title=f"{found.job.method}, fold {found.job.fold}, {found.patients} {partition} patients ({target})")
    for heading in ("", "value", "95 % interval"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, estimate in found.metrics.items():
        between = "–" if isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"
        table.add_row(_NAMES[name], "–" if isnan(estimate.value) else f"{estimate.value:.3f}", between)
    console.out.print(table)
    matrix = Table(title="Confusion matrix: rows truth, columns prediction")
    matrix.add_column("")
    for name in found.classes:
        matrix.add_column(name, justify="right")
    for name, row in zip(found.classes, found.matrix, strict=True):
        matrix.add_row(name, *map(str, row))
    console.out.print(matrix)
    for name in found.never_predicted:
        console.say(f"note: the class {name} is never predicted; where it has patients, its precision counts as 0")
    console.out.print(f"written to {run / FOLDER}", markup=False)
