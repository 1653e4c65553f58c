"""A result's regions and map as NIfTI on the scan's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triplenet.errors import SeriesGap
from triplenet.inference.result import Result
from triplenet.outputs.own_grid import own_geometry, own_slices
from triplenet.scan import write_nifti

INFECTION, LUNG, MAP, SECOND_MAP = "infection.nii.gz", "lung.nii.gz", "map.nii.gz", "class-evidence-map.nii.gz"
FILES = (INFECTION, LUNG, MAP, SECOND_MAP)


def write_volumes(result: Result, folder: Path) -> None:
    """Write infection and lung of the whole scan, as far as something told, and the map of the slice that is shown.

    A region in which nothing was found is a volume of zeros. The map is a volume of that one slice, since zeros
    elsewhere would say that the model looked at nothing there; that of every slice is ``--every-slice``.

    :raises SeriesGap: the slices are not evenly spaced, which NIfTI cannot say
    :raises BadInput: the result does not hold its scan's geometry
    """
    geometry = own_geometry(result)
    if not geometry.is_even:
        raise SeriesGap(
            "the slices are not evenly spaced, which NIfTI cannot hold", do="leave nifti out of the outputs"
        )
    segments = result.segments
    if segments is not None:
        for name, region in ((INFECTION, segments.infection), (LUNG, segments.lung)):
            if region is not None:
                title = f"{name.split('.', maxsplit=1)[0].capitalize()} by {segments.by}"
                write_nifti(folder / name, own_slices(result, region), geometry, title)
    maps = {MAP: (result.heat, result.record.explanation.title)}
    if result.class_heat is not None and result.record.class_evidence is not None:
        maps[SECOND_MAP] = result.class_heat, result.record.class_evidence.title
    for name, (heat, title) in maps.items():
        write_nifti(folder / name, np.ascontiguousarray(heat[None], dtype=np.float32), result.geometry, title)
