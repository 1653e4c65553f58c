"""A table of scans to classify: a CSV, one row a scan, paths relative to it.

Columns: ``scan``; optional ``infection`` and ``lung`` (binary masks) or ``mask`` (labelled), ``series`` (UID of the
DICOM series), ``slice`` (counted from the feet from 0). So a cohort table is one, of which another reader's
``second_infection`` is not used. ``patient`` or ``id`` says whose scan it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from triplenet.cohort.cells import missing_file, shortened, unfit_name, unfit_note, unfit_path
from triplenet.cohort.columns import meant_column
from triplenet.cohort.spreadsheet import SheetRow, read_sheet
from triplenet.cohort.table import NO_INFECTION, table_bytes
from triplenet.errors import BadCohort, Fault
from triplenet.inference.scan_request import ScanRequest

PATHS = ("scan", "infection", "lung", "mask")
NAMES = ("patient", "id")
COLUMNS = (*PATHS, "series", "slice", *NAMES)


@dataclass(frozen=True)
class ScanTable:
    """A validated table.

    :param unused: columns that mean nothing here
    """

    requests: tuple[ScanRequest, ...]
    unused: tuple[str, ...]


def read_scan_table(path: Path | str) -> ScanTable:
    """Read and validate a table of scans as a whole.

    A file that is not there is no fault of the table: its scan is refused when its turn comes. Where no scan is there
    the paths are meant otherwise.

    :raises PathMissing: there is no such table
    :raises BadCohort: the table has faults; all of them are listed
    """
    path = Path(path)
    sheet = read_sheet(table_bytes(path), path, COLUMNS)
    header = tuple(name.lower() if name.lower() in COLUMNS else name for name in sheet.header)
    _check_header(path, header, sheet.line)
    faults: list[Fault] = []
    requests = [_request(path.resolve().parent, header, row, faults) for row in sheet.rows]
    if not sheet.rows:
        faults.append(Fault(sheet.line, "scan", "EMPTY_COHORT", "the table has no scans"))
    if not faults:
        faults += _none_there(header, sheet.rows, path.resolve().parent)
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise BadCohort(f"{faults[0]}{more}", where=path, do="mend the table", faults=faults)
    return ScanTable(tuple(requests), tuple(name for name in header if name not in COLUMNS))


def _check_header(path: Path, header: Sequence[str], line: int) -> None:
    """:raises BadCohort: a column is missing, stands twice, or is named almost"""
    own = [name for name in header if name not in COLUMNS]
    lacking = [column for column in (*PATHS, "series", "slice") if column not in header]
    slips = {name: meant for name in own if (meant := meant_column(name, lacking)) is not None}
    hints = " ".join(f"did you mean {meant!r} by {name!r}?" for name, meant in slips.items())
    if "scan" not in header:
        raise BadCohort("the table lacks the column scan", where=path, do=hints or "name it in the first line")
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled:
        raise BadCohort(f"the column {doubled[0]} stands twice", where=path, do="name each column once")
    if slips:
        faults = [Fault(line, name, "UNKNOWN_COLUMN", f"did you mean {meant!r}?") for name, meant in slips.items()]
        name = shortened(faults[0].column)
        raise BadCohort(f"the column {name!r} is not known", where=path, do=hints, faults=faults)
    if "mask" in header and ("infection" in header or "lung" in header):
        raise BadCohort(
            "the table has a mask column beside infection or lung",
            where=path,
            do="give either one labelled mask or binary ones",
        )


def _request(folder: Path, header: Sequence[str], row: SheetRow, faults: list[Fault]) -> ScanRequest:
    """The row as a request; what is wrong with it goes into ``faults``."""

    def fault(column: str, code: str, text: str) -> None:
        faults.append(Fault(row.line, column, code, text, row.number))

    if len(row.cells) != len(header):
        fault("*", "BAD_ROW", f"has not {len(header)} cells but {len(row.cells)}")
        return ScanRequest(folder)
    cells = dict(zip(header, row.cells, strict=True))
    for name, cell in cells.items():
        unfit = unfit_path if name in PATHS else unfit_name if name in COLUMNS else unfit_note
        if text := unfit(cell):
            fault(name, "BAD_TEXT", text)
    if not cells["scan"]:
        fault("scan", "NO_SCAN", "is empty")
    index = cells.get("slice", "")
    if index and not (index.isascii() and index.isdecimal() and len(index) < 10):
        fault("slice", "BAD_SLICE", f"{shortened(index)!r} is no number from 0")
        index = ""
    return ScanRequest(
        folder / cells["scan"],
        infection=_path(folder, cells, "infection"),
        lung=_path(folder, cells, "lung"),
        mask=_path(folder, cells, "mask"),
        series=cells.get("series") or None,
        slice_from_feet=int(index) if index else None,
        patient=next((cells[name] for name in NAMES if cells.get(name)), None),
    )


def _path(folder: Path, cells: Mapping[str, str], column: str) -> Path | None:
    cell = cells.get(column, "")
    return None if not cell or (column == "infection" and cell.lower() == NO_INFECTION) else folder / cell


def _none_there(header: Sequence[str], rows: Sequence[SheetRow], folder: Path) -> list[Fault]:
    """A fault for each scan where none of them is there."""
    place = header.index("scan")
    faults = []
    for row in rows:
        missing = missing_file(folder / row.cells[place], row.cells[place])
        if missing is None:
            return []
        faults.append(Fault(row.line, "scan", *missing, row.number))
    return faults
