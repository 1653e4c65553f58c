"""A phantom cohort on disk: scans, masks and the table that names them; whole or not at all, and restartable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from triplenet import __version__
from triplenet.cohort.table import write_cohort as write_table
from triplenet.errors import BadInput, UnknownName
from triplenet.files import put_in_place, refuse_existing, write_json
from triplenet.phantom.findings import LIKE, findings
from triplenet.phantom.kept_patients import CohortSettings, MadePatient, kept_patients
from triplenet.processes import in_processes

Format = Literal["dicom", "nifti"]
FORMATS: tuple[Format, ...] = ("dicom", "nifti")
PATIENTS = 20
"""Of a cohort of which nobody says how large it is."""


def write_cohort(
    out: Path | str,
    *,
    patients: int | None = None,
    like: str | None = None,
    seed: int = 0,
    format: Format = "dicom",
    jobs: int | None = None,
    matrix: int = 512,
    thickness_mm: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a cohort into a new folder, whole or not at all; returns the path of its ``cohort.csv``.

    ``out/scans`` holds a folder of DICOM files or a ``.nii.gz`` a patient, ``out/masks`` the infection and the
    lung masks (NIfTI, on the scan's grid), ``out/phantom.json`` what was drawn for each patient. The files are
    the same bytes whatever the number of jobs, and however often the call was stopped: finished patients are kept
    in ``.<out>.partial``, and the same call goes on with them.

    :param patients: how many; PATIENTS by default
    :param like: instead of ``patients``: a cohort of LIKE, with exactly as many patients of each finding. ``paper``
        is Table 1: 1,279 patients, 470 typical, 289 indeterminate, 137 atypical, 383 negative
    :param format: ``dicom`` or ``nifti``, for the scans
    :param jobs: processes; as many as processors by default
    :param matrix, thickness_mm: as for :func:`triplenet.phantom.patient`
    :param on_progress: called with (patients done, patients)
    :raises OutputExists: ``out`` is there and not an empty folder, or another process is writing it
    :raises OutputFailed: no room, no permission
    :raises UnknownName: no such format, no such cohort
    :raises BadInput: both ``patients`` and ``like``
    """
    if format not in FORMATS:
        raise UnknownName("unknown format", where=repr(format), do=f"choose one of {', '.join(FORMATS)}")
    patients = _number(patients, like)
    out = Path(out)
    refuse_existing(out)
    made: list[MadePatient] = []
    with kept_patients(out, CohortSettings(seed, format, matrix, thickness_mm)) as kept:
        tasks = list(enumerate(findings(seed, patients)))
        for one in in_processes(kept.make_or_find, tasks, jobs):
            made.append(one)
            if on_progress is not None:
                on_progress(len(made), patients)
        kept.keep_only(made)
        write_table(kept.cohort / "cohort.csv", [one.row for one in made])
        about = {
            "what": "a synthetic cohort: no patient is shown",
            "made_by": f"triplenet {__version__}",
            "like": like,
            "seed": seed,
            "matrix": matrix,
            "thickness_mm": thickness_mm,
            "findings": dict(sorted(Counter(one.row["finding"] for one in made).items())),
            "patients": [one.drawn for one in made],
        }
        write_json(kept.cohort / "phantom.json", about)
        put_in_place(kept.cohort, out)
    return out / "cohort.csv"


def _number(patients: int | None, like: str | None) -> int:
    """How many patients are wanted."""
    if like is None:
        return PATIENTS if patients is None else patients
    if patients is not None:
        raise BadInput("both a number of patients and a cohort to be like", do="give one of them")
    if like not in LIKE:
        raise UnknownName("no such cohort", where=repr(like), do=f"choose one of {', '.join(LIKE)}")
    return sum(LIKE[like].values())
