"""Where in a scan the disease is, without a mask: slices in coarse steps, then around the best of them.

A network that segments says of a slice how much infection and how much lung it shows. The coarse steps follow from the
shortest lesion that must not be missed: wherever it lies, one of its slices is looked at. From the slices that showed
most the search goes on by halves, until the neighbours of the best one are known. What is found is the slice with the
largest infection, as in the paper, for a scan without any that with the largest lung.

NumPy only: what measures a slice is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import pi
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from triplenet.catalog import SMALLEST_LESION_MM
from triplenet.errors import BadInput, NoLung

CANDIDATES = 3
"""Peaks around which the search goes on: the largest of several lesions need not look so from afar."""

Floats = npt.NDArray[np.float64]
SearchBy = Literal["coarse", "exhaustive", "lung"]
"""How the slice is found where no mask tells: by a network, in steps or everywhere, or by the lung alone."""
SEARCHES: tuple[SearchBy, ...] = get_args(SearchBy)
Found = Literal["infection", "lung"]
Measure = Callable[[Sequence[int]], npt.ArrayLike]
"""Slices, from the feet -> (n, 2) areas of infection and of lung in mm2"""


@dataclass(frozen=True)
class Search:
    """What a search looked at and what it found."""

    index: int
    """The slice that was found, counted from the feet"""
    found: Found
    """What it shows most of"""
    looked_at: tuple[int, ...]
    """Slices, rising"""
    areas_mm2: Floats
    """(n, 2) infection and lung of each"""
    smallest_lesion_mm: float
    exhaustive: bool

    @property
    def evaluations(self) -> int:
        """How many slices the network saw."""
        return len(self.looked_at)


def coarse_slices(heights_mm: npt.ArrayLike, smallest_lesion_mm: float) -> list[int]:
    """Slices such that every stretch of the scan so long that has slices has one of these.

    A stretch that is cut by an end of the scan is met from half the length on.

    :param heights_mm: (Z,) of the slices along the axis, rising, evenly spaced or not
    """
    heights = np.asarray(heights_mm, dtype=np.float64)
    if heights.ndim != 1 or not heights.size or (np.diff(heights) <= 0).any():
        raise BadInput("the heights of the slices do not rise")
    if not smallest_lesion_mm > 0:
        raise BadInput(f"a lesion of {smallest_lesion_mm:g} mm", do="give a length above 0")
    tolerance = 1e-6 * smallest_lesion_mm  # a step that is just the length counts as within it
    last = len(heights) - 1
    chosen = [int(np.searchsorted(heights, heights[0] + smallest_lesion_mm / 2 + tolerance, side="right")) - 1]
    while heights[last] - heights[chosen[-1]] > smallest_lesion_mm / 2 + tolerance:
        reached = heights[chosen[-1]] + smallest_lesion_mm + tolerance
        chosen.append(max(int(np.searchsorted(heights, reached, side="right")) - 1, chosen[-1] + 1))
    return chosen


def least_area_mm2(smallest_lesion_mm: float) -> float:
    """From which infection counts: half of what a ball as large as the smallest lesion shows at most."""
    return pi * smallest_lesion_mm**2 / 8


def search(
    heights_mm: npt.ArrayLike,
    measure: Measure,
    *,
    smallest_lesion_mm: float = SMALLEST_LESION_MM,
    exhaustive: bool = False,
) -> Search:
    """Find the slice with the largest infection, else the largest lung.

    Infection counts from half of what a ball as large as the smallest lesion shows at most; less is noise.

    :param heights_mm: (Z,) of the slices along the axis, rising
    :param measure: asked a few times for several slices each, never twice for one
    :param exhaustive: look at every slice
    :raises NoLung: neither was found anywhere
    """
    heights = np.asarray(heights_mm, dtype=np.float64)
    seen: dict[int, tuple[float, float]] = {}

    def look(slices: Sequence[int]) -> None:
        new = sorted(set(slices) - set(seen))
        if new:
            areas = np.asarray(measure(new), dtype=np.float64).reshape(len(new), 2)
            seen.update({index: (float(one), float(other)) for index, (one, other) in zip(new, areas, strict=True)})

    least = least_area_mm2(smallest_lesion_mm)
    look(range(len(heights)) if exhaustive else coarse_slices(heights, smallest_lesion_mm))
    while True:
        which = 0 if max(infection for infection, _ in seen.values()) >= least else 1
        ask = [slice_ for peak in _peaks(seen, which) for slice_ in _halfway(seen, peak, len(heights))]
        if not ask:
            break
        look(ask)
    looked_at = tuple(sorted(seen))
    areas = np.array([seen[index] for index in looked_at])
    if not areas[:, which].any():
        raise NoLung(
            "the network found neither infection nor lung in the scan",
            do="check that it shows a chest; a mask or a slice tells",
        )
    best = looked_at[int(areas[:, which].argmax())]
    return Search(best, "lung" if which else "infection", looked_at, areas, smallest_lesion_mm, exhaustive)


def _peaks(seen: dict[int, tuple[float, float]], which: int) -> list[int]:
    """Slices that show at least as much as their neighbours among those seen; the largest ones."""
    order = sorted(seen)
    areas = [seen[index][which] for index in order]
    padded = [-1.0, *areas, -1.0]
    peaks = [
        index for k, index in enumerate(order) if areas[k] > 0 and padded[k] <= areas[k] and padded[k + 2] <= areas[k]
    ]
    return sorted(peaks, key=lambda index: (-seen[index][which], index))[:CANDIDATES]


def _halfway(seen: dict[int, tuple[float, float]], peak: int, depth: int) -> list[int]:
    """The slices halfway between a peak and its neighbours among those seen, where there are slices between."""
    order = sorted(seen)
    at = order.index(peak)
    below = order[at - 1] if at else -1
    above = order[at + 1] if at + 1 < len(order) else depth
    return [middle for middle in ((below + peak) // 2, (peak + above) // 2) if middle not in seen and middle >= 0]
