"""The canonical axial orientation and the way back.

Canonical means: array indices (z, y, x) increase to the head, to the back and to the left, as nearly as
flips and a change of axes can do it. Nothing is resampled, so the way back is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import SeriesGap
from triplenet.scan.volume import Geometry

_HEAD_BACK_LEFT = (2, 1, 0)  # the LPS coordinate that z, y, x run along in the canonical orientation


@dataclass(frozen=True)
class Reorientation:
    """A change of axes and flips that is undone exactly.

    :param axes: for each new axis (z, y, x), the old axis it is taken from
    :param flips: for each new axis, whether it runs the other way
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def is_identity(self) -> bool:
        return self.axes == (0, 1, 2) and not any(self.flips)

    @property
    def keeps_slices(self) -> bool:
        """Whether a slice stays a slice, so that one can be had without the others."""
        return self.axes[0] == 0

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array (Z, Y, X, ...) in the new orientation; a view."""
        turned = array.transpose(*self.axes, *range(3, array.ndim))
        return turned[self._steps()]

    def undo(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array (Z, Y, X, ...) in the new orientation put back into the old one; a view.

        A stack of fewer slices, or one slice as (1, Y, X), may be given where slices stay slices.
        """
        back = np.argsort(self.axes)
        return array[self._steps()].transpose(*back, *range(3, array.ndim))

    def undo_index(self, z: int, depth: int) -> int:
        """The old number of the slice that is number ``z`` of ``depth`` in the new orientation."""
        if not self.keeps_slices:
            raise ValueError("slices do not stay slices in this reorientation")
        return depth - 1 - z if self.flips[0] else z

    def apply_geometry(self, geometry: Geometry) -> Geometry:
        """The geometry of ``apply(array)``."""
        if geometry.positions is not None and not self.keeps_slices:
            raise SeriesGap("unevenly spaced slices cannot become rows or columns")
        shape = (geometry.shape[self.axes[0]], geometry.shape[self.axes[1]], geometry.shape[self.axes[2]])
        change = np.zeros((4, 4))  # old index = change @ new index
        change[3, 3] = 1.0
        for new, old in enumerate(self.axes):
            change[old, new] = -1.0 if self.flips[new] else 1.0
            change[old, 3] = shape[new] - 1 if self.flips[new] else 0.0
        positions = geometry.positions
        if positions is not None:
            shift = geometry.affine[:3, 1:3] @ change[1:3, 3]  # the first voxel of a slice becomes another corner
            positions = (positions[::-1] if self.flips[0] else positions) + shift
        return Geometry(shape, geometry.affine @ change, positions, geometry.origin)

    def _steps(self) -> tuple[slice, slice, slice]:
        z, y, x = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return z, y, x


def reorientation(geometry: Geometry) -> Reorientation:
    """How an array of this geometry becomes canonical."""
    step = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)  # (LPS, zyx)
    axes = max(
        permutations((0, 1, 2)),
        key=lambda order: sum(abs(step[_HEAD_BACK_LEFT[new], order[new]]) for new in range(3)),
    )
    z, y, x = (bool(step[_HEAD_BACK_LEFT[new], axes[new]] < 0) for new in range(3))
    return Reorientation((axes[0], axes[1], axes[2]), (z, y, x))
