"""Air inside the body parted into pieces by its necks, and which of them are the right and the left lung."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.prepare.body import IN_PLANE, Body
from triplenet.prepare.found_lungs import LEFT, RIGHT
from triplenet.prepare.working_grid import Floats
from triplenet.scan.volume import MaskArray

Bool = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]

#: Half the width of a neck that joins two organs only through the blur of a wall: tried in turn until both lungs are
#: apart.
NECKS_MM = (4.0, 6.0, 8.0, 11.0)
#: Darker than this is gas, not lung; a piece that is little else and has nothing denser in it is bowel, sinus or skull.
GAS_HU = -930.0
GAS_SHARE = 0.7
DENSE_HU = -880.0
DENSE_SHARE = 0.05
#: A lung that the field cuts is enclosed as well; a pad under the back is in places.
ENCLOSED_SHARE = 0.85
#: A collapsed lung may be a twentieth of the other one.
SMALLEST_SHARE = 0.05
SMALLEST_ML = 50.0
SMALLEST_MM2 = 400.0
#: Of what is no lung this much is kept out of it; less is a bubble, or an airway between opacities.
NOTED_ML = 2.0
#: Gas with this much of soft tissue around it, in this lower part of what passes for lung, is stomach or bowel.
LOWER_SHARE = 0.5
#: Of a slab that is no higher nobody knows which part it shows.
HIGH_MM = 60.0
WALL_HU = -500.0
WALLED_SHARE = 0.5
#: Two lungs lie at least so far apart, from middle to middle.
ASIDE_MM = 50.0
#: One lung is narrower than this share of the body.
SPAN = 0.62
#: Slices so thin are eroded along the body, too.
THIN_MM = 3.0
#: Neighbours above and below.
_UPRIGHT = np.zeros((3, 3, 3), np.bool_)
_UPRIGHT[:, 1, 1] = True


def find_sides(hu: Floats, body: Body, air: Bool, spacing_mm: tuple[float, float, float]) -> tuple[MaskArray, Bool]:
    """The two lungs, without what has to be closed over; and the other air in the body that no lung may reach into.

    :param hu: (Z, Y, X) in canonical orientation, on the working grid, of the body's box
    :param air: (Z, Y, X) the body's, with the airways taken out
    :returns: (Z, Y, X) uint8, 0 none, 1 the right lung, 2 the left; (Z, Y, X) bool
    """
    sides, others = np.zeros(air.shape, np.uint8), np.zeros(air.shape, np.bool_)
    boxes = ndimage.find_objects(air.view(np.uint8))
    if not boxes:
        return sides, others
    box = boxes[0]
    for neck in NECKS_MM:
        labels, cores = part(air[box], neck, spacing_mm)
        lungs, rest = _lungs(labels, cores, hu[box], body.enclosed[box], spacing_mm)
        if not lungs or not _both(labels, lungs[0], body.width):
            break
    others[box] = np.isin(labels, rest)
    if lungs:
        told = _told_apart(labels, lungs, body.middle - box[2].start, spacing_mm)
        sides[box] = _whole(told, air[box] & ~others[box])
        lakes = _gas_below(sides[box], hu[box], spacing_mm)
        others[box] |= lakes
        sides[others] = 0
    return sides, others


def _gas_below(sides: MaskArray, hu: Floats, spacing_mm: tuple[float, float, float]) -> Bool:
    """Stomach and bowel that the blur of thick slices joins to the lung above.

    A lake of gas in the lower part of the chest with soft tissue around it, not lung as around a bulla.
    """
    found = np.zeros(sides.shape, np.bool_)
    heights = np.flatnonzero((sides > 0).any(axis=(1, 2)))
    if not heights.size or np.ptp(heights) * spacing_mm[0] < HIGH_MM:
        return found
    top = int(heights[0] + LOWER_SHARE * np.ptp(heights)) + 1
    gas = (sides[:top] > 0) & (hu[:top] < GAS_HU)
    labels, count = ndimage.label(ndimage.binary_opening(gas, IN_PLANE, iterations=max(1, round(3 / spacing_mm[2]))))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(spacing_mm)) / 1000
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if sizes[number] < NOTED_ML:
            continue
        wide = tuple(slice(max(side.start - 3, 0), side.stop + 3) for side in box)
        lake = labels[wide] == number
        near = _wider(lake)
        shell = _wider(_wider(near)) & ~_wider(near)
        if (hu[wide][: len(shell)][shell] > WALL_HU).mean() > WALLED_SHARE:
            found[wide][: len(near)] |= _wider(near)
    return found


def _wider(mask: Bool) -> Bool:
    grown: Bool = ndimage.binary_dilation(mask, IN_PLANE)
    return grown | ndimage.binary_dilation(mask, _UPRIGHT)


def _whole(sides: MaskArray, air: Bool) -> MaskArray:
    """With the small pieces that hang on the lungs by a neck: between opacities, along the wall."""
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        mine = sides == side
        if mine.any():
            sides[ndimage.binary_propagation(mine, mask=mine | (air & (sides != other)))] = side
    return sides


def part(air: Bool, neck_mm: float, spacing_mm: tuple[float, float, float]) -> tuple[Labels, Bool]:
    """Pieces that hang together by more than a neck, numbered from 1, and the middle of each.

    The edge of the array is no outline: what is cut there goes on.
    """
    steps = max(1, round(neck_mm / spacing_mm[2]))
    high = 1 if spacing_mm[0] <= THIN_MM else 0
    cores = ndimage.binary_erosion(air, IN_PLANE, iterations=steps, border_value=True)
    if high:
        cores = ndimage.binary_erosion(cores, _UPRIGHT, iterations=high, border_value=True)
    labels: Labels = np.asarray(ndimage.label(cores)[0], dtype=np.int32)
    for _ in range(steps + 2):
        grown: Labels = ndimage.maximum_filter(labels, size=(1 + 2 * high, 3, 3))
        free = (labels == 0) & air & (grown > 0)
        if not free.any():
            break
        labels[free] = grown[free]
    return labels, cores


def _lungs(
    labels: Labels, cores: Bool, hu: Floats, enclosed: Bool, spacing_mm: tuple[float, float, float]
) -> tuple[list[int], list[int]]:
    """The large pieces: those that hold lung, the largest first, and those that do not."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    voxel_mm3 = float(np.prod(spacing_mm))
    smallest = min(SMALLEST_ML * 1000, SMALLEST_MM2 * spacing_mm[0] * len(labels)) / voxel_mm3
    boxes = ndimage.find_objects(labels)
    lungs: list[int] = []
    rest: list[int] = []
    for number in np.argsort(sizes)[::-1].tolist():
        if sizes[number] * voxel_mm3 < NOTED_ML * 1000:
            break
        box = boxes[number - 1]
        large = sizes[number] >= max(smallest, SMALLEST_SHARE * sizes[lungs[0]] if lungs else 0)
        piece = labels[box] == number
        if not _holds_lung(piece & cores[box], hu[box], float(enclosed[box][piece].mean())):
            rest.append(number)
        elif large:
            lungs.append(number)
    return lungs, rest


