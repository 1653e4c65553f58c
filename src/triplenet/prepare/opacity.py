"""Opacities in the lungs by thresholds, where neither a reader nor a network tells where the disease is.

Aerated lung lies below about -700 HU (Colombi et al. 2020). What is denser, no vessel, no wall and not the blur of the
lung's outline, counts here: ground glass and consolidation, and scars, atelectasis, dependent lung and masses as well,
which no threshold tells apart. The steps, all on the grid of two millimetres that the lungs were found on:

- each lung is closed over the pockets between it and its convex hull in the slice, where a consolidation at the pleura
  was cut away. A pocket counts only with lung on its inner side and beneath it: heart, hilum, spine and the dome of the
  diaphragm lie in the hull as well;
- the rim is left out, at the base as well as in the slice;
- opaque is what is brighter than the scan's own aerated lung, within limits: inspiration shifts both;
- dense and thin is a vessel, left out with the blur around it. Opaque is then where most of what is left in the
  neighbourhood is: noise, small vessels and walls are outvoted. Where nearly everything around is opaque, vessels
  included, it is opacity without that asking, since a consolidation is full of dense strands;
- an opening takes what is narrow.

The bundle of large vessels at the hilum is what remains of the healthy lung: hence the least area that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from triplenet.prepare.found_lungs import LEFT, RIGHT, FoundLungs
from triplenet.prepare.lung import ThresholdLungs
from triplenet.prepare.working_grid import Floats, WorkingGrid
from triplenet.scan.series import Series
from triplenet.scan.volume import MaskArray

Bool = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]

#: Opaque is brighter than aerated lung by this; aerated lung is what two fifths of the lung's voxels lie below.
ABOVE_AERATED_HU = 130.0
AERATED_PERCENTILE = 40.0
#: Whatever the scan's lung is like: a white lung shall not pass for aerated, nor an overinflated one for opaque.
LOWEST_HU, HIGHEST_HU = -780.0, -650.0
#: Vessel or consolidation; the blur at 2 mm included, therefore less than the -200 HU of Chaganti et al. 2020.
DENSE_HU = -300.0
BONE_HU = 200.0
#: What is dense and narrower than this is a vessel, with a blur around it as wide as the other.
VESSEL_MM = 14.0
BLUR_MM = 4.0
#: Of the outline in a slice, and of the dome of the diaphragm from slice to slice.
RIM_MM = 4.0
BASE_MM = 6.0
#: Half the width of the neighbourhood that votes, and the share of it that must be opaque.
VOTE_MM = 4.0
VOTE_SHARE = 0.6
#: A vote without vessels needs this share of the neighbourhood to be left.
LEFT_SHARE = 0.2
#: The same with the vessels, which must then be nearly all.
WIDE_VOTE_MM = 6.0
WIDE_VOTE_SHARE = 0.8
NARROW_MM = 6.0
#: How far beneath a pocket of the hull there must be lung.
BENEATH_MM = 40.0
#: Less in every slice is no opacity: what the hila of healthy lungs have.
LEAST_MM2 = 400.0


@dataclass(frozen=True)
class FoundOpacities:
    """The opacities of a scan on the working grid.

    :param sides: (z, y, x) uint8 on the grid: 0 none, 1 in the patient's right lung, 2 in the left
    """

    grid: WorkingGrid
    sides: MaskArray

    @cached_property
    def side_areas_mm2(self) -> npt.NDArray[np.float64]:
        """(2, Z): area of the opacities of the patient's right lung and of the left in each slice of the scan."""
        pixel = self.grid.spacing_mm[1] * self.grid.spacing_mm[2]
        pixels = [np.count_nonzero(self.sides == side, axis=(1, 2)) for side in (RIGHT, LEFT)]
        return np.array([self.grid.along(count * pixel) for count in pixels])

    @property
    def areas_mm2(self) -> npt.NDArray[np.float64]:
        """(Z,): area of the opacities of each slice of the scan."""
        return np.asarray(self.side_areas_mm2.sum(axis=0))

    def largest(self) -> int | None:
        """The slice with the largest opacity, the first on a tie; None where no slice has ``LEAST_MM2``."""
        areas = self.areas_mm2
        return int(areas.argmax()) if areas.max(initial=0.0) >= LEAST_MM2 else None

    def slice(self, index: int) -> Bool:
        """(Y, X) bool: the opacities in one slice of the scan."""
        return self.grid.slice((self.sides > 0).astype(np.float32), index) > 0.5


def find_opacities(series: Series, lungs: FoundLungs) -> FoundOpacities:
    """Find the opacities of both lungs.

    :param series: in canonical orientation; read only where the lungs do not hold its averages already
    :param lungs: those of the same scan, vessels and opacities inside them included
    """
    depth, rows, columns = series.geometry.shape
    grid = WorkingGrid.of((depth, rows, columns), series.spacing_mm)
    field = lungs.hu if isinstance(lungs, ThresholdLungs) else grid.average(series.read().hu)
    sides = lungs.sides_on(grid)
    found = np.zeros(sides.shape, np.uint8)
    if not sides.any():
        return FoundOpacities(grid, found)
    limit = opaque_above(field[sides > 0])
    for side in (RIGHT, LEFT):
        mask = sides == side
        if not mask.any():
            continue
        (box,) = ndimage.find_objects(mask.view(np.uint8))
        opaque = _in_one_lung(mask[box], field[box], limit, grid.spacing_mm, inner_is_left=side == RIGHT)
        # A pocket of one lung's hull may reach into the other.
        found[box][opaque & (found[box] == 0)] = side
    return FoundOpacities(grid, found)


