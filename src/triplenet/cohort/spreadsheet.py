"""The rows of a table as spreadsheets save it: separators, encodings, empty rows and columns.

Commas, semicolons, tabs or bars, whichever tells the known columns of the header apart, or what a ``sep=`` line before
it says; UTF-8 or UTF-16. Rows of nothing but separators and unnamed columns without a value are passed over.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triplenet.csv_cells import unguarded
from triplenet.errors import BadCohort

LARGEST = 256 << 20
"""Bytes; a million patients are fewer"""
_SEPARATORS = (",", ";", "\t", "|")
_ANNOUNCED = re.compile(r'"?sep=(?P<separator>[^"\r\n])"?(?P=separator)*+[ ]*+(?:\r\n|\r|\n)', re.IGNORECASE)
_BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # Excel's and LibreOffice's own files, today's and before 2007


@dataclass(frozen=True)
class SheetRow:
    """One row.

    :param line: of the file, from 1, in which it begins
    :param number: as a spreadsheet numbers it: a cell of two lines is one row, and a ``sep=`` line is not shown
    """

    line: int
    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A table: what its header names, and the rows below, as long as the header where they are not at fault."""

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
    announced = _ANNOUNCED.match(text)
    if announced is not None:
        separator, text = announced["separator"], text[announced.end() :]
    else:
        separator = _separator(text, known)
    try:
        rows = list(_filled_rows(text, separator, skipped=int(announced is not None)))
    except csv.Error as error:
        raise BadCohort(f"not a CSV file ({error})", where=path) from error
    if not rows:
        return Sheet((), 1, ())
    header = [" ".join(name.split()) for name in rows[0].cells]  # a heading may have two lines
    body = [_cut(row, len(header)) for row in rows[1:]]
    for column in [column for column, name in enumerate(header) if not name][::-1]:
        if any(row.cells[column : column + 1] not in ((), ("",)) for row in body):
            raise BadCohort(
                f"column {column + 1} has values and no name", where=path, do="name it in the first line, or empty it"
            )
        del header[column]
        body = [SheetRow(r.line, r.number, r.cells[:column] + r.cells[column + 1 :]) for r in body]
    return Sheet(tuple(header), rows[0].line, tuple(body))


def _decoded(raw: bytes, path: Path) -> str:
    if raw.startswith(_BOOKS):
        raise BadCohort("a spreadsheet or an archive, not a CSV", where=path, do="save the table as CSV UTF-8")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = {b"\0": "utf-16-be"}.get(raw[:1]) or {b"\0": "utf-16-le"}.get(raw[1:2], "utf-8-sig")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadCohort("the table is not UTF-8 text", where=path, do="save it as CSV UTF-8") from error
    if "\0" in text:
        raise BadCohort("the table holds zero bytes: no text", where=path, do="save it as CSV UTF-8")
    return text


def _filled_rows(text: str, separator: str, skipped: int = 0) -> Iterator[SheetRow]:
    """The rows that have a value.

    :param skipped: lines of the file before the text
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begins = 1 + skipped
    for number, cells in enumerate(reader, start=1):
        stripped = tuple(unguarded(cell.strip()) for cell in cells)
        if any(stripped):
            yield SheetRow(begins, number, stripped)
        begins = reader.line_num + 1 + skipped


def _separator(text: str, known: tuple[str, ...]) -> str:
    """The one by which the header names most of the known columns; of those, the one by which it has most cells."""

    def fitness(separator: str) -> tuple[int, int]:
        try:
            header = next(_filled_rows(text, separator), None)
        except csv.Error:
            header = None
        if header is None:
            return 0, 0
        return sum(cell.lower() in known for cell in header.cells), len(header.cells)

    return max(_SEPARATORS, key=fitness)


def _cut(row: SheetRow, length: int) -> SheetRow:
    """The row without the separators that a spreadsheet writes up to the widest row of the sheet."""
    return row if any(row.cells[length:]) else SheetRow(row.line, row.number, row.cells[:length])
