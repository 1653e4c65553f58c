"""A lung mask by thresholds and components, where no reader has drawn one.

It finds what holds air inside the body, so a consolidation that reaches the chest wall is partly left out: good
enough to choose a slice and to tell lung from background, and marked as derived wherever it is used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.scan.volume import HuArray, MaskArray

Bool = npt.NDArray[np.bool_]

BODY_HU = -300
LUNG_HU = -320
#: What is darker than this is gas. A component with hardly anything brighter inside has no vessels: it is the
#: trachea, the stomach or bowel.
GAS_HU = -900
VESSEL_SHARE = 0.05
#: A small component of one slice whose darkest part is below is an airway.
AIRWAY_HU = -940
#: Work is done on pixels of about this size; finer ones add time, not lung.
WORKING_MM = 1.4
CLOSING_MM = 9.0
MIN_LUNG_MM2 = 400.0
MIN_LUNG_MM3 = 50_000.0


def lung_mask(hu: HuArray, spacing_mm: tuple[float, float, float]) -> MaskArray:
    """Both lungs, vessels and opacities inside them included.

    :param hu: (Z, Y, X) int16, Hounsfield units, canonical orientation; Z may be 1
    :param spacing_mm: voxel size along (Z, Y, X)
    :returns: (Z, Y, X) uint8, 0 or 1; all 0 where no lung was found
    """
    step = max(1, round(WORKING_MM / spacing_mm[2]))
    coarse = hu[:, ::step, ::step]
    spacing = (spacing_mm[0], spacing_mm[1] * step, spacing_mm[2] * step)
    aerated = aerated_lung(coarse, spacing)
    closed = np.stack([_close(aerated[z], spacing[1], coarse[z]) for z in range(len(coarse))])
    fine = closed.repeat(step, axis=1).repeat(step, axis=2)[:, : hu.shape[1], : hu.shape[2]]
    return fine.astype(np.uint8)


def lung_areas(hu: HuArray, spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """(Z,) aerated lung area of each slice in mm2: quick, for choosing a slice."""
    step = max(1, round(2 * WORKING_MM / spacing_mm[2]))
    spacing = (spacing_mm[0], spacing_mm[1] * step, spacing_mm[2] * step)
    pixels = np.count_nonzero(aerated_lung(hu[:, ::step, ::step], spacing), axis=(1, 2))
    return np.asarray(pixels * (spacing[1] * spacing[2]), dtype=np.float64)


def aerated_lung(hu: HuArray, spacing_mm: tuple[float, float, float]) -> Bool:
    """(Z, Y, X) bool: the air-holding lung, without vessels, airways outside the lung, stomach and bowel."""
    inside = np.stack([_body(one) for one in hu]) & (hu < LUNG_HU)
    labels, count = ndimage.label(inside)
    if count == 0:
        return inside
    index = np.arange(1, count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    voxel = float(np.prod(spacing_mm))
    smallest = MIN_LUNG_MM2 * spacing_mm[0] if len(hu) == 1 else MIN_LUNG_MM3
    # A collapsed lung may be a tenth of the other one.
    large = index[(sizes * voxel >= smallest) & (sizes >= sizes.max() / 20)]
    lungs = [number for number in large if _vessel_share(labels == number, hu) > VESSEL_SHARE]
    mask = np.isin(labels, lungs)
    for z in range(len(mask)):
        mask[z] = _without_airways(mask[z], hu[z], spacing_mm)
    return mask


def _vessel_share(component: Bool, hu: HuArray) -> float:
    """How much of a component's inside is brighter than gas; its wall, blurred, does not count."""
    bright = total = 0
    for part, values in zip(component, hu, strict=True):
        inner = ndimage.binary_erosion(ndimage.binary_fill_holes(part), iterations=2)
        bright += int(np.count_nonzero(inner & (values > GAS_HU)))
        total += int(np.count_nonzero(inner))
    return bright / max(total, 1)


def _body(hu: HuArray) -> Bool:
    """(Y, X) bool: the largest solid thing in the slice with its holes filled."""
    # No opening first: it would break a thin chest wall. What a table encloses has no vessels and goes later.
    labels, count = ndimage.label(hu > BODY_HU)
    if count == 0:
        return np.zeros(hu.shape, dtype=np.bool_)
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    filled: Bool = ndimage.binary_fill_holes(labels == largest)
    return filled


def _without_airways(mask: Bool, hu: HuArray, spacing_mm: tuple[float, float, float]) -> Bool:
    """Drop what is small and pure gas in one slice: trachea and main bronchi, which are joined to the lung in 3D."""
    labels, count = ndimage.label(mask)
    index = np.arange(1, count + 1)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * spacing_mm[1] * spacing_mm[2]
    # The wall blurs into a narrow airway, so its darkest part is asked, not its mean.
    darkest = np.asarray(ndimage.minimum(ndimage.uniform_filter(hu.astype(np.float32), 3), labels, index))
    airways = index[(areas < 900.0) & (darkest < AIRWAY_HU) | (areas < 30.0)]
    return mask & ~np.isin(labels, airways)


def _close(mask: Bool, pixel_mm: float, hu: HuArray) -> MaskArray:
    """Close one slice over vessels and opacities, each side for itself so that the mediastinum stays out."""
    closed = np.zeros(mask.shape, dtype=np.bool_)
    for side in _sides(mask):
        if not side.any():
            continue
        margin = int(np.ceil(CLOSING_MM / pixel_mm)) + 2
        padded = np.pad(side, margin)
        grown = ndimage.distance_transform_edt(~padded) <= CLOSING_MM / pixel_mm
        shrunk = ndimage.distance_transform_edt(grown) > CLOSING_MM / pixel_mm
        filled = ndimage.binary_fill_holes(shrunk)
        closed |= filled[margin:-margin, margin:-margin] | side
    # Bone is never lung: a closing may reach over a rib.
    return (closed & (hu < 250)).astype(np.uint8)


def _sides(mask: Bool) -> tuple[Bool, ...]:
    """The mask parted into the patient's sides: by component, at the middle column where both are one."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return (mask,)
    columns = np.flatnonzero(mask.any(axis=0))
    middle = (columns[0] + columns[-1]) / 2
    left = np.zeros(mask.shape, dtype=np.bool_)
    right = np.zeros(mask.shape, dtype=np.bool_)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels == number
        start, stop = box[1].start, box[1].stop
        if start < middle < stop and min(middle - start, stop - middle) > 0.25 * (stop - start):
            cut = int(middle)
            right[:, :cut] |= part[:, :cut]
            left[:, cut:] |= part[:, cut:]
        elif (start + stop) / 2 < middle:
            right |= part
        else:
            left |= part
    return right, left
