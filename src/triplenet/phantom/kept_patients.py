"""Phantom patients that are kept while a cohort is written, so that a run that was stopped goes on where it was.

They lie in ``.<out>.partial/KEY``, where the key stands for everything that decides a patient's bytes. Their files are
in its folder ``cohort``, which becomes the cohort itself; ``done`` holds a note a finished patient, written last. How
many patients the cohort has is not in the key: a patient is the same in a larger one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from triplenet import __version__
from triplenet.errors import OutputExists
from triplenet.files import held_folder, make_folder, write_json
from triplenet.phantom.dicom_output import write_dicom
from triplenet.phantom.patients import PhantomPatient, patient
from triplenet.scan.nifti_output import write_nifti

SCANS, MASKS = "scans", "masks"
_COHORT, _DONE = "cohort", "done"
_FILES = ("scan", "infection", "lung")
"""Columns of a row that name files"""
_DESCRIPTION = "synthetic, made by triplenet phantom"


@dataclass(frozen=True)
class CohortSettings:
    """What decides the bytes of a patient, besides its number and its finding."""

    seed: int
    format: str
    matrix: int
    thickness_mm: float | None

    @property
    def key(self) -> str:
        """Another one as soon as anything is drawn or written otherwise."""
        facts = json.dumps([__version__, asdict(self)], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class MadePatient:
    """A patient that is written: the row of the table, and what was drawn."""

    row: Mapping[str, str]
    drawn: Mapping[str, Any]


@dataclass(frozen=True)
class KeptPatients:
    """The folder of a cohort that is being written."""

    folder: Path
    settings: CohortSettings

    @property
    def cohort(self) -> Path:
        """What becomes the cohort."""
        return self.folder / _COHORT

    def make_or_find(self, task: tuple[int, str]) -> MadePatient:
        """One patient: found among the kept ones, or made and written.

        :param task: number from 0, and finding; one argument, so that it can be mapped
        :raises OutputFailed: no room, no permission
        """
        index, finding = task
        note = self.folder / _DONE / f"{index + 1:04d}.json"
        kept = self._kept(note)
        if kept is not None:
            return kept
        how = self.settings
        made = patient(how.seed, index, finding=finding, matrix=how.matrix, thickness_mm=how.thickness_mm)
        row = _row(made, how.format)
        scan = self.cohort / row["scan"]
        if how.format == "dicom":
            shutil.rmtree(scan, ignore_errors=True)  # half a series, from a run that was stopped in it
            write_dicom(made, scan)
        else:
            write_nifti(scan, made.hu, made.geometry, _DESCRIPTION)
        write_nifti(self.cohort / row["infection"], made.infection, made.geometry, _DESCRIPTION)
        write_nifti(self.cohort / row["lung"], made.lung, made.geometry, _DESCRIPTION)
        drawn = {"patient": row["patient"]} | dict(made.parameters)
        write_json(note, {"row": row, "drawn": drawn, "sizes": self._sizes(row)})
        return MadePatient(row, drawn)

    def keep_only(self, patients: list[MadePatient]) -> None:
        """Remove whatever is not theirs: half-written files, and patients of a larger cohort that was stopped."""
        wanted = {self.cohort / made.row[column] for made in patients for column in _FILES}
        for path in [path for name in (SCANS, MASKS) for path in (self.cohort / name).iterdir()]:
            if path in wanted:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _kept(self, note: Path) -> MadePatient | None:
        """A finished patient whose files are as they were written; else None."""
        try:
            said = json.loads(note.read_text(encoding="utf-8"))
            made = MadePatient(said["row"], said["drawn"])
            return made if self._sizes(made.row) == said["sizes"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _sizes(self, row: Mapping[str, str]) -> dict[str, int]:
        """Bytes of each of a patient's files by column; of a series all together.

        :raises OSError: one is not there
        """
        found = {}
        for column in _FILES:
            path = self.cohort / row[column]
            files = list(path.iterdir()) if path.is_dir() else [path]
            found[column] = sum(file.stat().st_size for file in files)
        return found


@contextmanager
def kept_patients(out: Path, settings: CohortSettings) -> Iterator[KeptPatients]:
    """The kept patients of the cohort ``out``; they stay when it is not finished, and go when it is.

    :raises OutputExists: another process is writing it
    :raises OutputFailed: no room, no permission, a name too long
    """
    unfinished = out.with_name(f".{out.name}.partial")
    kept = KeptPatients(unfinished / settings.key, settings)
    for name in (SCANS, MASKS):
        make_folder(kept.cohort / name)
    make_folder(kept.folder / _DONE)
    with ExitStack() as held:
        try:
            held.enter_context(held_folder(unfinished))
        except BlockingIOError as error:
            do = "wait for it, or name another folder"
            raise OutputExists("another process is writing this cohort", where=out, do=do) from error
        try:
            yield kept
        finally:
            if not any((kept.folder / _DONE).glob("*.json")) or not kept.cohort.exists():
                shutil.rmtree(unfinished, ignore_errors=True)


def _row(made: PhantomPatient, format: str) -> dict[str, str]:
    """The patient's row of the cohort table."""
    name = f"phantom-{made.number}"
    return {
        "patient": name,
        "finding": made.finding,
        "scan": f"{SCANS}/{name}" if format == "dicom" else f"{SCANS}/{name}.nii.gz",
        "infection": f"{MASKS}/{name}-infection.nii.gz",
        "lung": f"{MASKS}/{name}-lung.nii.gz",
        "site": made.protocol.model.site,
    }
