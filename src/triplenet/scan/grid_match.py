"""How the grid of a mask lies on that of a scan: on its voxels, whole or cut out, to within half of one.

The one tolerance is half a voxel: nearer than that the nearest voxel is the one that was meant, however the header was
rounded; what is further off is another grid. What is more than a hundredth off, and what is cut out, is said. A file
that can only say evenly spaced slices (NIfTI, NRRD, MetaImage) may belong to a scan with gaps: then its slices are the
scan's by their number, if they begin on the scan's first slice with one of the scan's own steps.
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
_STEP = 0.01  # of a step: how far an even step may lie outside the scan's own ones
_PARALLEL = 0.999


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
    by_number: bool = False


def lay_on(mask: MaskArray, geometry: Geometry, like: Geometry) -> tuple[MaskArray, tuple[str, ...]] | None:
    """The mask (Z, Y, X) on the scan's grid, 0 where it does not reach, and notes; None if it lies on other voxels.

    Other orders of axes and flips are the same voxels.
    """
    ours, theirs = reorientation(geometry), reorientation(like)
    try:
        own, scan = ours.apply_geometry(geometry), theirs.apply_geometry(like)
    except SeriesGap:  # unevenly spaced slices that would become rows
        return None
    placement = place(own, scan) or _by_number(own, scan)
    if placement is None:
        return None
    out = np.zeros(scan.shape, np.uint8)
    rows = slice(placement.row, placement.row + own.shape[1])
    columns = slice(placement.column, placement.column + own.shape[2])
    out[placement.slices, rows, columns] = ours.apply(mask)
    notes = [*off_note("its voxels", placement.off)]
    if placement.by_number:
        notes.append("its evenly spaced slices were laid on the scan's uneven ones by their number")
    if own.shape != scan.shape:
        whole, part = " x ".join(map(str, scan.shape)), " x ".join(map(str, own.shape))
        notes.append(f"it covers {part} of the scan's {whole} voxels")
    return np.ascontiguousarray(theirs.undo(out)), tuple(notes)


def off_note(what: str, off: float, those: str = "the scan's") -> tuple[str, ...]:
    """What is said of voxels that lie ``off`` voxels beside those they are taken for."""
    return (f"{what} lie up to {off:.2f} of a voxel off {those}",) if off > _SAID else ()


def voxels_apart(geometry: Geometry, like: Geometry) -> float | None:
    """How far the corners of two grids of one shape lie apart at most, in voxels of ``like``; None for other shapes."""
    ours, theirs = reorientation(geometry), reorientation(like)
    try:
        own, scan = ours.apply_geometry(geometry), theirs.apply_geometry(like)
    except SeriesGap:
        return None
    if own.shape != scan.shape:
        return None
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in own.shape], indexing="ij"), np.float64).reshape(3, -1).T
    return float(np.abs(scan.index(own.world(corners)) - corners).max())


def _by_number(own: Geometry, scan: Geometry) -> Placement | None:
    """An even grid on an uneven scan of the same shape that begins at its first or last slice, slice by slice."""
    if scan.positions is None or not own.is_even or own.shape != scan.shape or own.shape[0] < 2:
        return None
    steps = np.abs(np.diff(scan.positions @ scan.normal))
    if not steps.min() * (1 - _STEP) <= own.spacing_mm[0] <= steps.max() * (1 + _STEP):
        return None
    depth, height, width = own.shape
    for end in (0, depth - 1):
        corners = np.array(np.meshgrid(end, (0, height - 1), (0, width - 1), indexing="ij"), np.float64)
        corners = corners.reshape(3, -1).T
        off = float(np.abs(scan.index(own.world(corners)) - corners).max())
        if off < HALF and abs(own.normal @ scan.normal) > _PARALLEL:
            return Placement(np.arange(depth), 0, 0, off, by_number=True)
    return None


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
