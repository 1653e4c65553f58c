"""Which slice of a scan is classified, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput, NoLung
from triplenet.inference.aggregation import best_slices
from triplenet.inference.looked_at import LookedAt
from triplenet.inference.lung_region import LungRegion
from triplenet.inference.result import Rule
from triplenet.inference.search import Found, Search, coarse_slices, search
from triplenet.prepare.chest import Chest, examine, probe_lungs, require_chest
from triplenet.prepare.found_lungs import FoundLungs, LungBy
from triplenet.prepare.masks import Masks
from triplenet.prepare.selection import NO_LUNG, NO_LUNG_DO, choose_by_lungs, choose_by_masks
from triplenet.scan import Series

if TYPE_CHECKING:
    from triplenet.prepare.opacity import FoundOpacities

#: More slices than these tell no more of whether this is a chest.
MOST_PROBED = 64
_FOUND: Mapping[Found, tuple[int, Rule]] = {
    "infection": (0, "largest predicted infection"),
    "lung": (1, "largest predicted lung"),
}
_RULES: dict[str, Rule] = {"only": "only slice", "infection": "infection mask", "lung": "lung mask"}


@dataclass(frozen=True)
class SliceChoice:
    """A slice, counted from the feet, and why it; with what was found out where the scan was searched."""

    index: int
    rule: Rule
    lungs: FoundLungs | None = None
    """of the whole scan"""
    search: Search | None = None
    """by a network that segments"""
    opacities: FoundOpacities | None = None
    """by thresholds, of the whole scan, where they were looked for"""
    outside_mm2: tuple[float, ...] = ()
    """Of each slice of the search: infection that the network saw far from any lung, which does not count"""
    shown: tuple[tuple[int, float], ...] = ()
    """Slices with the area in mm2 by which the choice was made; empty where nothing was measured"""

    def best(self, heights_mm: npt.NDArray[np.float64], count: int, apart_mm: float) -> list[int]:
        """The slices that show most of what the choice went by, the chosen one first; see ``best_slices``.

        :param heights_mm: (Z,) of all slices
        """
        if not self.shown:
            return [self.index]
        slices, areas = zip(*self.shown, strict=True)
        return best_slices(slices, areas, heights_mm[list(slices)], count, apart_mm)


def search_scan(
    looked: LookedAt, *, smallest_lesion_mm: float, exhaustive: bool = False, any_body_part: bool = False
) -> tuple[SliceChoice, Chest]:
    """Search a scan by a network, in its lungs, and say what a look at them showed of the chest.

    :param looked: the scan as a model that segments sees it
    :param any_body_part: do not ask whether the scan is a chest; without lungs the network is asked everywhere
    :raises NoLung, NotAChest: it is none
    :raises ScanError: a slice cannot be read
    """
    chest = keep_to_lungs(looked, smallest_lesion_mm)
    if not chest.largest_mm2 and not any_body_part:
        raise NoLung(NO_LUNG, do=NO_LUNG_DO)
    require_chest(chest, any_body_part=any_body_part)
    return choose_by_network(looked, smallest_lesion_mm=smallest_lesion_mm, exhaustive=exhaustive), chest


def keep_to_lungs(looked: LookedAt, smallest_lesion_mm: float) -> Chest:
    """Let infection and lung count in and around the lungs only, if there are any; what a look at them showed.

    :param smallest_lesion_mm: the lungs are looked for in the slices of the coarse steps, if they are enough
    """
    series = looked.series
    geometry = series.geometry
    coarse = coarse_slices(geometry.heights_mm, smallest_lesion_mm)
    start = perf_counter()
    chest, lungs, probed = probe_lungs(series, coarse if geometry.is_even and len(coarse) <= MOST_PROBED else ())
    if chest.largest_mm2:
        _, row_mm, column_mm = series.spacing_mm
        looked.within = LungRegion(probed, lungs, geometry.heights_mm, (row_mm, column_mm), looked.transform)
    looked.seconds["lungs"] += perf_counter() - start
    return chest


def choose_by_network(looked: LookedAt, *, smallest_lesion_mm: float, exhaustive: bool = False) -> SliceChoice:
    """The slice with the largest infection that a network sees, else with the largest lung; see ``search``.

    :param looked: the scan as a model that segments sees it
    :raises NoLung: it sees neither in any slice that was looked at
    :raises ScanError: a slice cannot be read
    """
    heights = looked.series.geometry.heights_mm
    found = search(heights, looked.areas_mm2, smallest_lesion_mm=smallest_lesion_mm, exhaustive=exhaustive)
    which, rule = _FOUND[found.found]
    shown = tuple(zip(found.looked_at, found.areas_mm2[:, which].tolist(), strict=True))
    outside = tuple(looked.outside_mm2(found.looked_at))
    return SliceChoice(found.index, rule, search=found, shown=shown, outside_mm2=outside)


def choose_by_lung(
    series: Series, lung_by: LungBy = "thresholds", *, any_body_part: bool = False
) -> tuple[SliceChoice, Chest | None]:
    """The slice with the largest lung area, the rule of a prepared set; and what the search showed of the chest.

    :param series: in canonical orientation
    :param any_body_part: do not ask whether the scan is a chest
    :raises NoLung: none was found
    :raises NotAChest: the scan does not look like a chest
    """
    chosen = choose_by_lungs(series, lung_by)
    chest = None
    if chosen.lungs is not None:
        chest = examine(chosen.lungs, series.spacing_mm[0], series.source)
        require_chest(chest, any_body_part=any_body_part)
    shown = () if chosen.lungs is None else _shown(chosen.lungs.areas_mm2)
    return SliceChoice(chosen.index, "largest lung slice (derived lung)", chosen.lungs, shown=shown), chest


def choose_by_opacity(
    series: Series, lung_by: LungBy = "thresholds", *, any_body_part: bool = False
) -> tuple[SliceChoice, Chest | None]:
    """The slice with the largest opacity that thresholds find, else as :func:`choose_by_lung`.

    :param series: in canonical orientation
    :param any_body_part: do not ask whether the scan is a chest
    :raises NoLung: none was found
    :raises NotAChest: the scan does not look like a chest
    """
    from triplenet.prepare.opacity import find_opacities  # scipy is slow to load

    chosen, chest = choose_by_lung(series, lung_by, any_body_part=any_body_part)
    if chosen.lungs is None:
        return chosen, chest
    found = find_opacities(series, chosen.lungs)
    chosen = replace(chosen, opacities=found)
    largest = found.largest()
    if largest is not None:
        shown = _shown(found.areas_mm2)
        chosen = replace(chosen, index=largest, rule="largest opacity (thresholds)", shown=shown)
    return chosen, chest


def known(series: Series, masks: Masks, wanted: int | None = None) -> SliceChoice | None:
    """The slice asked for, or the only one, or that of the largest infection, else lung, in the masks; else None.

    :param wanted: slice counted from the feet, from 0
    :raises BadInput: there is no such slice
    """
    if wanted is not None:
        if not 0 <= wanted < len(series):
            raise BadInput(
                f"there is no slice {wanted}",
                do=f"the scan has {len(series)}: give one from 0 (feet) to {len(series) - 1}",
            )
        return SliceChoice(wanted, "given")
    chosen = choose_by_masks(series, masks)
    if chosen is None:
        return None
    region = {"infection": masks.infection, "lung": masks.lung}.get(chosen.rule)
    _, row_mm, column_mm = series.spacing_mm
    shown = () if region is None else _shown(region.areas * row_mm * column_mm)
    return SliceChoice(chosen.index, _RULES[chosen.rule], shown=shown)


def _shown(areas_mm2: npt.NDArray[np.floating]) -> tuple[tuple[int, float], ...]:
    """Every slice that has an area, and which."""
    return tuple((int(index), float(areas_mm2[index])) for index in np.flatnonzero(areas_mm2 > 0))
