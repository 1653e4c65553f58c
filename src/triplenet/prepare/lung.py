"""The lungs by thresholds and shape, where no reader has drawn them.

The steps are those of the published threshold methods (Hu et al. 2001, Sun et al. 2006 and those after them): air
inside the body, the field of view taken as closed, so that a lung it cuts is still inside; trachea and main bronchi
followed down and taken out; what is left parted by its necks into pieces; pieces of gas alone (stomach, bowel, sinuses)
dropped, the others told apart by side; each side closed over its vessels. All of it on a grid of two millimetres.

A known limit: it finds what holds air. A consolidation, a mass or fluid that reaches the chest wall is left out, and
so is a lung that is white altogether. It is good enough to choose a slice, to tell whether a scan shows a chest, and
to tell lung from background; it is marked as derived wherever it is used, and where the opacities themselves are to
be measured a mask from a reader, or from a network trained for it, is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.prepare.airways import find_airways
from triplenet.prepare.body import IN_PLANE, find_body
from triplenet.prepare.found_lungs import LEFT, RIGHT, FoundLungs, LungBy
from triplenet.prepare.pieces import find_sides
from triplenet.prepare.working_grid import Floats, WorkingGrid
from triplenet.scan.volume import HuArray, MaskArray

Bool = npt.NDArray[np.bool_]

#: Between aerated lung and soft tissue.
LUNG_HU = -320.0
#: Vessels up to about twice this wide are closed over.
CLOSING_MM = 9.0
BONE_HU = 250.0
LARGEST_HOLE_MM2 = 1500.0


@dataclass(frozen=True)
class ThresholdLungs(FoundLungs):
    """The lungs of a scan on the working grid.

    :param sides: (z, y, x) uint8 on the grid: 0 none, 1 the patient's right lung, 2 the left
    :param hu: (z, y, x) on the grid
    :param rim: (y, x) bool on the grid: where the field of view or the edge of the picture cuts off what is behind
    """

    grid: WorkingGrid
    sides: MaskArray
    hu: Floats
    rim: Bool
    by: LungBy = "thresholds"

    @cached_property
    def side_areas_mm2(self) -> npt.NDArray[np.float64]:
        pixel = self.grid.spacing_mm[1] * self.grid.spacing_mm[2]
        pixels = [np.count_nonzero(self.sides == side, axis=(1, 2)) for side in (RIGHT, LEFT)]
        return np.array([self.grid.along(count * pixel) for count in pixels])

    @property
    def touched_mm(self) -> npt.NDArray[np.float64]:
        at_rim = [np.count_nonzero(self.sides[:, self.rim] == side, axis=1) for side in (RIGHT, LEFT)]
        return np.array([self.grid.along(count * self.grid.spacing_mm[2]) for count in at_rim])

    def slice(self, index: int) -> Bool:
        """(Y, X) bool: the lungs in one slice of the scan."""
        return self.grid.slice(self._edge, index) < LUNG_HU

    def sides_on(self, grid: WorkingGrid) -> MaskArray:
        """:attr:`sides`.

        :raises ValueError: the grid is another scan's
        """
        if grid != self.grid:
            raise ValueError("the lungs were found on the grid of another scan")
        return self.sides

    def mask(self) -> MaskArray:
        """(Z, Y, X) uint8, 0 or 1."""
        whole = np.zeros(self.grid.shape, np.uint8)
        for index in np.flatnonzero(self.areas_mm2 > 0):
            whole[index] = self.slice(int(index))
        return whole

    @cached_property
    def _edge(self) -> Floats:
        """HU held below the threshold in the lungs and above it elsewhere: it crosses where their outline is."""
        inside, outside = LUNG_HU - 10.0, LUNG_HU + 10.0
        return np.where(self.sides > 0, np.clip(self.hu, -850.0, inside), np.clip(self.hu, outside, 50.0))


def find_lungs(hu: HuArray, spacing_mm: tuple[float, float, float], by: LungBy = "thresholds") -> FoundLungs:
    """Find both lungs.

    :param hu: (Z, Y, X) int16, Hounsfield units, canonical orientation; Z may be 1
    :param spacing_mm: voxel size along (Z, Y, X)
    :param by: ``thresholds``, or the network of the ``lungmask`` package where it is installed
    :raises MissingExtra: it is not
    """
    if by == "lungmask":
        from triplenet.prepare.lung_network import lungs_by_network

        return lungs_by_network(hu, spacing_mm)
    return by_thresholds(hu, spacing_mm)


def by_thresholds(hu: HuArray, spacing_mm: tuple[float, float, float]) -> ThresholdLungs:
    """Find both lungs by thresholds and shape.

    :param hu: (Z, Y, X) int16, Hounsfield units, canonical orientation; Z may be 1
    :param spacing_mm: voxel size along (Z, Y, X)
    """
    depth, rows, columns = hu.shape
    grid = WorkingGrid.of((depth, rows, columns), spacing_mm)
    field = grid.average(hu)
    body = find_body(field, LUNG_HU, grid.spacing_mm)
    inside = field[body.box]
    airways = find_airways(inside, body, grid.spacing_mm)
    walls = ndimage.binary_dilation(airways, np.ones((1, 3, 3), np.bool_))
    found, others = find_sides(inside, body, body.air & ~walls, grid.spacing_mm)
    sides = np.zeros(field.shape, np.uint8)
    sides[body.box] = _closed(found, inside, others | airways | body.outside, grid.spacing_mm)
    return ThresholdLungs(grid, sides, field, body.rim)


def lung_mask(hu: HuArray, spacing_mm: tuple[float, float, float]) -> MaskArray:
    """Both lungs, vessels and opacities inside them included: see :func:`by_thresholds`.

    :returns: (Z, Y, X) uint8, 0 or 1; all 0 where no lung was found
    """
    return by_thresholds(hu, spacing_mm).mask()


def _closed(sides: MaskArray, hu: Floats, barred: Bool, spacing_mm: tuple[float, float, float]) -> MaskArray:
    """Each side closed in its slices over vessels and opacities, one by one so that the mediastinum stays out."""
    closed = np.zeros_like(sides)
    steps = max(1, round(CLOSING_MM / spacing_mm[2]))
    for side in range(RIGHT, int(sides.max(initial=0)) + 1):
        mask = sides == side
        if not mask.any():
            continue
        box = ndimage.find_objects(mask.view(np.uint8))[0]
        inside = mask[box]
        padded = np.pad(inside, ((0, 0), (steps, steps), (steps, steps)))
        padded = _octagon(padded, steps, ndimage.binary_dilation)
        padded = _octagon(padded, steps, ndimage.binary_erosion)
        shut = padded[:, steps:-steps, steps:-steps]
        # Bone is never lung, nor is other air: a closing may reach over a rib, or to the trachea.
        shut = inside | (shut & (hu[box] < BONE_HU) & ~barred[box])
        shut |= _holes(shut, LARGEST_HOLE_MM2 / (spacing_mm[1] * spacing_mm[2]))
        part = closed[box]
        part[shut & (part == 0)] = side
    return closed


def _holes(mask: Bool, most: float) -> Bool:
    """What the lung encloses: in its slice if it is small, as a dome of the diaphragm is not; else on all sides."""
    padded = np.pad(~mask, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    labels, count = ndimage.label(padded, IN_PLANE)
    small = np.bincount(labels.ravel(), minlength=count + 1) <= most
    small[0] = False
    small[labels[:, [0], :]] = small[labels[:, :, [0]]] = False
    enclosed: Bool = ndimage.binary_fill_holes(mask)
    return np.asarray(small[labels][:, 1:-1, 1:-1]) | enclosed


def _octagon(mask: Bool, steps: int, operation: Callable[..., Bool]) -> Bool:
    """Dilate or erode each slice by an octagon: crosses and squares in turn."""
    mask = operation(mask, IN_PLANE, iterations=steps - steps // 2)
    return operation(mask, np.ones((1, 3, 3), np.bool_), iterations=steps // 2) if steps > 1 else mask
