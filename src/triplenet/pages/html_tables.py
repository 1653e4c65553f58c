"""Tables of results on a page: the best of a column in bold, significant differences marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from triplenet.evaluation.tables import MARKS, ZERO_MARK, Cell, Column, Table
from triplenet.pages.markup import Markup, element, join


def results_markup(table: Table) -> Markup:
    """One table with its notes as the caption."""
    best = {column.name: table.best(column) for column in table.columns}
    body = [
        element(
            "tr",
            element(
                "th",
                row.title,
                element("span", row.remark, class_="remark") if row.remark else None,
                scope="row",
            ),
            [_cell(row.cells.get(column.name), column, row.name in best[column.name]) for column in table.columns],
        )
        for row in table.rows
    ]
    return element(
        "div",
        element(
            "table",
            element("caption", join(*table.notes, by=" ")) if table.notes else None,
            element("thead", _headings(table)),
            element("tbody", body),
            class_="results",
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=table.title,
    )


def narrower(table: Table, most: int) -> Iterator[Table]:
    """A wide table as several of at most ``most`` columns, each group whole; the notes stay with the first."""
    shown: list[Column] = []
    notes = table.notes
    for _, each in groupby(table.columns, lambda column: column.group):
        group = list(each)
        if shown and len(shown) + len(group) > most:
            yield replace(table, columns=tuple(shown), notes=notes)
            shown, notes = [], ()
        shown += group
    yield replace(table, columns=tuple(shown), notes=notes)


def _headings(table: Table) -> list[Markup]:
    """One line, or two where columns stand in groups."""
    lines = []
    if any(column.group for column in table.columns):
        groups = [(name, len(list(columns))) for name, columns in groupby(table.columns, lambda column: column.group)]
        cells = [element("th", name, scope="colgroup", colspan=count) for name, count in groups]
        lines.append(element("tr", element("td"), cells))
    titles = [element("th", column.heading, scope="col", class_="number") for column in table.columns]
    lines.append(element("tr", element("th", table.heading, scope="col"), titles))
    return lines


def _cell(cell: Cell | None, column: Column, best: bool) -> Markup:
    if cell is None:
        return element("td", class_="number")
    if cell.text is not None:
        return element("td", cell.text, class_="number")
    if np.isnan(cell.value):
        return element("td", "–", class_="number")
    value: str | Markup = _number(cell.value, column)
    mark = (ZERO_MARK if cell.never_predicted else "") + ("" if cell.mark is None else MARKS[cell.mark])
    spread = None
    if cell.spread is not None and not np.isnan(cell.spread):
        spread = element("span", f" ± {_number(cell.spread, column)}", class_="plus-minus")
    between = None
    if cell.low is not None and cell.high is not None and not np.isnan([cell.low, cell.high]).any():
        between = element("span", f"{_number(cell.low, column)} to {_number(cell.high, column)}", class_="interval")
    said = join(value, mark)
    part = element("span", f"[{cell.part}]", class_="interval") if cell.part else None
    return element("td", element("strong", said) if best else said, spread, between, part, class_="number")


def _number(value: float, column: Column) -> str:
    return f"{value * column.scale:.{column.digits}f}".replace("-", "−")
