"""The axial COVID-19 slices of medicalsegmentation.com as pictures: ``img``, ``infection`` and ``lung``, same names.

The pictures are cropped, windowed and lie on their side; they carry no patient identifiers and no finding, so each
slice is a patient of its own that takes part in the segmentation only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver
from triplenet.datasets.pictures import Picture, write_slice_cohort
from triplenet.errors import BadDataset

SITE = "medseg"
CLOCKWISE = -1


def run(src: Path, out: Path, jobs: int | None, on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv``; a slice needs its lung mask, by which it is tied to HU."""
    rows = []
    left = PassedOver(src)
    for image in sorted((src / "img").glob("*.png"), key=lambda path: (len(path.stem), path.stem)):
        infection, lung = (src / folder / image.name for folder in ("infection", "lung"))
        if not (infection.is_file() and lung.is_file()):
            left.add(image, "a slice without a mask of the same name in infection and lung")
            continue
        name = f"medseg-{image.stem}"
        picture = Picture(
            image,
            out / "scans" / f"{name}.nii.gz",
            infection=(infection, out / "infection" / f"{name}.nii.gz"),
            lung=(lung, out / "lung" / f"{name}.nii.gz"),
            quarter_turns=CLOCKWISE,
            cropped=True,
        )
        rows.append(({"patient": name, "finding": "", "site": SITE}, picture))
    named = {path.name for path in (src / "img").glob("*.png")}
    for folder in ("infection", "lung"):
        for mask in sorted((src / folder).glob("*.png")):
            if mask.name not in named:
                left.add(mask, "a mask without a slice of the same name in img")
    if not rows:
        raise BadDataset("no img/*.png with a mask of the same name in infection and lung", where=src)
    return write_slice_cohort(out, rows, jobs, on_progress, left)
