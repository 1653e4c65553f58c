"""The error tree: one class a kind, each with a stable code.

A message says what was found, where, and what to do. The command line prints it as
``error[CODE]: what: where; what to do`` and leaves with 1; no library function prints or exits.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

#: Said of what is nobody's fault but triplenet's; the repository has no address of its own to name.
REPORT = "report it as CONTRIBUTING.md says under 'Reporting a fault'"


class TripleNetError(Exception):
    """Base of everything triplenet refuses or fails at.

    :param what: what was found, without a full stop
    :param where: the file, series, row or option it was found in
    :param do: what the user can do about it
    """

    code: str = "FAILED"

    def __init__(self, what: str, *, where: object = None, do: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.do = do
        text = what if self.where is None else f"{what}: {self.where}"
        super().__init__(" ".join((text if do is None else f"{text}; {do}").split()))

    def __reduce__(self) -> tuple[Any, ...]:  # keyword-only arguments must survive a process pool
        return (_rebuild, (type(self), self.what, self.where, self.do))

    def as_dict(self) -> dict[str, str | None]:
        """The error for machine-readable output."""
        return {"code": self.code, "what": self.what, "where": self.where, "do": self.do}


def _rebuild(kind: type[TripleNetError], what: str, where: str | None, do: str | None) -> TripleNetError:
    return kind(what, where=where, do=do)


class PathMissing(TripleNetError):
    """A file or folder that was named does not exist."""

    code = "PATH_MISSING"


class OutputExists(TripleNetError):
    """The place to write to holds something that would be overwritten or mixed up."""

    code = "OUTPUT_EXISTS"


class OutputFailed(TripleNetError):
    """The output could not be written: no room left, no permission."""

    code = "OUTPUT_FAILED"


class NameTooLong(TripleNetError):
    """A name or path is longer than the file system takes."""

    code = "NAME_TOO_LONG"


class NoPermission(TripleNetError):
    """A place may not be read or written."""

    code = "NO_PERMISSION"


class SystemFailed(TripleNetError):
    """The operating system could not do what it was asked for, most often since a disk or a share fails."""

    code = "SYSTEM_FAILED"


class MissingExtra(TripleNetError):
    """An optional dependency is needed and not installed."""

    code = "MISSING_EXTRA"


class WorkerLost(TripleNetError):
    """A process that worked for us ended without an answer."""

    code = "WORKER_LOST"


class UnknownName(TripleNetError):
    """A method, task, finding, format or option that does not exist."""

    code = "UNKNOWN_NAME"


class BadMethod(TripleNetError):
    """A method of another package that cannot be used."""

    code = "BAD_METHOD"


def system_error(error: OSError) -> TripleNetError:
    """What the operating system refused, as an error of triplenet with a code that says why."""
    where, why = error.filename, error.strerror or str(error) or type(error).__name__
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return PathMissing("no such file or folder", where=where)
        case errno.ENAMETOOLONG:
            return NameTooLong("a name or path is too long for the file system", where=where, do="choose a shorter one")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return NoPermission(f"the system does not allow it ({why})", where=where, do="check the permissions")
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return OutputFailed(f"cannot write ({why})", where=where, do="make room or name another place")
        case errno.EIO | errno.ESTALE | errno.ENXIO | errno.EREMOTEIO:
            return SystemFailed(f"the disk or the share failed ({why})", where=where, do="look at the system's log")
    return SystemFailed(f"the system refused ({why})", where=where)


# --- scans ---------------------------------------------------------------------------------------


class ScanError(TripleNetError):
    """Something about a scan; every kind below is one."""

    code = "SCAN"


class EmptyFolder(ScanError):
    """A folder, zip or DICOMDIR holds no file that could be a scan."""

    code = "EMPTY_FOLDER"


class NoCtSeries(ScanError):
    """Files were found, but no CT series that can be used."""

    code = "NO_CT_SERIES"


class UnreadableFile(ScanError):
    """A file is damaged, truncated or of another kind than its name says."""

    code = "UNREADABLE_FILE"


class NotHu(ScanError):
    """The values cannot be Hounsfield units."""

    code = "NOT_HU"


class SeriesUnknown(ScanError):
    """The series UID that was asked for is not in the input."""

    code = "SERIES_UNKNOWN"


class SeveralPatients(ScanError):
    """An input holds the scans of several patients, and nobody said which is meant."""

    code = "SEVERAL_PATIENTS"


class SeriesGap(ScanError):
    """Slices are missing from a series, or unevenly spaced."""

    code = "SERIES_GAP"


class DuplicateSlices(ScanError):
    """Two slices at one position say different things."""

    code = "DUPLICATE_SLICES"


class BadGeometry(ScanError):
    """Position, orientation or spacing is missing or impossible."""

    code = "BAD_GEOMETRY"


class NotAVolume(ScanError):
    """More or fewer than three dimensions, or colour."""

    code = "NOT_A_VOLUME"


class UnsupportedSyntax(ScanError):
    """The transfer syntax cannot be decoded here."""

    code = "TRANSFER_SYNTAX"


class TooLarge(ScanError):
    """More files, bytes or voxels than the limits allow, or than the file can hold."""

    code = "TOO_LARGE"


class UnsafeArchive(ScanError):
    """A path leads out of the archive or out of the folder of a DICOMDIR."""

    code = "UNSAFE_ARCHIVE"


class MaskMismatch(ScanError):
    """A mask does not lie on its scan."""

    code = "MASK_MISMATCH"


class BadMask(ScanError):
    """A mask has values that mean nothing here."""

    code = "BAD_MASK"


class BadSegmentNames(ScanError):
    """A file that says what the segments of a site are cannot be used."""

    code = "BAD_SEGMENT_NAMES"


class NotDicom(ScanError):
    """An output that refers to DICOM instances is wanted of a scan that has none."""

    code = "NOT_DICOM"


class BadSite(TripleNetError):
    """A file of a site's own output profiles cannot be used."""

    code = "BAD_SITE"


