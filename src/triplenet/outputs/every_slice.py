"""A scan slice by slice: the curve as ``slices.csv``, the heat as ``heat.nii.gz`` on the scan's own grid.

Where the heat is the same whatever class, ``evidence.nii.gz`` beside it is what speaks for each slice's likeliest one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triplenet.files import write_csv
from triplenet.inference.result import EverySlice, Result
from triplenet.scan import write_nifti

CURVE, HEAT, EVIDENCE = "slices.csv", "heat.nii.gz", "evidence.nii.gz"


def write_every_slice(result: Result, every: EverySlice, folder: Path) -> None:
    """Write them; the volumes only where slices are evenly spaced, which NIfTI needs."""
    classes = [one.name for one in result.record.classes]
    write_csv(folder / CURVE, [_row(every, index, classes) for index in range(len(every.z_mm))])
    if not every.geometry.is_even:
        return
    volumes = {HEAT: (every.heat, result.record.explanation.title)}
    if every.class_heat is not None:
        volumes[EVIDENCE] = every.class_heat, "Evidence for the likeliest class of each slice"
    for name, (maps, words) in volumes.items():
        volume = np.stack([every.transform.back_bytes(heat) for heat in maps])
        write_nifti(folder / name, result.reorientation.undo(volume), every.geometry, words, slope=1 / 255)


def _row(every: EverySlice, index: int, classes: list[str]) -> dict[str, object]:
    areas = {"infection_mm2": every.infection_mm2, "lung_mm2": every.lung_mm2}
    return {
        "from_feet": index,
        "z_mm": f"{every.z_mm[index]:.3f}",
        **{f"probability {name}": f"{every.probabilities[index, c]:.6f}" for c, name in enumerate(classes)},
        **{name: "" if column is None else f"{column[index]:.1f}" for name, column in areas.items()},
    }
