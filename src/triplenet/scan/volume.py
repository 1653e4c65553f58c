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

HuArray = npt.NDArray[np.int16]
MaskArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a (Z, Y, X) array lie in the patient.

    :param shape: voxels along (Z, Y, X)
    :param affine: (4, 4) float64; maps homogeneous array indices (z, y, x, 1) to LPS millimetres
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (Z, Y, X)."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    def world(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """LPS millimetres of array indices (..., 3) in (z, y, x) order."""
        index = np.asarray(index, dtype=np.float64)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def same_grid(self, other: Geometry, tolerance_mm: float = 0.01) -> bool:
        """Whether both describe the same voxels, corner for corner."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij")).reshape(3, -1).T
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance_mm)


@dataclass(frozen=True)
class Source:
    """Where a scan came from and what was noticed on the way."""

    format: str
    """``dicom``, ``nifti``, ``nrrd``, ``metaimage`` or ``image``"""
    reference: str
    """Path as the user gave it, or a series UID: for messages, not for outputs that leave the house."""
    notes: tuple[str, ...] = ()
    """What a reader should know: dropped duplicates, why this series, approximate HU."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """Selected technical attributes (kernel, slice thickness, transfer syntax); no patient identity."""


@dataclass(frozen=True)
class Scan:
    """A CT volume.

    :param hu: (Z, Y, X) int16, Hounsfield units; padding is air (-1024)
    """

    hu: HuArray
    geometry: Geometry
    source: Source