class NoMask(ScanError):
    """No mask says which slice of the scan to use."""

    code = "NO_MASK"


class NotAChest(ScanError):
    """A scan that was searched for lungs and has none of a chest's size."""

    code = "NOT_A_CHEST"


class NoLung(ScanError):
    """No lung was found where one is needed."""

    code = "NO_LUNG"


class ReaderLost(ScanError):
    """The process that read a scan died of it."""

    code = "READER_LOST"


class ReaderTimeout(ScanError):
    """Reading a scan took longer than it may."""

    code = "READER_TIMEOUT"


class ReaderFault(ScanError):
    """Reading a scan ended in an error that nobody foresaw."""

    code = "READER_FAULT"


# --- cohorts and prepared sets ---------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """One fault of a cohort table: its row, column, code and text.

    :param row: line of the file in which it begins, from 1
    :param sheet_row: as a spreadsheet numbers it; 0 where nobody counted
    """

    row: int
    column: str
    code: str
    text: str
    sheet_row: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The fault for machine-readable output; a row that nobody counted in a sheet is left out."""
        return {name: value for name, value in vars(self).items() if name != "sheet_row" or value}

    def __str__(self) -> str:
        return f"{row_named(self.row, self.sheet_row)}, {self.column}: {self.code}: {self.text}"


def row_named(row: int, sheet_row: int) -> str:
    """A row for people: by its line in the file, and as their spreadsheet numbers it where that differs."""
    return f"row {row}" if sheet_row in (0, row) else f"row {row} (row {sheet_row} in a spreadsheet)"


class CohortError(TripleNetError):
    """Something about a cohort; every kind below is one."""

    code = "COHORT"


class BadCohort(CohortError):
    """The cohort table has faults; ``faults`` lists every one of them. Its code is theirs when they share one."""

    code = "BAD_COHORT"

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        do: str | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        super().__init__(what, where=where, do=do)
        self.faults: Sequence[Fault] = tuple(faults)
        codes = {fault.code for fault in self.faults}
        if len(codes) == 1:
            self.code = codes.pop()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_cohort, (self.what, self.where, self.do, self.faults))

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"faults": [fault.as_dict() for fault in self.faults]}


def _rebuild_cohort(what: str, where: str | None, do: str | None, faults: Sequence[Fault]) -> TripleNetError:
    return BadCohort(what, where=where, do=do, faults=faults)


class UnknownFinding(CohortError):
    """A finding that the task does not name."""

    code = "UNKNOWN_FINDING"


class CohortTooSmall(CohortError):
    """Too few patients for three folds."""

    code = "COHORT_TOO_SMALL"


class Leakage(CohortError):
    """The same or nearly the same image stands on two sides of a fold."""

    code = "LEAKAGE"


class BadDataset(CohortError):
    """A downloaded data set is not laid out as its importer expects."""

    code = "BAD_DATASET"


class BadPreparedSet(TripleNetError):
    """A prepared set is incomplete, damaged or of an unknown version."""

    code = "BAD_PREPARED_SET"


class BadAnswers(TripleNetError):
    """The sheets or the key of a reader study have faults; ``faults`` lists every one of a sheet."""

    code = "BAD_ANSWERS"

    def __init__(self, what: str, *, where: object = None, do: str | None = None, faults: Iterable[Fault] = ()) -> None:
        super().__init__(what, where=where, do=do)
        self.faults: Sequence[Fault] = tuple(faults)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_answers, (self.what, self.where, self.do, self.faults))

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"faults": [fault.as_dict() for fault in self.faults]}


def _rebuild_answers(what: str, where: str | None, do: str | None, faults: Sequence[Fault]) -> TripleNetError:
    return BadAnswers(what, where=where, do=do, faults=faults)


# --- training and models ---------------------------------------------------------------------------


class BadRecipe(TripleNetError):
    """A recipe key or value that is not known or not possible."""

    code = "BAD_RECIPE"


class NoEncoderWeights(TripleNetError):
    """ImageNet weights are wanted and not to be had."""

    code = "NO_ENCODER_WEIGHTS"


class BadInput(TripleNetError):
    """An array of another shape or type than a network or a loss reads."""

    code = "BAD_INPUT"


class BadWeights(TripleNetError):
    """A weights file does not fit the network."""

    code = "BAD_WEIGHTS"


class BadModel(TripleNetError):
    """A model file is damaged or not a triplenet model."""

    code = "BAD_MODEL"


class ExportFailed(TripleNetError):
    """A model cannot be written in a format, or the file would not say what the model says."""

    code = "EXPORT_FAILED"


class BadRun(TripleNetError):
    """A run folder is incomplete, damaged or of another kind."""

    code = "BAD_RUN"


class RunMismatch(TripleNetError):
    """A run is resumed with another recipe, task, fold or data."""

    code = "RUN_MISMATCH"


class TrainingDiverged(TripleNetError):
    """The loss is no longer finite."""

    code = "TRAINING_DIVERGED"


class OutOfMemory(TripleNetError):
    """The memory of a GPU or of the machine is full."""

    code = "OUT_OF_MEMORY"


class ProcessFailed(TripleNetError):
    """Another process of the same training stopped."""

    code = "PROCESS_FAILED"


class Interrupted(TripleNetError):
    """The user stopped the work."""

    code = "INTERRUPTED"
