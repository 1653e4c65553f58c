"""How much of the lung is infected: volumes and shares, with what they may be where not every slice was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.prepare.masks import Masks
from triplenet.scan import Series

Bool = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

BODY_HU = -300.0
#: The gap between the lungs is looked for in this middle part of them.
MIDDLE = (0.3, 0.7)
#: It has less lung than this share of either side; else the middle of the body parts them.
GAP_SHARE = 0.5
READ = 8


@dataclass(frozen=True)
class Columns:
    """A slice by its columns, which run to the patient's left: pixels of each kind in each of them, (X,)."""

    infection: Counts
    lung: Counts
    """with the infection"""
    high: Counts
    """infection above the limit of high opacity"""
    body: Counts

    @property
    def areas(self) -> tuple[int, int]:
        """Pixels of infection, and of lung with it."""
        return int(self.infection.sum()), int(self.lung.sum())


def columns_of(hu: npt.NDArray[np.int16], infection: Bool, lung: Bool, high_hu: float) -> Columns:
    """A slice (Y, X) by its columns.

    :param lung: with the infection
    :param high_hu: infection denser than this is high opacity
    """
    parts = (infection, lung, infection & (hu > high_hu), hu > BODY_HU)
    return Columns(*(np.count_nonzero(part, axis=0).astype(np.int32) for part in parts))


@dataclass(frozen=True)
class Bounded:
    """An estimate, and the least and the most it is if areas rise or fall steadily between slices looked at."""

    estimate: float
    low: float
    high: float

    def share_of(self, whole: Bounded) -> Bounded | None:
        """It as a share of a whole that holds it; None without a whole."""
        if whole.estimate <= 0:
            return None
        high = 1.0 if whole.low <= 0 else min(1.0, self.high / whole.low)
        return Bounded(min(1.0, self.estimate / whole.estimate), min(1.0, self.low / whole.high), high)


@dataclass(frozen=True)
class LungMeasures:
    """Of both lungs, or of one."""

    infection_ml: Bounded
    lung_ml: Bounded | None
    """with the infection; None where nobody told what is lung"""
    high_opacity_ml: Bounded | None
    """None where only areas are known"""

    @property
    def infected(self) -> Bounded | None:
        """The percentage of opacity of the field, as a share: infection in the lung."""
        return None if self.lung_ml is None else self.infection_ml.share_of(self.lung_ml)

    @property
    def high_opacity(self) -> Bounded | None:
        """The percentage of high opacity of the field, as a share: dense infection in the lung."""
        if self.high_opacity_ml is None or self.lung_ml is None:
            return None
        return self.high_opacity_ml.share_of(self.lung_ml)


@dataclass(frozen=True)
class Measures:
    """Of a scan."""

    both: LungMeasures
    right: LungMeasures
    left: LungMeasures
    slices: int
    """Looked at"""
    of: int


def measure(
    looked: Mapping[int, Columns],
    heights_mm: npt.ArrayLike,
    spacing_mm: tuple[float, float, float],
    *,
    lung_known: bool = True,
) -> Measures:
    """Volumes from the slices that were looked at.

    :param looked: slices, from the feet, at least one
    :param heights_mm: (Z,) of all slices of the scan along the axis
    :param spacing_mm: along (Z, Y, X)
    :param lung_known: whether the columns tell of the lung
    """
    slices = np.array(sorted(looked))
    columns = [looked[int(index)] for index in slices]
    middle = _middle(columns)
    thick_mm = _thickness(np.asarray(heights_mm, dtype=np.float64), spacing_mm[0])
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]

    def part(first: int | None, last: int | None) -> LungMeasures:
        infection, lung, high = (
            _volume(slices, pixel_mm2 * np.array([getattr(one, kind)[first:last].sum() for one in columns]), thick_mm)
            for kind in ("infection", "lung", "high")
        )
        return LungMeasures(infection, lung if lung_known else None, high)

    return Measures(part(None, None), part(None, middle), part(middle, None), len(slices), len(thick_mm))


