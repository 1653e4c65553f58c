"""COVID-19-CT-Seg_20cases (Ma et al. 2020, Zenodo 3757476): infection and lung masks of 20 COVID-19 patients.

Two layouts:

- the official archives unpacked beside each other: ``COVID-19-CT-Seg_20cases/*.nii.gz``, ``Infection_Mask/`` and
  ``Lung_Mask/`` with the same names, in this or any other format that is read. The ten radiopaedia volumes were saved
  as 8-bit pictures: not HU, left out;
- scans as slices, ``coronacases_001/image/000.png`` and ``infection/000.png``: every tenth slice that shows infection
  becomes a patient of the group of its scan.

All are positive, without one of the paper's findings: they take part in the segmentation only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.pictures import Picture, read_drawn, write_slice_cohort
from triplenet.datasets.scan_files import no_scan, picture_name, take_pictures, take_scans
from triplenet.errors import BadDataset

SITE = "COVID-19-CT-Seg"
EVERY = 10


def run(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv`` from either layout."""
    for pattern in ("COVID-19-CT-Seg_20cases/*", "coronacases_*"):
        volumes = _inside(src, pattern) if "/" in pattern else sorted(src.glob(pattern))
        if any(no_scan(path) is None for path in volumes):
            return _volumes(src, volumes, out)
    if any(picture_name(path) is not None for path in src.glob("*/image/*")):
        return _slices(src, out, jobs, on_progress)
    raise BadDataset(
        "neither COVID-19-CT-Seg_20cases/*.nii.gz nor */image/*.png was found", where=src, do="unpack the archives here"
    )


def _inside(src: Path, pattern: str) -> list[Path]:
    """What lies in folders of a name, which an archive may have put into one of the same name."""
    paths = sorted(src.rglob(pattern))
    folders = {path.parent for path in paths}
    return [path for path in paths if path not in folders]


def _volumes(src: Path, paths: list[Path], out: Path) -> Path:
    rows = []
    left = PassedOver(src)
    masks = {
        column: take_scans(_inside(src, f"{folder}/*"), left)
        for column, folder in (("infection", "Infection_Mask"), ("lung", "Lung_Mask"))
    }
    unused = {path for found in masks.values() for path in found.values()}
    for name, volume in take_scans(paths, left).items():
        drawn = {column: found[name] for column, found in masks.items() if name in found}
        unused.difference_update(drawn.values())
        if name.startswith("radiopaedia"):
            left.add(volume, "saved as an 8-bit picture: no Hounsfield units")
        elif not drawn:
            left.add(volume, "without a mask in Infection_Mask and Lung_Mask")
        else:
            cells = {"scan": volume} | drawn
            row = {"patient": name, "finding": "", "site": SITE, "infection": "", "lung": ""}
            rows.append(row | {column: os.path.relpath(path, out) for column, path in cells.items()})
    for mask in sorted(unused):
        left.add(mask, "a mask of none of the volumes")
    if not rows:
        raise BadDataset("no volume has a mask in Infection_Mask or Lung_Mask", where=src)
    return write_volume_cohort(out, rows, left)


def _slices(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    rows = []
    left = PassedOver(src)
    for folder in sorted(path.parent for path in src.glob("*/image")):
        drawn, images = (take_pictures(folder / part, left) for part in ("infection", "image"))
        for name in sorted(images.keys() - drawn.keys()):
            left.add(images[name], "a slice without an infection mask")
        for name in sorted(drawn.keys() - images.keys()):
            left.add(drawn[name], "an infection mask without a slice")
        infected = []
        for name in sorted(images.keys() & drawn.keys()):
            if read_drawn(drawn[name]).any():
                infected.append(name)
            else:
                left.add(images[name], "a slice that shows no infection")
        for number, name in enumerate(infected):
            if number % EVERY:
                left.add(images[name], f"not the first of {EVERY} slices that show infection")
                continue
            patient = f"{folder.name}-{name}"
            cells = {"patient": patient, "finding": "", "group": folder.name, "site": SITE}
            mask = (drawn[name], out / "masks" / f"{patient}.nii.gz")
            rows.append((cells, Picture(images[name], out / "scans" / f"{patient}.nii.gz", mask)))
    if not rows:
        raise BadDataset("no slice has an infection mask", where=src)
    return write_slice_cohort(out, rows, jobs, on_progress, left)
