"""Data sets that keep one folder a finding: a generic importer, and the two public sets that are laid out so.

``folders``: ``SRC/<finding>/<patient>``, where a patient is a folder of DICOM files, a zip, or a volume file; pictures
become one-slice scans in approximate HU.

``covid-ct-md`` (Afshar et al. 2021): ``COVID-19 Cases``, ``Cap Cases``, ``Normal Cases``, one DICOM folder a patient.

``covid-ct`` (UCSD, Zhao et al. 2020): pictures from publications in ``CT_COVID`` and ``CT_NonCOVID``. Several pictures
of one publication share a name but for page and number and are kept in one group.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from triplenet.cohort.importers.pictures import Picture, write_slice_cohort
from triplenet.cohort.table import write_cohort
from triplenet.errors import BadDataset
from triplenet.files import whole_folder, write_csv
from triplenet.scan.survey import VOLUME_SUFFIXES

VOLUMES = (*VOLUME_SUFFIXES, ".zip", ".dcm")
PICTURES = (".png", ".jpg", ".jpeg")
PASSED_OVER = "passed-over.csv"
"""What an importer did not take, and why; only where there is something"""
Progress = Callable[[int, int], None]


def run(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``folders``: each folder's name is the finding."""
    findings = {folder.name: folder for folder in sorted(src.iterdir()) if folder.is_dir() and not _left_over(folder)}
    return _import(src, findings, out, jobs, on_progress)


def run_covid_ct_md(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``covid-ct-md``: findings COVID-19, CAP and normal."""
    names = {"COVID-19": "covid", "CAP": "cap", "normal": "normal"}
    folders = [folder for folder in sorted(src.iterdir()) if folder.is_dir()]
    findings = {
        finding: folder
        for finding, start in names.items()
        for folder in folders
        if folder.name.lower().startswith(start)
    }
    if len(findings) < 2:
        raise BadDataset("not the folders COVID-19 Cases, Cap Cases, Normal Cases", where=src)
    return _import(src, findings, out, jobs, on_progress)


def run_covid_ct(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``covid-ct``: findings COVID-19 and non-COVID-19."""
    findings = {}
    for finding, name in (("COVID-19", "CT_COVID"), ("non-COVID-19", "CT_NonCOVID")):
        found = [path for path in sorted(src.rglob(name)) if path.is_dir()]
        if not found:
            raise BadDataset(f"no folder {name}", where=src, do="unpack CT_COVID.zip and CT_NonCOVID.zip")
        # The archive may hold a folder of its own name.
        findings[finding] = found[-1]
    return _import(src, findings, out, jobs, on_progress)


def _import(src: Path, findings: Mapping[str, Path], out: Path, jobs: int | None, on_progress: Progress) -> Path:
    volumes: list[dict[str, str]] = []
    pictures: list[tuple[dict[str, str], Picture]] = []
    passed_over: list[dict[str, str]] = []
    taken: dict[str, int] = {}
    for finding, folder in findings.items():
        before = len(volumes) + len(pictures)
        for path in sorted(folder.iterdir()):
            name, kind = _kind(path)
            if kind is None or _left_over(path):
                reason = "left behind by a desktop or an archive" if _left_over(path) else "no scan by its name"
                passed_over.append({"path": os.path.relpath(path, src), "reason": reason})
                continue
            count = taken[name] = taken.get(name, 0) + 1
            patient = name if count == 1 else f"{name}-{count}"
            cells = {"patient": patient, "finding": finding}
            if kind == "volume":
                volumes.append(cells | {"scan": os.path.relpath(path, out)})
            else:
                group = re.sub(r"(-p\d+)?[-_%]?\d+$", "", name)  # the publication, without page and number
                cells["group"] = f"{finding}/{group}" if group else ""
                # A picture's name may hold anything; the file's does not.
                number = len(pictures) + 1
                pictures.append((cells, Picture(path, out / "scans" / f"{number:05d}.nii.gz")))
        if len(volumes) + len(pictures) == before:
            endings = ", ".join(VOLUMES)
            raise BadDataset(
                f"the folder of {finding!r} holds no scan",
                where=folder,
                do=f"it may hold folders, {endings} or pictures",
            )
    if volumes and pictures:
        raise BadDataset("volumes and pictures are mixed", where=src, do="import them one after the other")
    if pictures:
        made = write_slice_cohort(out, pictures, jobs, on_progress)
        if passed_over:
            write_csv(out / PASSED_OVER, passed_over)
        return made
    if not volumes:
        raise BadDataset("no scan was found in the folders of the findings", where=src)
    with whole_folder(out) as made:
        write_cohort(made / "cohort.csv", volumes)
        if passed_over:
            write_csv(made / PASSED_OVER, passed_over)
    return out / "cohort.csv"


def _left_over(path: Path) -> bool:
    """What desktops and archives leave behind: hidden files, ``._scan.dcm``, ``__MACOSX``."""
    return path.name.startswith((".", "__"))


def _kind(path: Path) -> tuple[str, str | None]:
    """The patient's name and ``volume``, ``picture`` or None for something else."""
    lower = path.name.lower()
    if path.is_dir():
        return path.name, "volume"
    for ending in sorted(VOLUMES, key=len, reverse=True):
        if lower.endswith(ending):
            return path.name[: -len(ending)], "volume"
    for ending in PICTURES:
        if lower.endswith(ending):
            return path.name[: -len(ending)], "picture"
    return path.name, None