def opaque_above(lung_hu: Floats) -> float:
    """What is brighter is opaque.

    :param lung_hu: of the voxels of both lungs
    """
    aerated = float(np.percentile(lung_hu, AERATED_PERCENTILE))
    return min(max(aerated + ABOVE_AERATED_HU, LOWEST_HU), HIGHEST_HU)


def _in_one_lung(lung: Bool, hu: Floats, limit: float, spacing_mm: Spacing, *, inner_is_left: bool) -> Bool:
    """(z, y, x) bool: the opacities of one lung in its box.

    :param inner_is_left: whether the mediastinum is to the patient's left of it, where the columns run to
    """
    lung = lung | (_pockets(lung, spacing_mm, inner_is_left) & (hu < BONE_HU))
    inside = _without_rim(lung, spacing_mm)
    dense = lung & (hu > DENSE_HU)
    vessels = dense & ~ndimage.binary_opening(dense, _disc(VESSEL_MM / 2, spacing_mm))
    blurred = ndimage.binary_dilation(vessels, _disc(BLUR_MM, spacing_mm)) & ~(dense & ~vessels)
    opaque = inside & (hu > limit) & (hu < BONE_HU)
    others = inside & ~blurred
    left = _density(others, VOTE_MM, spacing_mm)
    agreed = (_density(opaque & others, VOTE_MM, spacing_mm) > VOTE_SHARE * left) & (left > LEFT_SHARE)
    all_around = _density(inside, WIDE_VOTE_MM, spacing_mm)
    nearly_all = _density(opaque, WIDE_VOTE_MM, spacing_mm) > WIDE_VOTE_SHARE * all_around
    chosen = inside & (agreed | nearly_all) & (opaque | blurred)
    return np.asarray(ndimage.binary_opening(chosen, _disc(NARROW_MM / 2, spacing_mm)))


def _density(mask: Bool, width_mm: float, spacing_mm: Spacing) -> Floats:
    """Share of the neighbourhood in the slice that is in the mask."""
    sigma = (0.0, width_mm / spacing_mm[1], width_mm / spacing_mm[2])
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant"))


def _without_rim(lung: Bool, spacing_mm: Spacing) -> Bool:
    """What is not near the outline, in the slice or beneath; where the scan ends the lung goes on."""
    disc = _disc(RIM_MM, spacing_mm)
    inside = np.asarray(ndimage.binary_erosion(lung, disc))
    for k in range(1, _steps(BASE_MM, spacing_mm[0]) + 1):
        inside[k:] &= lung[:-k]
    return inside


def _pockets(lung: Bool, spacing_mm: Spacing, inner_is_left: bool) -> Bool:
    """Between a lung and its hull in the slice, with lung on the inner side and beneath."""
    towards = lung[:, :, ::-1] if inner_is_left else lung
    inner = np.logical_or.accumulate(towards, axis=2)
    if inner_is_left:
        inner = inner[:, :, ::-1]
    beneath = np.zeros_like(lung)
    for k in range(1, min(_steps(BENEATH_MM, spacing_mm[0]), len(lung) - 1) + 1):
        beneath[k:] |= lung[:-k]
    return np.stack([_hull(flat) for flat in lung]) & ~lung & inner & beneath


def _hull(flat: Bool) -> Bool:
    """(y, x) bool: the convex hull of a slice's pixels; the pixels themselves where they lie on a line."""
    rows = np.flatnonzero(flat.any(axis=1))
    if not rows.size:
        return flat
    first, last = flat[rows].argmax(axis=1), flat.shape[1] - 1 - flat[rows, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])
    try:
        sides = ConvexHull(points).equations
    except (QhullError, ValueError):
        return flat
    y, x = np.ogrid[: flat.shape[0], : flat.shape[1]]
    within = np.ones(flat.shape, np.bool_)
    for along_y, along_x, offset in sides:
        within &= along_y * y + along_x * x + offset <= 1e-6
    return within


def _disc(radius_mm: float, spacing_mm: Spacing) -> Bool:
    """(1, y, x) bool: the pixels of a slice within a radius."""
    reach = [_steps(radius_mm, side) for side in spacing_mm[1:]]
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    far = np.hypot(y * spacing_mm[1], x * spacing_mm[2])
    # The four neighbours always belong: with coarse pixels a disc of one pixel would do nothing.
    return np.asarray((far <= radius_mm) | (np.abs(y) + np.abs(x) <= 1))[None]


def _steps(length_mm: float, spacing_mm: float) -> int:
    return max(1, round(length_mm / spacing_mm))
