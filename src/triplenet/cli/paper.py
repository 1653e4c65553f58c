"""``triplenet paper``: Table 2 recomputed, the paper's columns beside the textbook's."""

from __future__ import annotations

from triplenet.cli import console


def paper(json: console.Json = False) -> None:
    """Recompute Table 2 from the confusion matrices behind it: the paper's columns, then the textbook's."""
    from dataclasses import asdict

    from triplenet.evaluation.published_table import matrices, table2, tables

    if json:
        folds = {method: [matrix.tolist() for matrix in found] for method, found in matrices().items()}
        console.print_json({"rows": [asdict(row) | {"matrices": folds[row.method]} for row in table2()]})
        return
    for table in tables():
        console.print_table(table)
    console.out.print(
        'The paper\'s "precision" is the specificity, its "specificity" the precision, its "sensitivity" the negative '
        "predictive value, its F the negatives' F: the columns of the transposed matrix with negative as the target. "
        "Accuracy stands. AUC cannot be recomputed from matrices.",
        markup=False,
    )
