"""How a heat map lies to a mask of the lesion, in numbers.

Three families, since each can be deceived in its own way. By energy: the share of the map's sum that lies in the
lesion. By rank: which pixels are hotter than which, whatever the values. By area: the map made a mask, at a threshold.
Thresholds are values of the map's absolute scale, but for Otsu's and that of the lesion's own area, which suit maps
without such a scale. Equal values are never put in an order of their own: a map that is the same everywhere scores as
a random one does on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Heat = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
_Floats = npt.NDArray[np.float64]

#: From here on a pixel counts as pointed at.
THRESHOLD = 0.5
#: How far beside the lesion still counts as near, as a share of the image's shorter side: the 15 pixels of the pointing
#: game (Zhang et al. 2018), of an image of 224.
TOLERANCE = 15 / 224
_LEVELS = 256


@dataclass(frozen=True)
class MapScores:
    """A heat map against the mask of the true lesion on the same pixels.

    Without a lesion, or where nobody knows of one, only ``energy``, ``energy_in_lung`` and the pixels are defined. A
    map that is 0 everywhere shares no energy and has no threshold of Otsu's; its ranks are those of any constant map.
    """

    pointing_game: float | None
    """Share of the hottest pixels that lie in the lesion: 1 or 0 where one pixel is the hottest (Zhang et al. 2018)"""
    pointing_game_near: float | None
    """The same with the lesion grown by the tolerance"""
    energy_in_lesion: float | None
    """Share of the map's sum (Wang et al. 2020); None as well for a map that is 0 everywhere"""
    energy_in_lung: float | None
    """The same for the lung; None without a lung mask, for an empty one, and for a map that is 0 everywhere"""
    iou_matched: float | None
    """Of the lesion with as many of the hottest pixels as it has; of equal ones, the mean over all ways to draw"""
    dice_matched: float | None
    """As above"""
    iou_otsu: float | None
    """Of the lesion with the pixels above Otsu's threshold of the map (1979); None as well for a constant map"""
    dice_otsu: float | None
    """As above"""
    dice: float | None
    """Of the lesion with the pixels at or above the absolute threshold"""
    average_precision: float | None
    """Area under precision and recall over pixels, in steps; chance is the lesion's share of the image"""
    rank: float | None
    """How high the lesion's pixels rank among all: 1 when all others are colder, 0.5 by chance (the AUC over pixels);
    None as well for a lesion that is everywhere"""
    energy: float
    """Mean of the map over the image"""
    lesion_pixels: int | None
    """0 without a lesion, None where nobody knows"""
    hot_pixels: int
    """At or above the absolute threshold"""


@dataclass(frozen=True)
class Measure:
    """How one field of ``MapScores`` is read."""

    title: str
    percent: bool
    """A share, to be written in percent; else a coefficient from 0 to 1"""
    needs_lesion: bool = True
    """Defined for patients with a lesion only"""
    better: Literal["high"] = "high"


#: What may be the primary measure of a comparison of maps, in the order of a table's columns;
#: the names are those of ``catalog.MapMeasure``.
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "pointing_game": Measure("pointing game", percent=True),
        "pointing_game_near": Measure("pointing game with tolerance", percent=True),
        "energy_in_lesion": Measure("energy in the lesion", percent=True),
        "energy_in_lung": Measure("energy in the lung", percent=True, needs_lesion=False),
        "average_precision": Measure("average precision", percent=False),
        "rank": Measure("rank of the lesion", percent=False),
        "iou_matched": Measure("IoU at the lesion's area", percent=False),
        "dice_matched": Measure("Dice at the lesion's area", percent=False),
        "iou_otsu": Measure("IoU at Otsu's threshold", percent=False),
        "dice_otsu": Measure("Dice at Otsu's threshold", percent=False),
        "dice": Measure(f"Dice at {THRESHOLD:g}", percent=False),
    }
)


def score_map(
    heat: Heat,
    lesion: Mask | None,
    lung: Mask | None = None,
    *,
    threshold: float = THRESHOLD,
    tolerance_px: float | None = None,
) -> MapScores:
    """Compare a heat map with the lesion.

    :param heat: (H, W), 0 and more
    :param lesion: (H, W); None where nobody knows
    :param lung: (H, W), the lesion included; None where nobody knows
    :param threshold: value of the map for ``dice`` and ``hot_pixels``
    :param tolerance_px: distance from the lesion that is still near; by default ``TOLERANCE`` of the shorter side
    :raises ValueError: different shapes; a value that is negative or not finite
    """
    for name, mask in (("lesion", lesion), ("lung", lung)):
        if mask is not None and mask.shape != heat.shape:
            raise ValueError(f"heat {heat.shape} and {name} {mask.shape} differ in shape")
    if not np.isfinite(heat).all() or (heat < 0).any():
        raise ValueError("a heat map is finite and nowhere below 0")
    hot = heat >= threshold
    area = 0 if lesion is None else int(lesion.sum())
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    if lesion is not None and area:
        found |= _in_lesion(heat, lesion, hot, tolerance_px)
    found["energy_in_lung"] = None if lung is None else energy_share(heat, lung)
    return MapScores(
        **found,
        energy=float(heat.mean(dtype=np.float64)),
        lesion_pixels=None if lesion is None else area,
        hot_pixels=int(hot.sum()),
    )


