"""A CT volume in Hounsfield units on the patient grid: the one thing every reader hands out.

Axis order is (Z, Y, X) = (slice, row, column) everywhere. World coordinates are the patient's in
millimetres as DICOM has them: +x to the patient's left, +y to the back, +z to the head (LPS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadGeometry

HuArray = npt.NDArray[np.int16]
MaskArray = npt.NDArray[np.uint8]

_RIGHT_ANGLE = 1e-3  # cosine between two axes below which they count as perpendicular (0.06 degrees)


@dataclass(frozen=True)
class Origin:
    """Whose body a grid lies in, to compare with a mask's; digests, for nothing else, and never written anywhere."""

    patient: str = ""
    study: str = ""
    frame_of_reference: str = ""


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a (Z, Y, X) array lie in the patient.

    :param shape: voxels along (Z, Y, X)
    :param affine: (4, 4) float64; maps homogeneous array indices (z, y, x, 1) to LPS millimetres
    :param positions: None for evenly spaced slices; else (Z, 3) float64, the LPS millimetres of the first
        voxel of every slice, and the affine's first column is only the mean step
    :param origin: whose body it is, where the file says so
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    positions: npt.NDArray[np.float64] | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (Z, Y, X); along Z perpendicular to the slice.

        With a gantry tilt the step from slice to slice is longer than the distance between their planes.
        """
        y, x = np.linalg.norm(self.affine[:3, 1:3], axis=0)
        return float(abs(self.affine[:3, 0] @ self.normal)), float(y), float(x)

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector perpendicular to the slices, rows x columns."""
        normal = np.cross(self.affine[:3, 2], self.affine[:3, 1])
        return np.asarray(normal / np.linalg.norm(normal))

    @property
    def heights_mm(self) -> npt.NDArray[np.float64]:
        """(Z,) distance of each slice's plane from the first one's."""
        if self.positions is None:
            return np.arange(self.shape[0], dtype=np.float64) * self.spacing_mm[0]
        return np.asarray(np.abs((self.positions - self.positions[0]) @ self.normal))

    @property
    def is_even(self) -> bool:
        """Whether the slices are evenly spaced."""
        return self.positions is None

    @property
    def is_rectangular(self) -> bool:
        """Whether the three axes are perpendicular: no gantry tilt or other shear."""
        unit = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        cosines = unit.T @ unit
        return bool(np.abs(cosines - np.eye(3)).max() < _RIGHT_ANGLE)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the step from slice to slice and the slice normal: 0 without gantry tilt."""
        step = self.affine[:3, 0] / np.linalg.norm(self.affine[:3, 0])
        return float(np.degrees(np.arccos(min(1.0, abs(float(step @ self.normal))))))

    def world(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """LPS millimetres of array indices (..., 3) in (z, y, x) order, fractions allowed."""
        index = np.asarray(index, dtype=np.float64)
        if self.positions is None:
            return index @ self.affine[:3, :3].T + self.affine[:3, 3]
        slices = np.arange(self.shape[0])
        start = np.stack([np.interp(index[..., 0], slices, self.positions[:, k]) for k in range(3)], axis=-1)
        return np.asarray(start + index[..., 1:] @ self.affine[:3, 1:3].T)

    def index(self, world: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Array indices (..., 3) in (z, y, x) order, with fractions, of LPS millimetres: the inverse of ``world``."""
        world = np.asarray(world, dtype=np.float64)
        if self.positions is None:
            inverse = np.linalg.inv(self.affine)
            return np.asarray(world @ inverse[:3, :3].T + inverse[:3, 3])
        heights = self.positions @ self.normal
        sign = 1.0 if heights[-1] >= heights[0] else -1.0
        z = _extended(sign * (world @ self.normal), sign * heights)
        slices = np.arange(self.shape[0])
        start = np.stack([np.interp(z, slices, self.positions[:, k]) for k in range(3)], axis=-1)
        in_plane = np.linalg.pinv(self.affine[:3, 1:3])
        return np.concatenate([z[..., None], (world - start) @ in_plane.T], axis=-1)

    def same_grid(self, other: Geometry, tolerance_mm: float = 0.01) -> bool:
        """Whether both describe the same voxels, corner for corner of every slice."""
        if self.shape != other.shape:
            return False
        depth, height, width = self.shape
        even = self.positions is None and other.positions is None
        slices = (0, depth - 1) if even else range(depth)
        corners = np.array(np.meshgrid(slices, (0, height - 1), (0, width - 1), indexing="ij")).reshape(3, -1).T
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance_mm)


def _extended(value: npt.NDArray[np.float64], rising: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The fractional place of values among rising ones, going on with the outermost steps beyond the ends."""
    last = len(rising) - 1
    found = np.asarray(np.interp(value, rising, np.arange(last + 1)))
    first_step, last_step = rising[1] - rising[0], rising[-1] - rising[-2]
    found = np.where(value < rising[0], (value - rising[0]) / first_step, found)
    return np.where(value > rising[-1], last + (value - rising[-1]) / last_step, found)


def check_affine(affine: npt.NDArray[np.float64], where: object) -> None:
    """Refuse an affine that is not finite, is flat, or has voxels no CT has (BAD_GEOMETRY)."""
    if not np.isfinite(affine).all():
        raise BadGeometry("the orientation is not finite", where=where)
    with np.errstate(over="ignore"):
        step = np.linalg.norm(affine[:3, :3], axis=0)
    if step.min() < 0.01 or step.max() > 100.0:
        raise BadGeometry(
            f"a voxel of {' x '.join(f'{s:g}' for s in step)} mm is not a CT's",
            where=where,
            do="check the spacing and its unit",
        )
    if abs(np.linalg.det(affine[:3, :3] / step)) < 0.1:
        raise BadGeometry("the axes lie in one plane", where=where)


@dataclass(frozen=True)
class Source:
    """Where a scan came from and what was noticed on the way."""

    format: str
    """``dicom``, ``nifti``, ``nrrd``, ``metaimage`` or ``image``"""
    reference: str
    """Path as the user gave it, or a series UID: for messages, not for outputs that leave the house."""
    notes: tuple[str, ...] = ()
    """What a reader should know: dropped duplicates, approximate HU."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """Selected technical attributes (kernel, slice thickness, transfer syntax); no patient identity."""
    choice: str = ""
    """Why this series and no other, for every output; empty for a file that holds one volume. No patient identity."""


@dataclass(frozen=True)
class Scan:
    """A CT volume.

    :param hu: (Z, Y, X) int16, Hounsfield units; padding is air (-1024)
    """

    hu: HuArray
    geometry: Geometry
    source: Source
