"""A phantom cohort on disk: scans, masks and the table that names them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from triplenet import __version__
from triplenet.cohort.table import write_cohort as write_table
from triplenet.errors import UnknownName
from triplenet.files import whole_folder, write_json
from triplenet.phantom.dicom_output import write_dicom
from triplenet.phantom.findings import findings
from triplenet.phantom.patients import patient
from triplenet.processes import in_processes
from triplenet.scan.nifti_output import write_nifti

Format = Literal["dicom", "nifti"]
FORMATS: tuple[Format, ...] = ("dicom", "nifti")
_DESCRIPTION = "synthetic, made by triplenet phantom"


@dataclass(frozen=True)
class _Order:
    """What a worker needs to know of the cohort."""

    folder: Path
    seed: int
    format: str
    matrix: int
    thickness_mm: float | None


def write_cohort(
    out: Path | str,
    *,
    patients: int,
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
    the same bytes whatever the number of jobs.

    :param format: ``dicom`` or ``nifti``, for the scans
    :param jobs: processes; as many as processors by default
    :param matrix, thickness_mm: as for :func:`triplenet.phantom.patient`
    :param on_progress: called with (patients done, patients)
    :raises OutputExists: ``out`` is there and not an empty folder
    :raises UnknownName: no such format
    """
    if format not in FORMATS:
        raise UnknownName("unknown format", where=repr(format), do=f"choose one of {', '.join(FORMATS)}")
    out = Path(out)
    rows: list[dict[str, str]] = []
    drawn: list[dict[str, Any]] = []
    with whole_folder(out) as folder:
        (folder / "scans").mkdir()
        (folder / "masks").mkdir()
        order = _Order(folder, seed, format, matrix, thickness_mm)
        tasks = list(enumerate(findings(seed, patients)))
        for row, parameters in in_processes(partial(_write_patient, order), tasks, jobs):
            rows.append(row)
            drawn.append(parameters)
            if on_progress is not None:
                on_progress(len(rows), patients)
        write_table(folder / "cohort.csv", rows)
        about = {
            "what": "a synthetic cohort: no patient is shown",
            "made_by": f"triplenet {__version__}",
            "seed": seed,
            "matrix": matrix,
            "thickness_mm": thickness_mm,
            "findings": dict(sorted(Counter(row["finding"] for row in rows).items())),
            "patients": drawn,
        }
        write_json(folder / "phantom.json", about)
    return out / "cohort.csv"


def _write_patient(order: _Order, task: tuple[int, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Make and write one patient; returns its row of the table and what was drawn for it."""
    index, finding = task
    made = patient(order.seed, index, finding=finding, matrix=order.matrix, thickness_mm=order.thickness_mm)
    name = f"phantom-{made.number}"
    row = {
        "patient": name,
        "finding": finding,
        "scan": f"scans/{name}" if order.format == "dicom" else f"scans/{name}.nii.gz",
        "infection": f"masks/{name}-infection.nii.gz",
        "lung": f"masks/{name}-lung.nii.gz",
        "site": made.protocol.model.site,
    }
    if order.format == "dicom":
        write_dicom(made, order.folder / row["scan"])
    else:
        write_nifti(order.folder / row["scan"], made.hu, made.geometry, _DESCRIPTION)
    write_nifti(order.folder / row["infection"], made.infection, made.geometry, _DESCRIPTION)
    write_nifti(order.folder / row["lung"], made.lung, made.geometry, _DESCRIPTION)
    return row, {"patient": name} | dict(made.parameters)