def energy_share(heat: Heat, region: Mask) -> float | None:
    """Share of a map's sum in a region; None for an empty region or a map that is 0 everywhere."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[region].sum(dtype=np.float64)) / total if region.any() and total > 0 else None


def pointing_game(heat: Heat, region: Mask) -> float:
    """Share of the hottest pixels that lie in a region."""
    return float(region[heat == heat.max()].mean())


def dice(one: Mask, other: Mask) -> float | None:
    """Dice coefficient of two masks; None when both are empty."""
    sizes = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / sizes if sizes else None


class _Levels(NamedTuple):
    """The values of a map from the hottest down; whatever depends on ranks only follows from these."""

    pixels: npt.NDArray[np.int64]
    """(L,) how many have the value"""
    lesion: npt.NDArray[np.int64]
    """(L,) how many of these lie in the lesion"""


def _in_lesion(heat: Heat, lesion: Mask, hot: Mask, tolerance_px: float | None) -> dict[str, float | None]:
    from scipy.ndimage import distance_transform_edt

    tolerance = TOLERANCE * min(heat.shape) if tolerance_px is None else tolerance_px
    near = np.asarray(distance_transform_edt(~lesion)) <= tolerance
    levels = _levels(heat, lesion)
    iou_matched, dice_matched = _at_matched_area(levels)
    otsu = _above_otsu(heat)
    return {
        "pointing_game": pointing_game(heat, lesion),
        "pointing_game_near": pointing_game(heat, near),
        "energy_in_lesion": energy_share(heat, lesion),
        "average_precision": _average_precision(levels),
        "rank": _rank(levels),
        "iou_matched": iou_matched,
        "dice_matched": dice_matched,
        "iou_otsu": None if otsu is None else int((otsu & lesion).sum()) / int((otsu | lesion).sum()),
        "dice_otsu": None if otsu is None else dice(otsu, lesion),
        "dice": dice(hot, lesion),
    }


def _levels(heat: Heat, lesion: Mask) -> _Levels:
    values, level = np.unique(heat.ravel(), return_inverse=True)
    pixels = np.bincount(level, minlength=len(values))
    inside = np.bincount(level[lesion.ravel()], minlength=len(values))
    return _Levels(pixels[::-1], inside[::-1])


def _average_precision(levels: _Levels) -> float:
    """Sum of precision times the step of recall, a step a value."""
    precision = levels.lesion.cumsum() / levels.pixels.cumsum()
    return float((precision * levels.lesion).sum() / levels.lesion.sum())


def _rank(levels: _Levels) -> float | None:
    """Chance that a pixel of the lesion is hotter than one outside, ties counting half."""
    outside = levels.pixels - levels.lesion
    pairs = int(levels.lesion.sum()) * int(outside.sum())
    colder = outside.sum() - outside.cumsum()
    return float((levels.lesion * (colder + outside / 2)).sum() / pairs) if pairs else None


def _at_matched_area(levels: _Levels) -> tuple[float, float]:
    """IoU and Dice of the lesion with as many of the hottest pixels, on average over all ways to draw among equals."""
    area = int(levels.lesion.sum())
    hotter = levels.pixels.cumsum()
    last = int(np.searchsorted(hotter, area))  # the value at which the area is full
    tied, of_lesion = int(levels.pixels[last]), int(levels.lesion[last])
    hits, chance = _hypergeometric(tied, of_lesion, area - (int(hotter[last]) - tied))
    common = int(levels.lesion[:last].sum()) + hits
    return float((chance * common / (2 * area - common)).sum()), float((chance * common / area).sum())


def _hypergeometric(tied: int, of_lesion: int, drawn: int) -> tuple[_Floats, _Floats]:
    """How many of the lesion are among those drawn, (K,), and how probable each number is, (K,)."""
    from scipy.special import gammaln

    hits = np.arange(max(0, drawn - (tied - of_lesion)), min(drawn, of_lesion) + 1, dtype=np.float64)
    parts = (hits, of_lesion - hits, drawn - hits, tied - of_lesion - drawn + hits)
    log = -np.sum([gammaln(part + 1) for part in parts], axis=0)
    chance = np.exp(log - log.max())
    return hits, chance / chance.sum()


def _above_otsu(heat: Heat) -> Mask | None:
    """(H, W) the pixels above Otsu's threshold, of 256 levels from the lowest value to the highest; None if constant.

    Pixels are parted by their level. A threshold that is a value, the middle of a level, would part the pixels of that
    level too, and of a map of few values all of one may lie there.
    """
    from skimage.filters import threshold_otsu

    low, high = float(heat.min()), float(heat.max())
    if low == high:
        return None
    scaled = (heat.astype(np.float64) - low) / (high - low)
    level = np.minimum((scaled * _LEVELS).astype(np.int64), _LEVELS - 1)
    counts = np.bincount(level.ravel(), minlength=_LEVELS)
    above: Mask = level > threshold_otsu(hist=(counts, np.arange(_LEVELS)))
    return above
