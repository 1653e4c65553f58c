"""COVID-19-CT-Seg_20cases (Ma et al. 2020, Zenodo 3757476): infection and lung masks of 20 COVID-19 patients.

Two layouts:

- the official archives unpacked beside each other: ``COVID-19-CT-Seg_20cases/*.nii.gz``, ``Infection_Mask/`` and
  ``Lung_Mask/`` with the same names. The ten radiopaedia volumes were saved as 8-bit pictures: not HU, left out;
- scans as slices, ``coronacases_001/image/000.png`` and ``infection/000.png``: every tenth slice that shows infection
  becomes a patient of the group of its scan.

All are positive, without one of the paper's findings: they take part in the segmentation only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from triplenet import scan
from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.pictures import Picture, write_slice_cohort
from triplenet.errors import BadDataset

SITE = "COVID-19-CT-Seg"
EVERY = 10


def run(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv`` from either layout."""
    volumes = sorted(src.rglob("COVID-19-CT-Seg_20cases/*.nii.gz")) or sorted(src.glob("coronacases_*.nii.gz"))
    if volumes:
        return _volumes(src, volumes, out)
    if list(src.glob("*/image/*.png")):
        return _slices(src, out, jobs, on_progress)
    raise BadDataset(
        "neither COVID-19-CT-Seg_20cases/*.nii.gz nor */image/*.png was found", where=src, do="unpack the archives here"
    )


def _volumes(src: Path, volumes: list[Path], out: Path) -> Path:
    rows = []
    left = PassedOver(src)
    for volume in volumes:
        if volume.name.startswith("radiopaedia"):
            left.add(volume, "saved as an 8-bit picture: no Hounsfield units")
            continue
        row = {"patient": volume.name.removesuffix(".nii.gz"), "finding": "", "site": SITE}
        row["scan"] = os.path.relpath(volume, out)
        for column, folder in (("infection", "Infection_Mask"), ("lung", "Lung_Mask")):
            mask = next(iter(src.rglob(f"{folder}/{volume.name}")), None)
            row[column] = os.path.relpath(mask, out) if mask else ""
        if row["infection"] or row["lung"]:
            rows.append(row)
        else:
            left.add(volume, "without a mask in Infection_Mask and Lung_Mask")
    if not rows:
        raise BadDataset("no volume has a mask in Infection_Mask or Lung_Mask", where=src)
    return write_volume_cohort(out, rows, left)


def _slices(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    rows = []
    left = PassedOver(src)
    for folder in sorted(path.parent for path in src.glob("*/image")):
        drawn = {mask.name: mask for mask in sorted((folder / "infection").glob("*.png"))}
        images = {image.name: image for image in sorted((folder / "image").glob("*.png"))}
        for name in sorted(images.keys() - drawn.keys()):
            left.add(images[name], "a slice without an infection mask")
        for name in sorted(drawn.keys() - images.keys()):
            left.add(drawn[name], "an infection mask without a slice")
        infected = []
        for name in sorted(images.keys() & drawn.keys()):
            if scan.read_image(drawn[name]).any():
                infected.append(name)
            else:
                left.add(images[name], "a slice that shows no infection")
        for number, name in enumerate(infected):
            if number % EVERY:
                left.add(images[name], f"not the first of {EVERY} slices that show infection")
                continue
            patient = f"{folder.name}-{images[name].stem}"
            cells = {"patient": patient, "finding": "", "group": folder.name, "site": SITE}
            mask = (drawn[name], out / "masks" / f"{patient}.nii.gz")
            rows.append((cells, Picture(images[name], out / "scans" / f"{patient}.nii.gz", mask)))
    if not rows:
        raise BadDataset("no slice has an infection mask", where=src)
    return write_slice_cohort(out, rows, jobs, on_progress, left)
