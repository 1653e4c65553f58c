"""A table of results as data, and as CSV, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from triplenet.evaluation.outside_paper import MARK
from triplenet.files import write_csv, write_text

Mark = Literal["better", "worse"]
MARKS: Mapping[Mark, str] = {"better": "⁺", "worse": "⁻"}
#: Behind a number in which a class that is never predicted counts as 0.
ZERO_MARK = "°"
_LATEX_MARKS: Mapping[Mark, str] = {"better": "$^{+}$", "worse": "$^{-}$"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    ZERO_MARK: r"$^{\circ}$",
    MARK: r"$^{\dagger}$",
    "⁺": r"$^{+}$",
    "⁻": r"$^{-}$",
    "−": r"$-$",
    "≥": r"$\geq$",
    "λ": r"$\lambda$",
}
_COLUMNS_ON_A_PAGE = 7
_MARKDOWN = {character: "\\" + character for character in "\\`*_|<>[]"} | {"\n": " "}


@dataclass(frozen=True)
class Column:
    """What a column holds and how it is written."""

    name: str
    title: str
    unit: str = "%"
    scale: float = 100.0
    """What a value is multiplied with where it is shown; files of numbers keep it as it is"""
    digits: int = 2
    better: Literal["high", "low"] | None = "high"
    """Which value is the best of the column; None: none is"""
    group: str = ""
    """Heading over several columns"""

    @property
    def heading(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Cell:
    """A number, with its spread over folds or its interval; NaN is shown as a dash. Or a text."""

    value: float = np.nan
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    mark: Mark | None = None
    """Significantly better or worse than the reference"""
    text: str | None = None
    part: str = ""
    """Of what, where it is not of all: ``1 of 3 folds``; such a number is not the best of its column"""
    never_predicted: bool = False
    """A class that is never predicted counts as 0 in it"""


@dataclass(frozen=True)
class Row:
    """One method, or whatever the first column names."""

    name: str
    title: str
    cells: Mapping[str, Cell] = field(default_factory=dict)
    remark: str = ""
    """Shown behind the title: what is missing"""
    rated: bool = True
    """Whether its numbers may be the best of their column; not so if runs are missing"""


@dataclass(frozen=True)
class Table:
    """Rows and columns; a row without a cell shows nothing there."""

    name: str
    """File name and LaTeX label"""
    title: str
    heading: str
    """Of the first column"""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def best(self, column: Column) -> frozenset[str]:
        """Names of the rows that are best as the column is written, ties included; none among fewer than two."""
        shown = {}
        for row in self.rows:
            cell = row.cells.get(column.name)
            if row.rated and cell is not None and cell.text is None and not cell.part and not np.isnan(cell.value):
                shown[row.name] = round(cell.value * column.scale, column.digits)
        if column.better is None or len(shown) < 2:
            return frozenset()
        top = max(shown.values()) if column.better == "high" else min(shown.values())
        return frozenset(name for name, value in shown.items() if value == top)


def cell_text(cell: Cell | None, column: Column) -> str:
    """A cell as it is shown, without its mark: ``79.40±2.71``, ``0.81 (0.75 to 0.86)``, or a dash."""
    if cell is None:
        return ""
    if cell.text is not None:
        return cell.text
    if np.isnan(cell.value):
        return "–"

    def number(value: float) -> str:
        return f"{value * column.scale:.{column.digits}f}"

    text = number(cell.value) + (ZERO_MARK if cell.never_predicted else "")
    if cell.spread is not None and not np.isnan(cell.spread):
        text += f"±{number(cell.spread)}"
    if cell.low is not None and cell.high is not None and not np.isnan([cell.low, cell.high]).any():
        text += f" ({number(cell.low)} to {number(cell.high)})"
    return f"{text} [{cell.part}]" if cell.part else text


def headings(table: Table) -> tuple[str, ...]:
    """The headings as one line, columns of a group told apart by its name."""
    titles = [f"{column.group}: {column.heading}" if column.group else column.heading for column in table.columns]
    return (table.heading, *titles)


def row_title(row: Row) -> str:
    """The title with its remark."""
    return f"{row.title} ({row.remark})" if row.remark else row.title


def grid(table: Table) -> list[list[str]]:
    """The body as plain texts with marks, for a terminal."""
    return [
        [row_title(row), *(_marked(row.cells.get(column.name), column) for column in table.columns)]
        for row in table.rows
    ]


def csv_rows(table: Table) -> list[dict[str, object]]:
    """A dictionary a row with the unrounded numbers.

    NAME, and where there are any NAME_spread, NAME_low, NAME_high, NAME_mark, NAME_part, NAME_never_predicted.
    """
    found = []
    for row in table.rows:
        line: dict[str, object] = {table.heading: row.name, "title": row.title, "remark": row.remark}
        for column in table.columns:
            cell = row.cells.get(column.name)
            if cell is None:
                continue
            value = "" if np.isnan(cell.value) else float(cell.value)
            line[column.name] = cell.text if cell.text is not None else value
            parts = {"spread": cell.spread, "low": cell.low, "high": cell.high}
            for part, number in parts.items():
                if number is not None:
                    line[f"{column.name}_{part}"] = "" if np.isnan(number) else float(number)
            if cell.mark is not None:
                line[f"{column.name}_mark"] = cell.mark
            if cell.part:
                line[f"{column.name}_part"] = cell.part
            if cell.never_predicted:
                line[f"{column.name}_never_predicted"] = "yes"
        found.append(line)
    return found


def markdown(table: Table) -> str:
    """GitHub's Markdown, the best of each column in bold."""
    lines = [f"**{_escaped(table.title, _MARKDOWN)}**", ""]
    lines.append("| " + " | ".join(_escaped(heading, _MARKDOWN) for heading in headings(table)) + " |")
    lines.append("| --- |" + " ---: |" * len(table.columns))
    best = {column.name: table.best(column) for column in table.columns}
    for row in table.rows:
        cells = [_escaped(row_title(row), _MARKDOWN)]
        for column in table.columns:
            text = _escaped(_marked(row.cells.get(column.name), column), _MARKDOWN)
            cells.append(f"**{text}**" if row.name in best[column.name] else text)
        lines.append("| " + " | ".join(cells) + " |")
    for note in table.notes:
        lines += ["", _escaped(note, _MARKDOWN)]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A floating table for ``booktabs``, the best of each column in bold; a wide one is scaled to the page's width."""
    columns = table.columns
    wide = len(columns) > _COLUMNS_ON_A_PAGE
    lines = [
        rf"% needs \usepackage{{booktabs{',graphicx' if wide else ''}}}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(table.title, _LATEX)}}}",
        rf"\label{{tab:{table.name}}}",
        *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
    ]
    lines += _group_headings(columns)
    titles = [table.heading, *(column.heading for column in columns)]
    lines += [_latex_line([_escaped(title, _LATEX) for title in titles]), r"\midrule"]
    best = {column.name: table.best(column) for column in columns}
    for row in table.rows:
        cells = [_escaped(row_title(row), _LATEX)]
        for column in columns:
            cell = row.cells.get(column.name)
            text = _escaped(cell_text(cell, column), _LATEX)
            text = rf"\textbf{{{text}}}" if row.name in best[column.name] else text
            cells.append(text + (_LATEX_MARKS[cell.mark] if cell is not None and cell.mark else ""))
        lines.append(_latex_line(cells))
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    lines += [rf"\par\smallskip\footnotesize {_escaped(note, _LATEX)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def write_table(folder: Path, table: Table) -> tuple[Path, Path, Path]:
    """Write NAME.csv, NAME.md and NAME.tex, each whole or not at all.

    :raises OutputFailed: no room, no permission
    """
    paths = (folder / f"{table.name}.csv", folder / f"{table.name}.md", folder / f"{table.name}.tex")
    write_csv(paths[0], csv_rows(table))
    write_text(paths[1], markdown(table))
    write_text(paths[2], latex(table))
    return paths


def _marked(cell: Cell | None, column: Column) -> str:
    return cell_text(cell, column) + (MARKS[cell.mark] if cell is not None and cell.mark else "")


def _escaped(text: str, characters: Mapping[str, str]) -> str:
    return "".join(characters.get(character, character) for character in text)


def _latex_line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _group_headings(columns: tuple[Column, ...]) -> list[str]:
    """A line of headings that span their columns, and the rules below them; none where no column has a group."""
    if not any(column.group for column in columns):
        return []
    cells, rules, start = [""], [], 0
    while start < len(columns):
        stop = start
        while stop < len(columns) and columns[stop].group == columns[start].group:
            stop += 1
        cells.append(rf"\multicolumn{{{stop - start}}}{{c}}{{{_escaped(columns[start].group, _LATEX)}}}")
        if columns[start].group:
            rules.append(rf"\cmidrule(lr){{{start + 2}-{stop + 1}}}")
        start = stop
    return [_latex_line(cells), " ".join(rules)]
