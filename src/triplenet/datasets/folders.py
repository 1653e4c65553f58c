"""Data sets that keep one folder a finding: a generic importer, and a public set that is laid out so.

``folders``: ``SRC/<finding>/<patient>``, where a patient is a folder of DICOM files, a zip, or a volume file; pictures
become one-slice scans in approximate HU. A finding whose folder holds no scan is refused; what else is there is
counted.

``covid-ct`` (UCSD, Zhao et al. 2020): pictures from publications in ``CT_COVID`` and ``CT_NonCOVID``. Several pictures
of one publication share a name but for page and number and are kept in one group.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.pictures import Picture, write_slice_cohort
from triplenet.datasets.scan_files import (
    LEFT_BEHIND,
    NO_SCAN,
    SCANS,
    is_data_of_header,
    left_behind,
    no_scan,
    picture_name,
    scan_name,
)
from triplenet.errors import BadDataset

Progress = Callable[[int, int], None]


def run(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``folders``: each folder's name is the finding."""
    left = PassedOver(src)
    findings = {folder.name: folder for folder in finding_folders(src, left)}
    return import_findings(src, findings, out, jobs, on_progress, left)


def finding_folders(src: Path, left: PassedOver, used: Collection[Path] = ()) -> list[Path]:
    """The folders that may be findings.

    :param used: files beside them that are read
    """
    found = []
    for path in sorted(src.iterdir()):
        if left_behind(path):
            left.add(path, LEFT_BEHIND)
        elif path.is_dir():
            found.append(path)
        elif path not in used:
            left.add(path, "a file beside the folders of the findings")
    return found


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
    return import_findings(src, findings, out, jobs, on_progress, left)


def import_findings(
    src: Path,
    findings: Mapping[str, Path],
    out: Path,
    jobs: int | None,
    on_progress: Progress,
    left: PassedOver,
    *,
    more: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    beside: Mapping[str, Sequence[Mapping[str, str]]] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> Path:
    """A table of what lies in the folders of the findings.

    :param more: further cells of volumes, by patient
    :param beside: further tables, and notes, as ``write_volume_cohort`` takes them
    """
    volumes: list[dict[str, str]] = []
    pictures: list[tuple[dict[str, str], Picture]] = []
    taken: dict[str, int] = {}
    for finding, folder in findings.items():
        before = len(volumes) + len(pictures)
        for path in sorted(folder.iterdir()):
            volume, drawn = scan_name(path), picture_name(path)
            name = volume or drawn
            reason = LEFT_BEHIND if left_behind(path) else no_scan(path) if drawn is None else None
            if name is None or reason is not None:
                if not is_data_of_header(path):
                    left.add(path, reason or NO_SCAN)
                continue
            count = taken[name] = taken.get(name, 0) + 1
            patient = name if count == 1 else f"{name}-{count}"
            cells = {"patient": patient, "finding": finding}
            if volume is not None:
                volumes.append(cells | {"scan": os.path.relpath(path, out), **more.get(patient, {})})
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
                do=f"it may hold folders of DICOM files, {', '.join(SCANS)}, or pictures; else remove it",
            )
    if volumes and pictures:
        raise BadDataset("volumes and pictures are mixed", where=src, do="import them one after the other")
    if pictures:
        return write_slice_cohort(out, pictures, jobs, on_progress, left)
    if not volumes:
        raise BadDataset("no folder of a finding was found", where=src, do="lay it out as SRC/<finding>/<patient>")
    return write_volume_cohort(out, volumes, left, notes=notes, beside=beside)
