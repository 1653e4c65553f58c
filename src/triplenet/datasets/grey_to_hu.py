"""Grey levels of an 8-bit CT picture back to approximate Hounsfield units.

Public slice sets were often saved min-max per slice, so that a grey level means another HU in each. Two things are
known in every axial chest slice: the air around the patient (-1000 HU) and the blood and muscle between the lungs
(about +40 HU). A line through both gives HU to within some tens, which the paper's window of 500 HU tolerates; it is
said in every file written that the values are approximate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from triplenet.errors import NotHu

AIR_HU, AERATED_HU, TISSUE_HU = -1000.0, -830.0, 40.0


@dataclass(frozen=True)
class GreyToHu:
    """``hu = slope * grey + intercept``; grey levels at or below ``padding`` are outside the field of view."""

    slope: float
    intercept: float
    padding: int

    def hu(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
        """(Y, X) int16, approximate Hounsfield units; padding becomes air."""
        hu = np.rint(grey * self.slope + self.intercept).clip(-1024, 3071)
        return np.where(grey <= self.padding, np.int16(-1024), hu.astype(np.int16))


def calibrate(grey: npt.NDArray[np.uint8], where: object = None) -> GreyToHu:
    """Find air and soft tissue in an axial chest slice.

    :param grey: (Y, X) uint8, brighter is denser
    :raises NotHu: the picture does not look like an axial chest slice with the patient inside it
    """
    padding = _padding(grey)
    field = ndimage.binary_erosion(grey > padding, iterations=3, border_value=0)
    middle = float(_otsu(grey[field])) if field.any() else 0.0
    body = _largest(ndimage.binary_opening((grey > middle) & field, iterations=2))
    filled = ndimage.binary_fill_holes(body)
    around = field & ~ndimage.binary_dilation(filled, iterations=4)
    lungs = ndimage.binary_erosion(filled & ~body, iterations=2)
    if lungs.sum() < 0.01 * grey.size:
        raise _untied("no lung in the picture", where)
    tissue = _mode(grey[_between(lungs) & (grey > middle)])
    if around.sum() >= 0.005 * grey.size:
        air = _mode(grey[around & (grey < middle)])
    elif padding >= 0 and float(np.median(grey[lungs])) < 0.35 * tissue + 0.65 * padding:
        # Lung lies a seventh of the way from air to tissue, but more than half-way from a scanner's padding.
        air, padding = _mode(grey[grey <= padding]), -1
    else:
        raise _untied("no air around the patient", where)
    if tissue - air < 4:
        raise _untied("air and tissue are alike", where)
    slope = (TISSUE_HU - AIR_HU) / (tissue - air)
    return GreyToHu(slope, AIR_HU - slope * air, padding)


def calibrate_crop(grey: npt.NDArray[np.uint8], lung: npt.NDArray[np.bool_], where: object = None) -> GreyToHu:
    """For a picture cropped to the chest, with a lung mask: aerated lung is -830 HU, bright tissue +40 HU.

    Where the picture was saved in a window that soft tissue saturates, tissue is taken as the window's upper end.

    :param lung: (Y, X) bool, lung without infection
    :raises NotHu: lung and tissue do not differ
    """
    if not lung.any() or lung.all():
        raise _untied("no lung, or nothing but lung", where)
    aerated = float(np.median(grey[lung]))
    outside = grey[~ndimage.binary_dilation(lung, iterations=3)]
    tissue = _mode(outside[outside > aerated + 20]) if (outside > aerated + 20).any() else aerated
    if tissue - aerated < 20:
        raise _untied("lung and tissue are alike", where)
    slope = (TISSUE_HU - AERATED_HU) / (tissue - aerated)
    return GreyToHu(slope, AERATED_HU - slope * aerated, -1)


def _untied(why: str, where: object) -> NotHu:
    return NotHu(f"grey levels cannot be tied to HU: {why}", where=where, do="use the original DICOM or NIfTI files")


def _padding(grey: npt.NDArray[np.uint8]) -> int:
    """The grey level up to which a pixel lies outside the round field of view; -1 when the picture is filled."""
    corners = np.stack([grey[:12, :12], grey[:12, -12:], grey[-12:, :12], grey[-12:, -12:]])
    level = int(np.median(corners))
    # Compression blurs the edge of the field, so that padding has a little width.
    width = 8 if level == 0 else 2
    flat = (np.abs(corners.astype(int) - level) <= width).mean() > 0.95
    return level + width if flat and (grey < level - width).mean() < 0.01 else -1


def _between(lungs: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(Y, X) bool: between the outer edges of both lungs, where heart and great vessels are and fat is scarce."""
    rows, columns = np.nonzero(lungs)
    top, bottom = np.percentile(rows, (15, 75)).astype(int)
    left, right = np.percentile(columns, (25, 75)).astype(int)
    region = np.zeros(lungs.shape, dtype=np.bool_)
    region[top:bottom, left:right] = True
    return region


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def _mode(values: npt.NDArray[np.uint8]) -> float:
    """The commonest grey level after smoothing: JPEG leaves combs in the histogram."""
    histogram = ndimage.gaussian_filter1d(np.bincount(values, minlength=256).astype(np.float64), 2.5)
    return float(histogram.argmax())


def _otsu(values: npt.NDArray[np.uint8]) -> int:
    """The threshold that parts the histogram into the two tightest groups (Otsu 1979)."""
    counts = np.bincount(values, minlength=256).astype(np.float64)
    below = counts.cumsum()
    sums = (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.nanargmax(between))
