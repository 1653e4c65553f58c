"""``triplenet paper``: Table 2 recomputed, the paper's columns beside the textbook's."""

from __future__ import annotations

from triplenet.cli import console

_HEADINGS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f": "F",
}


def paper(json: console.Json = False) -> None:
    """Recompute Table 2 from the confusion matrices behind it: the paper's columns, then the textbook's."""
    from dataclasses import asdict

    from rich.table import Table

    from triplenet.evaluation.paper import COLUMNS, matrices, table2

    rows = table2()
    if json:
        folds = {method: [matrix.tolist() for matrix in found] for method, found in matrices().items()}
        console.print_json({"rows": [asdict(row) | {"matrices": folds[row.method]} for row in rows]})
        return
    for title, which in (
        ("Table 2 as printed (mean ± population spread of three folds, %)", "paper"),
        ("The same matrices by textbook definitions, positive as the target", "textbook"),
    ):
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("system", no_wrap=True)
        for name in COLUMNS:
            table.add_column(_HEADINGS[name], justify="right", no_wrap=True)
        for row in rows:
            columns = getattr(row, which)
            table.add_row(row.title, *(f"{columns[name].mean:.2f}±{columns[name].spread:.2f}" for name in COLUMNS))
        console.out.print(table)
        console.out.print()
    console.out.print(
        'The paper\'s "precision" is the specificity, its "specificity" the precision, its "sensitivity" the negative '
        "predictive value, its F the negatives' F: the columns of the transposed matrix with negative as the target. "
        "Accuracy stands. AUC cannot be recomputed from matrices.",
        markup=False,
    )