def measure_areas(infection_mm2: Floats, lung_mm2: Floats, heights_mm: npt.ArrayLike, slice_mm: float) -> Measures:
    """Volumes from the areas in every slice of a scan.

    :param infection_mm2: (2, Z) in the patient's right lung and the left
    :param lung_mm2: likewise, of the lung
    """
    thick_mm = _thickness(np.asarray(heights_mm, dtype=np.float64), slice_mm)

    def part(*sides: int) -> LungMeasures:
        infection, lung = (float(area[list(sides)].sum(axis=0) @ thick_mm) / 1000 for area in (infection_mm2, lung_mm2))
        return LungMeasures(Bounded(infection, infection, infection), Bounded(lung, lung, lung), None)

    return Measures(part(0, 1), part(0), part(1), len(thick_mm), len(thick_mm))


def measure_masks(series: Series, masks: Masks, high_hu: float) -> Measures | None:
    """Volumes by the masks that a reader drew; None where no infection is told of.

    :param series: in canonical orientation
    """
    if masks.infection is None:
        return None
    found = columns_of_masks(series, masks, high_hu)
    return measure(found, series.geometry.heights_mm, series.spacing_mm, lung_known=masks.lung is not None)


def columns_of_masks(series: Series, masks: Masks, high_hu: float) -> dict[int, Columns]:
    """Every slice by the masks that a reader drew; only those with infection are read from the scan.

    :param series: in canonical orientation
    :param masks: with infection; without lung the columns know none
    """
    infection, lung = masks.infection, masks.lung
    if infection is None:
        return {}
    depth, rows, columns = series.geometry.shape
    infected = np.flatnonzero(infection.areas > 0).tolist()
    air = np.full((rows, columns), -1000, np.int16)
    nothing = np.zeros((rows, columns), np.bool_)
    found = {}
    if lung is not None:
        for index in np.flatnonzero((infection.areas == 0) & (lung.areas > 0)).tolist():
            found[index] = columns_of(air, nothing, lung[index], high_hu)
    for first in range(0, len(infected), READ):
        some = infected[first : first + READ]
        for index, hu in zip(some, series.slices(some), strict=True):
            inside = nothing if lung is None else lung[index] | infection[index]
            found[index] = columns_of(hu, infection[index], inside, high_hu)
    empty = columns_of(air, nothing, nothing, high_hu)
    return {index: found.get(index, empty) for index in range(depth)}


def _thickness(heights_mm: Floats, slice_mm: float) -> Floats:
    """(Z,): what each slice stands for, up to halfway to its neighbours."""
    if len(heights_mm) == 1:
        return np.array([slice_mm])
    halves = np.diff(heights_mm) / 2
    return np.asarray(np.append(halves, halves[-1]) + np.insert(halves, 0, halves[0]))


def _volume(slices: npt.NDArray[np.intp], areas_mm2: Floats, thick_mm: Floats) -> Bounded:
    """Of a slice that was not looked at the area lies between those of its neighbours that were.

    Below the first and above the last of these it lies between theirs and nothing. The estimate is the middle.
    """
    places = np.arange(len(thick_mm))
    above = np.searchsorted(slices, places)
    padded = np.concatenate([[0.0], areas_mm2, [0.0]])
    seen = np.zeros(len(places), np.bool_)
    seen[slices] = True
    low = np.minimum(padded[above], padded[above + 1])
    high = np.maximum(padded[above], padded[above + 1])
    low[seen] = high[seen] = areas_mm2
    least, most = (float(area @ thick_mm) / 1000 for area in (low, high))
    return Bounded((least + most) / 2, least, most)


def _middle(columns: list[Columns]) -> int:
    """The column between the lungs: where there is least lung in the middle of both, else the middle of the body."""
    lung = np.sum([one.lung for one in columns], axis=0)
    body = np.sum([one.body for one in columns], axis=0)
    places = np.arange(len(body))
    middle = int(np.average(places, weights=body if body.any() else None) + 0.5)
    there = np.flatnonzero(lung)
    if not there.size:
        return middle
    low, high = (int(there[0] + share * (there[-1] - there[0])) for share in MIDDLE)
    least = lung[low : high + 1].min()
    if least > GAP_SHARE * min(lung[:low].max(initial=0), lung[high + 1 :].max(initial=0)):
        return middle
    valley = low + np.flatnonzero(lung[low : high + 1] == least)
    return int(valley[len(valley) // 2])
