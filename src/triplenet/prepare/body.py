"""What is inside the body: the air around the patient, the padding and the table told from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.prepare.working_grid import Floats

Bool = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

#: Air, averaged over a few voxels; emphysema is as dark in places only.
PURE_AIR_HU = -935.0
#: How much of a dark region at the edge of the field is that dark if it is the air around the patient.
AIR_SHARE = 0.8
#: With as much as this it may be that air joined to a lung, where the wall between is too thin.
MIXED_SHARE = 0.4
LARGE_MM2 = 600.0
TISSUE_HU = -300.0
#: The shell of a table is thinner than this, and a plate within it a smaller part of all than this.
SHEET_MM = 8.0
SOLID_SHARE = 0.2
#: Kept around the body, in voxels.
_MARGIN = 3
#: Neighbours in the same slice.
IN_PLANE = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]


@dataclass(frozen=True)
class Body:
    """Arrays (Z, Y, X) bool, of the part of the scan that the body is in.

    :param box: that part
    :param air: dark and inside the body, or cut off by the field of view
    :param outside: the air around the patient, and the padding
    :param enclosed: by the body, or by it and the edge of the field; a table, a mattress and a blanket are not
    :param rim: (Y, X) of the whole picture: beside the padding or at the edge, so that what is there may go on beyond
    :param middle: column, in the box, of the middle of the soft tissue
    :param width: of the soft tissue, in columns
    """

    box: Box
    air: Bool
    outside: Bool
    enclosed: Bool
    rim: Bool
    middle: float
    width: float


def find_body(hu: Floats, threshold: float, spacing_mm: tuple[float, float, float]) -> Body:
    """Tell air inside the body from air around it.

    The field of view is taken as closed, and what it cuts off is judged by what it holds: air around the patient is
    air alone, and a lung has its own density.

    :param hu: (Z, Y, X) on the working grid
    :param threshold: what is below is dark
    """
    padding = find_padding(hu)
    rim = ndimage.binary_dilation(padding, np.ones((3, 3), np.bool_))
    rim[[0, -1], :] = rim[:, [0, -1]] = True
    rim &= ~padding
    solid = _solid(hu, spacing_mm)
    box = _box(solid)
    hu, solid = hu[box], solid[box]
    beyond = np.broadcast_to(padding[box[1:]], hu.shape)
    dark = (hu < threshold) & ~beyond
    outside = _outside(hu, dark, beyond, spacing_mm)
    tissue = np.count_nonzero(solid, axis=(0, 1))
    columns = np.flatnonzero(tissue)
    return Body(
        box=box,
        air=dark & ~outside,
        outside=outside | beyond,
        enclosed=_enclosed(solid, outside, padding, box),
        rim=rim,
        middle=float(np.average(columns, weights=tissue[columns])) if columns.size else hu.shape[2] / 2,
        width=float(np.ptp(columns) + 1) if columns.size else float(hu.shape[2]),
    )


def find_padding(hu: Floats) -> Bool:
    """(Y, X) bool: what has the corner's very value in every slice and is joined to the corner.

    Air has noise; what lies beyond the circle of reconstruction has none. In pictures without noise it is the air
    around the patient, which does no harm.
    """
    padding = np.zeros(hu.shape[1:], np.bool_)
    lowest, highest = hu.min(axis=0), hu.max(axis=0)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        value = float(lowest[row, column])
        same = (lowest > value - 0.5) & (highest < value + 0.5)
        if value < PURE_AIR_HU and same[row, column] and not padding[row, column]:
            labels, _ = ndimage.label(same)
            padding |= labels == labels[row, column]
    return padding


def _outside(hu: Floats, dark: Bool, beyond: Bool, spacing_mm: tuple[float, float, float]) -> Bool:
    """The dark regions of a slice that reach the edge and hold air alone."""
    labels, count = ndimage.label(dark, IN_PLANE)
    edge = ndimage.binary_dilation(beyond[0])
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    at_edge = np.bincount(labels[:, edge].ravel(), minlength=count + 1) > 0
    at_edge[0] = False
    # The blurred outline of a region does not count; the edge of the field is no outline.
    inner = ndimage.binary_erosion(dark | beyond, IN_PLANE, border_value=True) & dark
    pure = inner & (hu < PURE_AIR_HU)
    inside = np.bincount(labels[inner], minlength=count + 1)
    share = np.bincount(labels[pure], minlength=count + 1) / np.maximum(inside, 1)
    air = at_edge & ((share > AIR_SHARE) | (inside == 0))
    outside = np.asarray(air[labels])
    mixed = at_edge & ~air & (share > MIXED_SHARE)
    if mixed.any():
        outside |= _air_at_edge(mixed[labels] & pure, edge, spacing_mm) & dark
    return outside


def _air_at_edge(pure: Bool, edge: Bool, spacing_mm: tuple[float, float, float]) -> Bool:
    """The large patches of air that reach the edge, with their blurred outline, where a thin wall did not hold."""
    slices = np.flatnonzero(pure.any(axis=(1, 2)))
    found = np.zeros(pure.shape, np.bool_)
    pure = pure[slices]
    opened = ndimage.binary_opening(pure, IN_PLANE, iterations=2) | (pure & edge)
    labels, count = ndimage.label(opened, IN_PLANE)
    large = np.bincount(labels.ravel(), minlength=count + 1) * spacing_mm[1] * spacing_mm[2] > LARGE_MM2
    large &= np.bincount(labels[:, edge].ravel(), minlength=count + 1) > 0
    large[0] = False
    found[slices] = ndimage.binary_dilation(large[labels], IN_PLANE, iterations=2)
    return found


def _solid(hu: Floats, spacing_mm: tuple[float, float, float]) -> Bool:
    """Soft tissue that is no sheet, and its largest parts only: no table."""
    steps = max(1, round(SHEET_MM / 2 / spacing_mm[2]))
    labels, count = ndimage.label(ndimage.binary_opening(hu > TISSUE_HU, IN_PLANE, iterations=steps))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = sizes > SOLID_SHARE * sizes.max()
    return np.asarray(large[labels])


def _box(solid: Bool) -> Box:
    """Around the body: it takes as long in a wide field of view as in a narrow one."""
    sides: list[slice] = []
    for axis in (1, 2):
        length = solid.shape[axis]
        there = np.flatnonzero(solid.any(axis=(0, 3 - axis)))
        narrow = not there.size or np.ptp(there) < 0.3 * length
        sides.append(slice(0, length) if narrow else slice(max(there[0] - _MARGIN, 0), int(there[-1]) + _MARGIN + 1))
    return slice(0, len(solid)), sides[0], sides[1]


def _enclosed(solid: Bool, outside: Bool, padding: Bool, box: Box) -> Bool:
    """What has body in front and behind, or body at a side and nothing but the edge of the field in front and behind.

    :param outside: the air around the patient, without padding
    :param padding: (Y, X) of the whole picture
    """
    before, behind = _from_start(solid, 1), _from_start(solid[:, ::-1], 1)[:, ::-1]
    beside = _from_start(solid, 2) | _from_start(solid[:, :, ::-1], 2)[:, :, ::-1]
    # What the box leaves out is air around the patient, or padding.
    edge_before = padding[: box[1].start, box[2]].all(axis=0)
    edge_behind = padding[box[1].stop :, box[2]].all(axis=0)
    cut_before = before | (edge_before & ~_from_start(outside, 1))
    cut_behind = behind | (edge_behind & ~_from_start(outside[:, ::-1], 1)[:, ::-1])
    return np.asarray((before & behind) | (cut_before & cut_behind & beside))


def _from_start(mask: Bool, axis: int) -> Bool:
    return np.logical_or.accumulate(mask, axis=axis)
