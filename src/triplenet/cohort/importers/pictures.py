"""Single slices saved as 8-bit pictures -> one-slice NIfTI files in approximate HU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.cohort.importers.calibration import calibrate
from triplenet.scan.volume import Geometry

#: Nobody recorded the pixel size. A picture of 512 pixels shows about 360 mm of an adult's chest.
ASSUMED_FIELD_MM = 360.0


@dataclass(frozen=True)
class Picture:
    """A slice and its masks as they lie on the disk, and where they go."""

    image: Path
    scan: Path
    """NIfTI to write"""
    infection: tuple[Path, Path] | None = None
    """mask picture, NIfTI to write"""
    lung: tuple[Path, Path] | None = None
    quarter_turns: int = 0
    """Counter-clockwise, that bring the patient upright"""


def picture_geometry(shape: tuple[int, int]) -> Geometry:
    """(1, Y, X) grid of a picture with the assumed field of view; rows to the back, columns to the left."""
    pixel = ASSUMED_FIELD_MM / max(shape)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 1.0, pixel, pixel, 1.0
    return Geometry((1, *shape), affine)


def convert(picture: Picture) -> float:
    """Write one slice's NIfTI files; returns HU a grey level, which says how coarse the values are.

    :raises NotHu: the grey levels cannot be tied to HU
    """
    grey = np.rot90(scan.read_image(picture.image), picture.quarter_turns)
    calibration = calibrate(grey, where=picture.image)
    geometry = picture_geometry((grey.shape[0], grey.shape[1]))
    for path in (picture.scan, *(pair[1] for pair in (picture.infection, picture.lung) if pair)):
        path.parent.mkdir(parents=True, exist_ok=True)
    scan.write_nifti(picture.scan, calibration.hu(grey)[None], geometry, description=scan.APPROXIMATE)
    for pair in (picture.infection, picture.lung):
        if pair is not None:
            mask = np.rot90(scan.read_image(pair[0]), picture.quarter_turns) > 0
            scan.write_nifti(pair[1], _fit(mask, grey.shape)[None], geometry)
    return calibration.slope


def convert_all(pictures: Iterable[Picture], jobs: int | None, on_progress: Callable[[int, int], None]) -> list[float]:
    """``convert`` for many, in processes; results in the order of the pictures."""
    pictures = list(pictures)
    jobs = min(jobs or len(os.sched_getaffinity(0)), max(1, len(pictures)))
    slopes: list[float] = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for slope in pool.map(convert, pictures, chunksize=8):
            slopes.append(slope)
            on_progress(len(slopes), len(pictures))
    return slopes


def _fit(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A mask drawn at another resolution on the picture's pixels, nearest."""
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * m / n, m - 1).astype(int) for n, m in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)].astype(np.uint8)
