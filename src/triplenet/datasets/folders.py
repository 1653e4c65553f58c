"""Data sets that keep one folder a finding: a generic importer, and the two public sets that are laid out so.

``folders``: ``SRC/<finding>/<patient>``, where a patient is a folder of DICOM files, a zip, or a volume file; pictures
become one-slice scans in approximate HU. A finding whose folder holds no scan is refused; what else is there is
counted.

``covid-ct-md`` (Afshar et al. 2021): ``COVID-19 Cases``, ``Cap Cases``, ``Normal Cases``, one DICOM folder a patient.

``covid-ct`` (UCSD, Zhao et al. 2020): pictures from publications in ``CT_COVID`` and ``CT_NonCOVID``. Several pictures
of one publication share a name but for page and number and are kept in one group.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.pictures import Picture, write_slice_cohort
from triplenet.errors import BadDataset
from triplenet.scan.survey import VOLUME_SUFFIXES

VOLUMES = (*VOLUME_SUFFIXES, ".zip", ".dcm")
PICTURES = (".png", ".jpg", ".jpeg")
_HEADERS, _DATA = (".mhd", ".nhdr"), (".raw", ".zraw", ".raw.gz")
_NO_SCANS = (*PICTURES, ".gif", ".bmp", ".tif", ".tiff", ".txt", ".md", ".csv", ".json", ".xml", ".pdf", ".html")
_LEFT_BEHIND = "left behind by a desktop or an archive"
Progress = Callable[[int, int], None]


def run(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``folders``: each folder's name is the finding."""
    left = PassedOver(src)
    findings = {folder.name: folder for folder in _folders(src, left)}
    return _import(src, findings, out, jobs, on_progress, left)


def _folders(src: Path, left: PassedOver) -> list[Path]:
    found = []
    for path in sorted(src.iterdir()):
        if _left_over(path):
            left.add(path, _LEFT_BEHIND)
        elif path.is_dir():
            found.append(path)
        else:
            left.add(path, "a file beside the folders of the findings")
    return found


def run_covid_ct_md(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``covid-ct-md``: findings COVID-19, CAP and normal."""
    names = {"covid": "COVID-19", "cap": "CAP", "normal": "normal"}
    left = PassedOver(src)
    findings: dict[str, Path] = {}
    for folder in _folders(src, left):
        finding = next((name for start, name in names.items() if folder.name.lower().startswith(start)), None)
        if finding is None:
            left.add(folder, "a folder of none of the three findings")
        elif findings.setdefault(finding, folder) != folder:
            raise BadDataset(f"two folders of {finding}", where=folder, do="import them one after the other")
    if len(findings) < 2:
        raise BadDataset("not the folders COVID-19 Cases, Cap Cases, Normal Cases", where=src)
    return _import(src, findings, out, jobs, on_progress, left)


def run_covid_ct(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``covid-ct``: findings COVID-19 and non-COVID-19."""
    left = PassedOver(src)
    findings = {}
    for finding, name in (("COVID-19", "CT_COVID"), ("non-COVID-19", "CT_NonCOVID")):
        found = [path for path in sorted(src.rglob(name)) if path.is_dir()]
        if not found:
            raise BadDataset(f"no folder {name}", where=src, do="unpack CT_COVID.zip and CT_NonCOVID.zip")
        # The archive may hold a folder of its own name.
        findings[finding] = found[-1]
    return _import(src, findings, out, jobs, on_progress, left)


def _import(
    src: Path, findings: Mapping[str, Path], out: Path, jobs: int | None, on_progress: Progress, left: PassedOver
) -> Path:
    volumes: list[dict[str, str]] = []
    pictures: list[tuple[dict[str, str], Picture]] = []
    taken: dict[str, int] = {}
    for finding, folder in findings.items():
        before = len(volumes) + len(pictures)
        for path in sorted(folder.iterdir()):
            name, kind = _kind(path)
            reason = _no_scan(path, kind)
            if reason is not None:
                if not _is_data_of_a_header(path):
                    left.add(path, reason)
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
            raise BadDataset(
                f"the folder of {finding!r} holds no scan{left.below(folder)}",
                where=folder,
                do=f"it may hold folders of DICOM files, {', '.join(VOLUMES)}, or pictures; else remove it",
            )
    if volumes and pictures:
        raise BadDataset("volumes and pictures are mixed", where=src, do="import them one after the other")
    if pictures:
        return write_slice_cohort(out, pictures, jobs, on_progress, left)
    if not volumes:
        raise BadDataset("no folder of a finding was found", where=src, do="lay it out as SRC/<finding>/<patient>")
    return write_volume_cohort(out, volumes, left)


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


def _no_scan(path: Path, kind: str | None) -> str | None:
    """Why a file or folder is no patient; None for one that is."""
    if _left_over(path):
        return _LEFT_BEHIND
    if kind is None:
        return "no scan by its name"
    return None if not path.is_dir() or _may_hold_scan(path) else "a folder without a file that could be a scan"


def _may_hold_scan(folder: Path) -> bool:
    """Whether there is any file in it that is not known to be something else: DICOM files may have any name."""
    return any(
        not name.startswith(".") and not name.lower().endswith(_NO_SCANS)
        for _, _, names in os.walk(folder)
        for name in names
    )


def _is_data_of_a_header(path: Path) -> bool:
    """Whether a file is what a ``.mhd`` or ``.nhdr`` of the same name describes."""
    endings = [ending for ending in _DATA if path.name.lower().endswith(ending)]
    return any(path.with_name(path.name[: -len(end)] + header).is_file() for end in endings for header in _HEADERS)
