"""How the grid of a mask lies on that of a scan: on its voxels, whole or cut out, to within half of one.

The one tolerance is half a voxel: nearer than that the nearest voxel is the one that was meant, however the header was
rounded; what is further off is another grid. What is more than a hundredth off, and what is cut out, is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import SeriesGap
from triplenet.scan.orientation import reorientation
from triplenet.scan.volume import Geometry, MaskArray

HALF = 0.5
"""Of a voxel: how far a mask's voxels may lie from the scan's and still be these."""
_SAID = 0.01


@dataclass(frozen=True)
class Placement:
    """Where a mask's voxels lie in a scan of the same order of axes.

    :param slices: (n,) the scan's slice of each of the mask's
    :param row: the scan's row of the mask's first one, likewise ``column``
    :param off: how far the voxels lie from the scan's, at most, in voxels
    """

    slices: npt.NDArray[np.int64]
    row: int
    column: int
    off: float


def lay_on(mask: MaskArray, geometry: Geometry, like: Geometry) -> tuple[MaskArray, tuple[str, ...]] | None:
    """The mask (Z, Y, X) on the scan's grid, 0 where it does not reach, and notes; None if it lies on other voxels.

    Other orders of axes and flips are the same voxels.
    """
    ours, theirs = reorientation(geometry), reorientation(like)
    try:
        own, scan = ours.apply_geometry(geometry), theirs.apply_geometry(like)
    except SeriesGap:  # unevenly spaced slices that would become rows
        return None
    placement = place(own, scan)
    if placement is None:
        return None
    out = np.zeros(scan.shape, np.uint8)
    rows = slice(placement.row, placement.row + own.shape[1])
    columns = slice(placement.column, placement.column + own.shape[2])
    out[placement.slices, rows, columns] = ours.apply(mask)
    notes = []
    if placement.off > _SAID:
        notes.append(f"its voxels lie up to {placement.off:.2f} of a voxel off the scan's")
    if own.shape != scan.shape:
        whole, part = " x ".join(map(str, scan.shape)), " x ".join(map(str, own.shape))
        notes.append(f"it covers {part} of the scan's {whole} voxels")
    return np.ascontiguousarray(theirs.undo(out)), tuple(notes)


def place(own: Geometry, scan: Geometry) -> Placement | None:
    """Where the voxels of ``own`` lie in ``scan``; None if they lie between its voxels or beyond them.

    Both in canonical orientation. ``own`` may be cut out of the scan, and lack slices of it.
    """
    depth, height, width = own.shape
    corners = np.array(np.meshgrid(range(depth), (0, height - 1), (0, width - 1), indexing="ij"), dtype=np.float64)
    grid = np.moveaxis(corners, 0, -1)  # (n, 2, 2, 3)
    index = scan.index(own.world(grid))
    slices = np.rint(index[..., 0].mean(axis=(1, 2))).astype(np.int64)
    shift = index[..., 1:] - grid[..., 1:]
    row, column = (int(value) for value in np.rint((shift.min(axis=(0, 1, 2)) + shift.max(axis=(0, 1, 2))) / 2))
    off = max(float(np.abs(index[..., 0] - slices[:, None, None]).max()), float(np.abs(shift - (row, column)).max()))
    inside = (
        slices.min() >= 0
        and slices.max() < scan.shape[0]
        and row >= 0
        and column >= 0
        and row + height <= scan.shape[1]
        and column + width <= scan.shape[2]
    )
    if off >= HALF or not inside or len(np.unique(slices)) < depth:
        return None
    # Every second slice, or a coarser grid whose voxels happen to lie on some of the scan's, is another resolution.
    if depth > 1 and own.is_even and scan.is_even and np.abs(np.diff(slices)).max() > 1:
        return None
    return Placement(slices, row, column, off)
