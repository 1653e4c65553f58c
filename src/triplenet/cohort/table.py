"""The cohort table: a CSV, one row a patient.

Columns: ``patient`` (unique), ``finding``, ``scan``; masks as ``infection`` and ``lung`` (binary) or ``mask``
(0 background, 1 lung, 2 infection); optional ``second_infection`` (binary, as another reader drew it), ``series`` (UID
of the DICOM series to use instead of the best one), ``group`` (patients of one group stay on one side of a fold) and
``site``. Paths are relative to the CSV. ``none`` as infection, of either reader, says that there is none, which an
empty cell does not. Any other column travels along, for strata.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from triplenet.catalog import Task
from triplenet.cohort.cells import missing_file, shortened, unfit_name, unfit_note, unfit_path
from triplenet.cohort.columns import COLUMNS, check_header
from triplenet.cohort.spreadsheet import LARGEST, SheetRow, read_sheet
from triplenet.errors import BadCohort, Fault, PathMissing, row_named
from triplenet.files import write_csv

_PATHS = ("scan", "infection", "lung", "mask", "second_infection")
#: In the ``infection`` columns: the patient has no infection, and no mask file is needed to say so.
NO_INFECTION = "none"


@dataclass(frozen=True)
class Patient:
    """One row. Paths are absolute; what a cell leaves out is None."""

    patient: str
    finding: str | None
    """None: takes part in the segmentation only."""
    scan: Path
    infection: Path | None = None
    lung: Path | None = None
    mask: Path | None = None
    no_infection: bool = False
    """The table says ``none``: every pixel is known not to be infected."""
    second_infection: Path | None = None
    """As another reader drew it"""
    no_second_infection: bool = False
    """That reader's cell says ``none``."""
    group: str | None = None
    site: str | None = None
    series: str | None = None
    """UID of the DICOM series to use; None: the best one"""
    extra: Mapping[str, str] = field(default_factory=dict)
    row: int = 0
    """The line of the file in which it begins, from 1."""
    sheet_row: int = 0
    """As a spreadsheet numbers it."""

    def fault(self, column: str, code: str, text: str) -> Fault:
        """A fault of this row."""
        return Fault(self.row, column, code, text, self.sheet_row)


@dataclass(frozen=True)
class Cohort:
    """A validated cohort table."""

    path: Path
    patients: tuple[Patient, ...]
    sha256: str
    """Of the CSV's bytes."""

    def __len__(self) -> int:
        return len(self.patients)

    def __iter__(self) -> Iterator[Patient]:
        return iter(self.patients)

    def findings(self) -> Counter[str]:
        """Patients a finding."""
        return Counter(p.finding for p in self.patients if p.finding is not None)


def read_cohort(path: Path | str, *, tasks: Iterable[Task] = (), missing_masks: bool = False) -> Cohort:
    """Read and validate a cohort table as a whole.

    :param tasks: when given, every finding must be named by at least one of them
    :param missing_masks: a mask that is not there is no fault of the table, but one that ``prepare`` will meet
    :raises PathMissing: there is no such file
    :raises BadCohort: the table has faults; all of them are listed
    """
    path = Path(path)
    raw = table_bytes(path)
    sheet = read_sheet(raw, path, COLUMNS)
    header, rows = sheet.header, sheet.rows
    check_header(path, header, sheet.line)
    needed = ("scan",) if missing_masks else _PATHS
    patients, faults = _parse(path.resolve().parent, header, rows, needed)
    faults += _duplicates(patients)
    faults += _unknown_findings(patients, tuple(tasks))
    if not rows:
        faults.append(Fault(sheet.line, "patient", "EMPTY_COHORT", "the table has no patients"))
    if faults:
        faults.sort(key=lambda fault: fault.row)
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise BadCohort(f"{faults[0]}{more}", where=path, do="mend the table", faults=faults)
    return Cohort(path, tuple(patients), hashlib.sha256(raw).hexdigest())


def combine(cohorts: Sequence[Cohort]) -> Cohort:
    """Several cohorts as one, in their order.

    :raises BadCohort: a patient stands in two of them
    """
    if len(cohorts) == 1:
        return cohorts[0]
    first: dict[str, int] = {}
    faults = []
    for number, cohort in enumerate(cohorts):
        for patient in cohort:
            other = first.setdefault(patient.patient, number)
            if other != number:
                text = f"stands in {cohorts[other].path} already"
                faults.append(patient.fault("patient", "DUPLICATE_PATIENT", text))
    if faults:
        raise BadCohort(str(faults[0]), where=cohorts[-1].path, do="rename the patients of one table", faults=faults)
    digest = hashlib.sha256("".join(cohort.sha256 for cohort in cohorts).encode()).hexdigest()
    return Cohort(cohorts[0].path, tuple(patient for cohort in cohorts for patient in cohort), digest)


