"""The rows of a table as spreadsheets save it: separators, encodings, empty rows and columns.

Commas, semicolons or tabs, whichever the first line is made of, or what a ``sep=`` line before it says; UTF-8 or UTF-16
with its mark. Rows of nothing but separators and unnamed columns without a value are passed over. Rows are numbered by
the line of the file that they begin in.
"""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from triplenet.errors import BadCohort

_SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class SheetRow:
    """One row.

    :param line: of the file, from 1, in which it begins
    """

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A table: what its first line names, and the rows below."""

    header: tuple[str, ...]
    line: int
    """Of the header"""
    rows: tuple[SheetRow, ...]


def read_sheet(raw: bytes, path: Path, known: tuple[str, ...]) -> Sheet:
    """The table in a file's bytes.

    :param known: columns whose names tell which separator it is
    :raises BadCohort: no text, no table, or values in a column without a name
    """
    text = _decoded(raw, path)
    skipped = 0
    separator = None
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip().strip('"')) == 5:
        separator, text, skipped = first.strip().strip('"')[4], rest, 1
        first = rest.partition("\n")[0]
    separator = separator or max(_SEPARATORS, key=lambda each: (_named(first, each, known), first.count(each)))
    rows = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begins = 1 + skipped
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(SheetRow(begins, tuple(cells)))
            begins = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise BadCohort(f"not a CSV file ({error})", where=path) from error
    if not rows:
        return Sheet((), 1, ())
    head, *body = rows
    header = [name.strip() for name in head.cells]
    while (
        header and not header[-1] and not any(len(row.cells) >= len(header) and _has(row, len(header)) for row in body)
    ):
        header.pop()
        body = [SheetRow(row.line, row.cells[: len(header)]) for row in body]
    if "" in header:
        raise BadCohort(
            f"column {header.index('') + 1} has values and no name", where=path, do="name it in the first line"
        )
    return Sheet(tuple(header), head.line, tuple(body))


def _has(row: SheetRow, column: int) -> bool:
    return len(row.cells) >= column and bool(row.cells[column - 1].strip())


def _named(line: str, separator: str, known: tuple[str, ...]) -> int:
    """How many of the known columns a first line names, parted so."""
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return 0
    return sum(cell.strip() in known for cell in cells)


def _decoded(raw: bytes, path: Path) -> str:
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadCohort("the table is not UTF-8 text", where=path, do="save it as CSV UTF-8") from error
