"""MosMedData COVID19_1110 (Morozov et al. 2020): severity CT-0..CT-4, expert infection masks for some of CT-1.

Two layouts:

- the official one, ``studies/CT-0/study_0001.nii.gz`` ... and ``masks/study_0255_mask.nii.gz``, or the same in any
  other format that is read: the volumes stay where they are, the table points to them;
- single slices, ``index.csv`` (patient, severity, image, infection) with 8-bit pictures: each becomes a one-slice
  NIfTI in approximate HU.

CT-0 means that no lung tissue is affected, so its infection is ``none``. There are no lung masks: prepare with
``--derive-lung``.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

from triplenet.cohort.table import NO_INFECTION
from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.pictures import Picture, write_slice_cohort
from triplenet.datasets.scan_files import take_scans
from triplenet.errors import BadDataset

SEVERITIES = tuple(f"CT-{n}" for n in range(5))


def run(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv`` from either layout."""
    studies = next((folder for folder in (src / "studies", src / "COVID19_1110" / "studies") if folder.is_dir()), None)
    if (src / "index.csv").is_file():
        return _slices(src, out, jobs, on_progress)
    if studies is not None:
        return _volumes(studies, out)
    raise BadDataset(
        "neither studies/CT-0..CT-4 nor an index.csv was found", where=src, do="give the folder of COVID19_1110"
    )


def _volumes(studies: Path, out: Path) -> Path:
    rows: list[dict[str, str]] = []
    left = PassedOver(studies.parent)
    drawn = studies.parent / "masks"
    masks = take_scans(drawn.iterdir() if drawn.is_dir() else (), left)
    unused = dict(masks)
    for folder in sorted(studies.iterdir()):
        if folder.name not in SEVERITIES or not folder.is_dir():
            left.add(folder, "not a folder of CT-0 .. CT-4")
            continue
        severity, inside = folder.name, sorted(folder.iterdir())
        for path in inside:
            if not path.name.startswith("study_"):
                left.add(path, "no study_*")
        found = take_scans((path for path in inside if path.name.startswith("study_")), left)
        if not found:
            raise BadDataset(
                f"the folder {severity} holds no study_*.nii.gz{left.below(folder)}",
                where=folder,
                do="unpack it whole, or remove it",
            )
        for name, volume in found.items():
            mask = masks.get(f"{name}_mask")
            infection = "" if mask is None else os.path.relpath(mask, out)
            if severity == "CT-0":
                infection = NO_INFECTION
            else:
                unused.pop(f"{name}_mask", None)
            rows.append(
                {"patient": name, "finding": severity, "scan": os.path.relpath(volume, out), "infection": infection}
            )
    if not rows:
        raise BadDataset("there is none of the folders CT-0 .. CT-4", where=studies)
    for mask in unused.values():
        left.add(mask, "a mask of none of the studies")
    rows.sort(key=lambda row: row["patient"])
    return write_volume_cohort(out, rows, left)


def _slices(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    with (src / "index.csv").open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"patient", "severity", "image", "infection"} <= set(reader.fieldnames or ()):
            raise BadDataset("not the columns patient, severity, image, infection", where=src / "index.csv")
        index = list(reader)
    for number, row in enumerate(index, start=2):
        if row["severity"] not in SEVERITIES or not re.fullmatch(r"[\w-]+", row["patient"]):
            raise BadDataset(f"row {number} has no valid patient and severity", where=src / "index.csv")
        for column in ("image", "infection"):
            if row[column] and not (src / row[column]).is_file():
                raise BadDataset(f"row {number} names a missing file", where=src / row[column])
    left = PassedOver(src)
    named = {src / row[column] for row in index for column in ("image", "infection") if row[column]}
    for path in sorted({path for one in named for path in one.parent.iterdir()} - named - {src / "index.csv"}):
        left.add(path, "not named in index.csv")
    rows = []
    for row in index:
        name = f"{row['patient']}.nii.gz"
        cells = {"patient": row["patient"], "finding": row["severity"]}
        if row["severity"] == "CT-0":
            cells["infection"] = NO_INFECTION
        drawn = (src / row["infection"], out / "masks" / name) if row["infection"] else None
        rows.append((cells, Picture(src / row["image"], out / "scans" / name, infection=drawn)))
    return write_slice_cohort(out, rows, jobs, on_progress, left)
