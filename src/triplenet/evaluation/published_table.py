"""Table 2 of the paper from the confusion matrices behind it.

The paper prints means and spreads over three folds, not counts. Searching all integer matrices leaves exactly one
solution for each row: test folds of 288, 285 and 286 patients with 169 positives each, and the columns of
``paper_columns``. Those matrices are this project's own result and ship with it; which of the last two folds is the
second is not known.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources

import numpy as np

from triplenet import catalog
from triplenet.evaluation.fold_spread import Spread, over_folds
from triplenet.evaluation.metrics import Matrix, paper_columns, textbook_metrics
from triplenet.evaluation.tables import Cell, Column, Table
from triplenet.evaluation.tables import Row as TableRow

COLUMNS = ("accuracy", "precision", "sensitivity", "specificity", "f1")


@dataclass(frozen=True)
class PublishedRow:
    """One system of Table 2."""

    method: str
    title: str
    paper: dict[str, Spread]
    """Under the paper's headings, in per cent"""
    textbook: dict[str, Spread]
    """Under the textbook's, the positive class as the target"""


def matrices() -> dict[str, tuple[Matrix, ...]]:
    """Method -> the three folds' matrices, rows truth, columns prediction, class 1 positive."""
    text = (resources.files("triplenet.evaluation") / "data" / "table2.csv").read_text(encoding="utf-8")
    found: dict[str, list[Matrix]] = {}
    for row in csv.DictReader(text.splitlines()):
        tp, fn, fp, tn = (int(row[name]) for name in ("tp", "fn", "fp", "tn"))
        found.setdefault(row["method"], []).append(np.array([[tn, fp], [fn, tp]], dtype=np.int64))
    return {method: tuple(folds) for method, folds in found.items()}


def table2() -> tuple[PublishedRow, ...]:
    """Table 2 recomputed, in the paper's order."""
    rows = []
    for method, folds in matrices().items():
        paper = [asdict(paper_columns(fold)) for fold in folds]
        textbook = []
        for fold in folds:
            target = textbook_metrics(fold, target=1).target
            if target is not None:
                textbook.append(asdict(target) | {"accuracy": textbook_metrics(fold).accuracy})
        rows.append(PublishedRow(method, catalog.method(method).title, _spreads(paper), _spreads(textbook)))
    return tuple(rows)


def tables() -> tuple[Table, Table]:
    """Table 2 under the paper's headings, and the same matrices by textbook definitions."""
    titles = {name: "F" if name == "f1" else name for name in COLUMNS}
    columns = tuple(Column(name, title, scale=1) for name, title in titles.items())
    rows = table2()

    def table(name: str, title: str, which: Callable[[PublishedRow], dict[str, Spread]]) -> Table:
        body = []
        for row in rows:
            cells = {metric: Cell(found.mean, found.spread) for metric, found in which(row).items()}
            body.append(TableRow(row.method, row.title, cells))
        return Table(
            name, title, "system", columns, tuple(body), ("Mean ± population spread (ddof 0) of three folds.",)
        )

    return (
        table("table2-paper", "Table 2 as printed", lambda row: row.paper),
        table(
            "table2-textbook",
            "The same matrices by textbook definitions, positive as the target",
            lambda row: row.textbook,
        ),
    )


def _spreads(folds: list[dict[str, float]]) -> dict[str, Spread]:
    found = {}
    for name in COLUMNS:
        over = over_folds([100 * fold[name] for fold in folds])
        found[name] = Spread(over.mean, over.spread)
    return found
