"""The cohort table: a CSV, one row a patient.

Columns: ``patient`` (unique), ``finding``, ``scan``; masks as ``infection`` and ``lung`` (binary) or ``mask``
(0 background, 1 lung, 2 infection); optional ``series`` (UID of the DICOM series to use instead of the best one),
``group`` (patients of one group stay on one side of a fold) and ``site``. Paths are relative to the CSV. ``none`` as
infection says that there is none, which an empty cell does not. Any other column travels along, for strata.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from triplenet.catalog import Task
from triplenet.cohort.spreadsheet import SheetRow, read_sheet
from triplenet.errors import BadCohort, Fault, PathMissing
from triplenet.files import write_csv

COLUMNS = ("patient", "finding", "scan", "infection", "lung", "mask", "group", "site", "series")
REQUIRED = ("patient", "finding", "scan")
_SHORT = 5
"""Letters of a column's name up to which one letter off is a slip, and two are another word"""
_LONGEST = 4096
"""Characters of a cell: no path and no name is longer"""
#: In the ``infection`` column: the patient has no infection, and no mask file is needed to say so.
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
    group: str | None = None
    site: str | None = None
    series: str | None = None
    """UID of the DICOM series to use; None: the best one"""
    extra: Mapping[str, str] = field(default_factory=dict)
    row: int = 0
    """The line of the file in which it begins, from 1."""


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


def read_cohort(path: Path | str, *, tasks: Iterable[Task] = ()) -> Cohort:
    """Read and validate a cohort table as a whole.

    :param tasks: when given, every finding must be named by at least one of them
    :raises PathMissing: there is no such file
    :raises BadCohort: the table has faults; all of them are listed
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such cohort table", where=path, do="give the path of a CSV file")
    raw = path.read_bytes()
    sheet = read_sheet(raw, path, COLUMNS)
    header, rows = sheet.header, sheet.rows
    _check_header(path, header)
    patients, faults = _parse(path.resolve().parent, header, rows)
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
                faults.append(Fault(patient.row, "patient", "DUPLICATE_PATIENT", text))
    if faults:
        raise BadCohort(str(faults[0]), where=cohorts[-1].path, do="rename the patients of one table", faults=faults)
    digest = hashlib.sha256("".join(cohort.sha256 for cohort in cohorts).encode()).hexdigest()
    return Cohort(cohorts[0].path, tuple(patient for cohort in cohorts for patient in cohort), digest)


def write_cohort(path: Path | str, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a cohort table, whole or not at all; columns of this module first, others as they come."""
    present = {name for row in rows for name in row}
    write_csv(Path(path), rows, [name for name in COLUMNS if name in present])


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise BadCohort(
            f"the table lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            where=path,
            do=f"its first line must name at least {', '.join(REQUIRED)}",
        )
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled:
        raise BadCohort(f"the column {doubled[0]} stands twice", where=path, do="name each column once")
    for name in header:
        meant = None if name in COLUMNS else _misspelled(name)
        if meant is not None and meant not in header:
            raise BadCohort(
                f"the column {name!r} is not known",
                where=path,
                do=f"did you mean {meant!r}? If it is something else, give it another name, such as {name}_",
            )
    if "mask" in header and ("infection" in header or "lung" in header):
        raise BadCohort(
            "the table has a mask column beside infection or lung",
            where=path,
            do="give either one labelled mask or binary ones",
        )


def _misspelled(name: str) -> str | None:
    """The column that a name is a letter or two away from: one in a short name, two in a long one."""
    plain = name.lower()
    for column in COLUMNS:
        allowed = 1 if len(column) <= _SHORT else 2
        if plain == column or (plain[:1] == column[:1] and _distance(plain, column) <= allowed):
            return column
    return None


def _distance(one: str, other: str) -> int:
    """Letters to change, add, leave out or exchange with their neighbour (Damerau and Levenshtein)."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def _parse(folder: Path, header: tuple[str, ...], rows: Sequence[SheetRow]) -> tuple[list[Patient], list[Fault]]:
    patients: list[Patient] = []
    faults: list[Fault] = []
    for number, cells in ((row.line, row.cells) for row in rows):
        if len(cells) != len(header):
            faults.append(Fault(number, "*", "BAD_ROW", f"has not {len(header)} cells"))
            continue
        row = dict(zip(header, (value.strip() for value in cells), strict=True))
        faults += [
            Fault(number, name, "BAD_TEXT", fault)
            for name, text in row.items()
            if (fault := _unfit(text if name in COLUMNS else " ".join(text.split())))  # free text may have lines
        ]
        if not row["patient"]:
            faults.append(Fault(number, "patient", "NO_PATIENT", "is empty"))
        paths: dict[str, Path | None] = {}
        for column in ("scan", "infection", "lung", "mask"):
            cell = row.get(column, "")
            if column == "infection" and cell.lower() == NO_INFECTION:
                cell = ""
            paths[column] = folder / cell if cell else None
            if cell and not _exists(folder / cell):
                faults.append(Fault(number, column, "PATH_MISSING", f"no such file: {cell}"))
        scan = paths["scan"]
        if scan is None:
            faults.append(Fault(number, "scan", "NO_SCAN", "is empty"))
            continue
        patient = Patient(
            patient=row["patient"],
            finding=row["finding"] or None,
            scan=scan,
            infection=paths["infection"],
            lung=paths["lung"],
            mask=paths["mask"],
            no_infection=row.get("infection", "").lower() == NO_INFECTION,
            group=row.get("group") or None,
            site=row.get("site") or None,
            series=row.get("series") or None,
            extra={name: row[name] for name in header if name not in COLUMNS},
            row=number,
        )
        if patient.finding is None and not (patient.infection or patient.lung or patient.mask):
            faults.append(Fault(number, "finding", "NO_LABEL", "neither a finding nor a mask is given"))
        patients.append(patient)
    return patients, faults


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name longer than the system takes, or that no file can have
        return False


def _unfit(text: str) -> str:
    """What makes a cell unfit to be shown: characters that steer a terminal, or turn the direction of writing."""
    strange = sorted({f"U+{ord(letter):04X}" for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs")})
    if strange:
        return f"has control characters ({', '.join(strange[:3])})"
    return f"is {len(text)} characters long" if len(text) > _LONGEST else ""


def _duplicates(patients: Sequence[Patient]) -> list[Fault]:
    first: dict[str, int] = {}
    faults = []
    for patient in patients:
        row = first.setdefault(patient.patient, patient.row)
        if row != patient.row and patient.patient:
            faults.append(Fault(patient.row, "patient", "DUPLICATE_PATIENT", f"stands in row {row} already"))
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
            faults.append(Fault(patient.row, "finding", "UNKNOWN_FINDING", f"{patient.finding!r}: {hint}"))
    return faults
