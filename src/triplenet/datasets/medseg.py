"""The axial COVID-19 slices of medicalsegmentation.com as pictures: ``img``, ``infection`` and ``lung``, same names.

The pictures are cropped, windowed and lie on their side; they carry no patient identifiers and no finding, so each
slice is a patient of its own that takes part in the segmentation only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver
from triplenet.datasets.pictures import Picture, write_slice_cohort
from triplenet.datasets.scan_files import take_pictures
from triplenet.errors import BadDataset

SITE = "medseg"
CLOCKWISE = -1


def run(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv``; a slice needs its lung mask, by which it is tied to HU."""
    rows = []
    left = PassedOver(src)
    images, infections, lungs = (take_pictures(src / folder, left) for folder in ("img", "infection", "lung"))
    for key in sorted(images, key=lambda name: (len(name), name)):
        if key not in infections or key not in lungs:
            left.add(images[key], "a slice without a mask of the same name in infection and lung")
            continue
        name = f"medseg-{key}"
        picture = Picture(
            images[key],
            out / "scans" / f"{name}.nii.gz",
            infection=(infections[key], out / "infection" / f"{name}.nii.gz"),
            lung=(lungs[key], out / "lung" / f"{name}.nii.gz"),
            quarter_turns=CLOCKWISE,
            cropped=True,
        )
        rows.append(({"patient": name, "finding": "", "site": SITE}, picture))
    for masks in (infections, lungs):
        for key in sorted(masks.keys() - images.keys()):
            left.add(masks[key], "a mask without a slice of the same name in img")
    if not rows:
        raise BadDataset("no img/*.png with a mask of the same name in infection and lung", where=src)
    return write_slice_cohort(out, rows, jobs, on_progress, left)