def write_cohort(path: Path | str, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a cohort table, whole or not at all; columns of this module first, others as they come."""
    present = {name for row in rows for name in row}
    write_csv(Path(path), rows, [name for name in COLUMNS if name in present])


def table_bytes(path: Path) -> bytes:
    """What a table's file holds.

    :raises PathMissing, BadCohort: there is no such file, or none that could be a table
    """
    if path.is_dir():
        raise BadCohort("a folder, not a table", where=path, do="give the path of a CSV file")
    if not path.is_file():
        raise PathMissing("no such table", where=path, do="give the path of a CSV file")
    if path.stat().st_size > LARGEST:
        raise BadCohort(f"a table of more than {LARGEST >> 20} MiB", where=path, do="give the path of a CSV file")
    return path.read_bytes()


def _parse(
    folder: Path, header: tuple[str, ...], rows: Sequence[SheetRow], needed: Collection[str]
) -> tuple[list[Patient], list[Fault]]:
    """:param needed: columns whose files must be there"""
    patients: list[Patient] = []
    faults: list[Fault] = []
    for found in rows:
        fault = partial(_fault, found)
        if len(found.cells) != len(header):
            of = f"has not {len(header)} cells but {len(found.cells)}"
            faults.append(fault("*", "BAD_ROW", f"{of}; write a separator for each column, also before empty cells"))
            continue
        row = dict(zip(header, found.cells, strict=True))
        unfit = {name: text for name, cell in row.items() if (text := _unfit(name)(cell))}
        faults += [fault(name, "BAD_TEXT", text) for name, text in unfit.items()]
        if not row["patient"]:
            faults.append(fault("patient", "NO_PATIENT", "is empty"))
        no_infection = row.get("infection", "").lower() == NO_INFECTION
        no_second_infection = row.get("second_infection", "").lower() == NO_INFECTION
        said_none = {"infection": no_infection, "second_infection": no_second_infection}
        paths: dict[str, Path | None] = {}
        for column in _PATHS:
            cell = "" if said_none.get(column) else row.get(column, "")
            paths[column] = folder / cell if cell else None
            present = not cell or column in unfit or column not in needed
            if not present and (missing := missing_file(folder / cell, cell)):
                faults.append(fault(column, *missing))
        scan = paths["scan"]
        if scan is None:
            faults.append(fault("scan", "NO_SCAN", "is empty"))
            continue
        patient = Patient(
            patient=row["patient"],
            finding=row["finding"] or None,
            scan=scan,
            infection=paths["infection"],
            lung=paths["lung"],
            mask=paths["mask"],
            no_infection=no_infection,
            second_infection=paths["second_infection"],
            no_second_infection=no_second_infection,
            group=row.get("group") or None,
            site=row.get("site") or None,
            series=row.get("series") or None,
            extra={name: row[name] for name in header if name not in COLUMNS},
            row=found.line,
            sheet_row=found.number,
        )
        if patient.finding is None and not (patient.infection or patient.lung or patient.mask):
            faults.append(fault("finding", "NO_LABEL", "neither a finding nor a mask is given"))
        patients.append(patient)
    return patients, faults


def _fault(row: SheetRow, column: str, code: str, text: str) -> Fault:
    return Fault(row.line, column, code, text, row.number)


def _unfit(column: str) -> Callable[[str], str]:
    if column in _PATHS:
        return unfit_path
    return unfit_name if column in COLUMNS else unfit_note


def _duplicates(patients: Sequence[Patient]) -> list[Fault]:
    first: dict[str, Patient] = {}
    faults = []
    for patient in patients:
        other = first.setdefault(patient.patient, patient)
        if other is not patient and patient.patient:
            row = row_named(other.row, other.sheet_row)
            faults.append(patient.fault("patient", "DUPLICATE_PATIENT", f"stands in {row} already"))
    return faults


def _unknown_findings(patients: Sequence[Patient], tasks: Sequence[Task]) -> list[Fault]:
    if not tasks:
        return []
    known = sorted({finding for task in tasks for finding in task.findings})
    faults = []
    for patient in patients:
        if patient.finding is not None and patient.finding not in known:
            near = get_close_matches(patient.finding, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "no task names it"
            text = f"{shortened(patient.finding)!r}: {hint}"
            faults.append(patient.fault("finding", "UNKNOWN_FINDING", text))
    return faults
