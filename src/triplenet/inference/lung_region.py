"""Where in a scan infection of the lung can be: in and around the lungs that thresholds find in some of its slices.

A network that was trained on one slice a patient, in the middle of the lungs, has seen neither belly nor neck, and may
call bowel or liver infected there. What it sees far from any lung is not counted. A consolidation beside lung that
still holds air is within reach; where one lung is much smaller than the other, the other's mirror image counts too, so
that a lung that is white altogether is not left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.prepare.found_lungs import FoundLungs
from triplenet.prepare.sample import SliceTransform

Bool = npt.NDArray[np.bool_]

#: Around the lungs: what thresholds leave out at the wall.
REACH_MM = 10.0
#: Of the larger lung's volume; a smaller one may be consolidated.
UNEVEN = 0.5


class LungRegion:
    """In and around the lungs, in the pixels of a network.

    :param slices: rising, those in which the lungs were looked for
    :param lungs: of these, in their order
    :param heights_mm: (Z,) of all slices of the scan
    :param pixel_mm: of the scan's slices, (Y, X)
    """

    def __init__(
        self,
        slices: Sequence[int],
        lungs: FoundLungs,
        heights_mm: npt.NDArray[np.float64],
        pixel_mm: tuple[float, float],
        transform: SliceTransform,
    ) -> None:
        self._slices = np.asarray(slices)
        self._heights = heights_mm
        step = float(np.diff(heights_mm[self._slices]).max(initial=0.0))
        self._step_mm = max(step, REACH_MM)
        scale = transform.side / transform.size
        reach = [max(1, round(REACH_MM / (side * scale))) for side in pixel_mm]
        masks = [transform.mask(lungs.slice(at).astype(np.uint8)) > 0 for at in range(len(slices))]
        areas = lungs.side_areas_mm2.sum(axis=1)
        if areas.min() < UNEVEN * areas.max():
            masks = [mask | mask[:, ::-1] for mask in masks]  # a picture is centred on the body within centimetres
        disc = _ellipse(*reach)
        self._masks = [np.asarray(ndimage.binary_dilation(mask, disc)) if mask.any() else mask for mask in masks]

    def mask(self, index: int) -> Bool:
        """(size, size): of any slice, from the nearest ones that were looked at, if they are no further than a step."""
        above = int(np.searchsorted(self._slices, index))
        found = np.zeros_like(self._masks[0])
        for at in {max(above - 1, 0), min(above, len(self._slices) - 1)}:
            if abs(self._heights[index] - self._heights[self._slices[at]]) <= self._step_mm:
                found |= self._masks[at]
        return found


def _ellipse(rows: int, columns: int) -> Bool:
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray((y / rows) ** 2 + (x / columns) ** 2 <= 1)