def _holds_lung(inner: Bool, hu: Floats, enclosed: float) -> bool:
    """Whether a piece lies within the body and holds more than gas: the density of lung, or something denser.

    :param inner: without its outline, which is blurred
    :param enclosed: how much of the piece the body encloses
    """
    if enclosed < ENCLOSED_SHARE or not inner.any():
        return False
    inside = hu[inner]
    return bool((inside < GAS_HU).mean() <= GAS_SHARE or (inside > DENSE_HU).mean() >= DENSE_SHARE)


def _both(labels: Labels, number: int, body_width: float) -> bool:
    """Whether a piece is both lungs: two patches far apart in many slices, or one that spans the body."""
    whole = twice = 0
    for one in labels[ndimage.find_objects(labels)[number - 1]] == number:
        patches, count = ndimage.label(one)
        if count == 0:
            continue
        areas = np.bincount(patches.ravel(), minlength=count + 1)[1:]
        found = ndimage.find_objects(patches)
        large = [found[n][1] for n in range(count) if areas[n] > 0.15 * areas.sum()]
        centres = [(place.start + place.stop) / 2 for place in large]
        whole += int(areas.sum())
        if (
            max(centres) - min(centres) > 0.3 * body_width
            or max(place.stop - place.start for place in large) > SPAN * body_width
        ):
            twice += int(areas.sum())
    return twice > 0.25 * whole


def _told_apart(labels: Labels, lungs: list[int], middle: float, spacing_mm: tuple[float, float, float]) -> MaskArray:
    """Right and left: by the gap between the two largest pieces that lie beside each other, else by the body."""
    columns = [np.flatnonzero((labels == number).any(axis=(0, 1))) for number in lungs]
    counts = [np.bincount(np.nonzero(labels == number)[2], minlength=labels.shape[2]) for number in lungs]
    centres = [float(np.average(np.arange(labels.shape[2]), weights=count)) for count in counts]
    beside = [n for n in range(1, len(lungs)) if abs(centres[n] - centres[0]) * spacing_mm[2] > ASIDE_MM]
    if beside:
        middle = (centres[0] + centres[beside[0]]) / 2
    elif columns[0][0] < middle < columns[0][-1]:
        # One piece over the middle: parted in the narrowest place, if it is narrow.
        low, high = (round(columns[0][0] + share * np.ptp(columns[0])) for share in (0.35, 0.65))
        valley = low + int(np.argmin(counts[0][low : high + 1]))
        if counts[0][valley] < 0.3 * min(counts[0][:valley].max(), counts[0][valley:].max()):
            sides = np.where(np.isin(labels, lungs), RIGHT, 0).astype(np.uint8)
            sides[:, :, valley:][sides[:, :, valley:] > 0] = LEFT
            return sides
    sides = np.zeros(labels.shape, np.uint8)
    for number, centre in zip(lungs, centres, strict=True):
        sides[labels == number] = RIGHT if centre < middle else LEFT
    return sides
