"""COVID-19-20 (Roth et al. 2022): 199 volumes with lesion masks, the training part of a segmentation challenge.

``COVID-19-20_v2/Train/volume-covid19-A-0003_ct.nii.gz`` and ``..._seg.nii.gz``, in this or any other format that is
read. Further scans of a patient are called ``volume-covid19-A-0047_1`` or ``volume-covid19-A-0721_day008`` and are of
the patient's group. The volumes of the validation part have no masks.

All are positive, without one of the paper's findings: they take part in the segmentation only. There are no lung masks:
prepare with ``--derive-lung``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.scan_files import LEFT_BEHIND, is_data_of_header, left_behind, scan_name, take_scans
from triplenet.errors import BadDataset

SITE = "COVID-19-20"
PUBLISHED = 199
_NAME = re.compile(r"(volume-covid19-A-\d+)(?:_[A-Za-z0-9]+)?")
_SCAN, _MASK = "_ct", "_seg"


def run(src: Path, out: Path, _jobs: int | None, _on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv``."""
    left = PassedOver(src)
    found = take_scans(_scans_and_masks(src, left), left)
    rows: list[dict[str, str]] = []
    masks = {name.removesuffix(_MASK): path for name, path in found.items() if name.endswith(_MASK)}
    for name, path in found.items():
        patient = name.removesuffix(_SCAN)
        match = _NAME.fullmatch(patient)
        if name.endswith(_MASK):
            continue
        if match is None:
            left.add(path, "not named volume-covid19-A-*: whose it is, is not known")
        elif patient not in masks:
            left.add(path, "without a mask: of the validation or test part")
        else:
            cells = {"scan": os.path.relpath(path, out), "infection": os.path.relpath(masks.pop(patient), out)}
            rows.append({"patient": patient, "finding": "", "group": match[1], "site": SITE} | cells)
    for mask in masks.values():
        left.add(mask, "a mask of none of the volumes")
    rows.sort(key=lambda row: row["patient"])
    if not rows:
        raise BadDataset(
            "no volume-covid19-A-*_ct.nii.gz with its *_seg.nii.gz", where=src, do="unpack COVID-19-20_v2.zip here"
        )
    notes = [] if len(rows) == PUBLISHED else [f"COVID-19-20 as published has {PUBLISHED} masks; here are {len(rows)}"]
    return write_volume_cohort(out, rows, left, notes=notes)


def _scans_and_masks(src: Path, left: PassedOver) -> list[Path]:
    """Files and DICOM folders that are volumes or masks by their names, wherever they lie."""
    ours: list[Path] = []
    for path in sorted(src.rglob("*")):
        if not set(path.parents).isdisjoint(ours):
            continue
        if (scan_name(path) or "").endswith((_SCAN, _MASK)):
            ours.append(path)
        elif path.is_file() and not is_data_of_header(path):
            left.add(path, LEFT_BEHIND if left_behind(path) else "neither *_ct nor *_seg by its name")
    return ours
