"""The trachea and the main bronchi: hollows of gas with a wall, followed from the head down to where lung is around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.prepare.body import Body
from triplenet.prepare.working_grid import Floats

Bool = npt.NDArray[np.bool_]

#: Darker than this is gas, the blur of a wall included; the middle of an airway is darker still.
GAS_HU = -850.0
PURE_HU = -915.0
#: A wall and what lies behind it is brighter than this.
WALL_HU = -600.0
#: How much of what is around an airway is wall; within the lung most of it is lung.
WALL_SHARE = 0.55
#: Of a cross-section; that of the carina, along both main bronchi, is the largest.
SMALLEST_MM2 = 25.0
LARGEST_MM2 = 900.0
#: How far from the middle of the body the trachea may begin.
ASIDE_MM = 45.0
#: What can be followed over less than this is no airway.
SHORTEST_MM = 15.0
_SQUARE = np.ones((3, 3), np.bool_)


def find_airways(hu: Floats, body: Body, spacing_mm: tuple[float, float, float]) -> Bool:
    """(Z, Y, X) bool: the gas in trachea and main bronchi, and in the gullet where there is some.

    :param hu: (Z, Y, X) in canonical orientation, on the working grid, of the body's box
    """
    air = body.air
    found = np.zeros(air.shape, np.bool_)
    aside = ASIDE_MM / spacing_mm[2]
    gas = air & (hu < GAS_HU)
    previous = np.zeros(air.shape[1:], np.bool_)
    for z in range(len(hu) - 1, -1, -1):
        labels, count = ndimage.label(gas[z])
        here = np.zeros_like(previous)
        if count:
            near = _grown(previous, 4.0, spacing_mm)
            for number, box in enumerate(ndimage.find_objects(labels), start=1):
                centre = (box[1].start + box[1].stop - 1) / 2
                if not (near[box].any() or abs(centre - body.middle) < aside):
                    continue
                hollow = labels == number
                if _has_wall(hollow, hu[z], spacing_mm):
                    here |= hollow
                elif (hollow & previous).any():
                    # An airway that opens into something dark: what lies below what was followed, if it has a wall.
                    below = hollow & _grown(previous, 2.0, spacing_mm)
                    if below.sum() <= 1.3 * (previous & hollow).sum() + 4 and _has_wall(below, hu[z], spacing_mm):
                        here |= below
        found[z] = previous = here
    return _long(found, spacing_mm[0])


def _has_wall(hollow: Bool, hu: Floats, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether a dark patch (Y, X) is the size of an airway, holds gas alone and is walled in."""
    area = float(hollow.sum()) * spacing_mm[1] * spacing_mm[2]
    if not SMALLEST_MM2 <= area <= LARGEST_MM2 or float(hu[hollow].min()) > PURE_HU:
        return False
    ring = _grown(hollow, 4.0, spacing_mm) & ~hollow
    return bool((hu[ring] > WALL_HU).mean() >= WALL_SHARE)


def _grown(mask: Bool, by_mm: float, spacing_mm: tuple[float, float, float]) -> Bool:
    steps = max(1, round(by_mm / spacing_mm[2]))
    grown: Bool = ndimage.binary_dilation(mask, _SQUARE, iterations=steps) if mask.any() else mask
    return grown


def _long(found: Bool, slice_mm: float) -> Bool:
    """Without what goes over a few slices only; everything where the scan itself has no more."""
    if len(found) * slice_mm < 2 * SHORTEST_MM:
        return found
    labels, _ = ndimage.label(found, np.ones((3, 3, 3), np.bool_))
    boxes = ndimage.find_objects(labels)
    long = [n for n, box in enumerate(boxes, 1) if (box[0].stop - box[0].start) * slice_mm >= SHORTEST_MM]
    return np.isin(labels, long)
