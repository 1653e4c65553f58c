"""Which slice of a scan is classified, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from triplenet import catalog
from triplenet.catalog import INFECTION, LUNG
from triplenet.errors import BadInput
from triplenet.explanation.maps import segment
from triplenet.inference.result import Rule
from triplenet.inference.search import Search, search
from triplenet.model import Model
from triplenet.prepare.chest import Chest, examine, require_chest
from triplenet.prepare.found_lungs import FoundLungs, LungBy
from triplenet.prepare.masks import Masks
from triplenet.prepare.sample import SliceTransform, network_slice
from triplenet.prepare.selection import choose_by_lungs, choose_by_masks
from triplenet.scan import Series

BATCH = 8
"""Slices that a network is asked about at once"""
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
    opacity_mm2: npt.NDArray[np.float64] | None = None
    """(Z,): area of the opacities by thresholds in each slice, where they were looked for"""


def can_search(model: Model) -> bool:
    """Whether a model can search a scan: it reads slices and tells infection from lung."""
    return model.card.dimensions == 2 and "segmentation" in catalog.method(model.card.method).terms


def choose_by_network(
    series: Series, finder: Model, *, smallest_lesion_mm: float, exhaustive: bool = False
) -> SliceChoice:
    """The slice with the largest infection that a network sees, else with the largest lung; see ``search``.

    :param series: in canonical orientation
    :param finder: a model that segments
    :raises NoLung: it sees neither in any slice that was looked at
    :raises ScanError: a slice cannot be read
    """
    _, row_mm, column_mm = series.spacing_mm
    transform = SliceTransform((series.geometry.shape[1], series.geometry.shape[2]), finder.card.size)
    pixel_mm2 = row_mm * column_mm * (transform.side / transform.size) ** 2

    def areas(slices: Sequence[int]) -> npt.NDArray[np.float64]:
        found = []
        for first in range(0, len(slices), BATCH):
            hu = series.slices(list(slices[first : first + BATCH]))
            images = np.stack([network_slice(one, finder.card.window_hu, finder.card.size)[0] for one in hu])
            labels = segment(finder, images)
            found += [[(one == label).sum() * pixel_mm2 for label in (INFECTION, LUNG)] for one in labels]
        return np.array(found)

    heights = np.arange(len(series)) * series.spacing_mm[0]
    found = search(heights, areas, smallest_lesion_mm=smallest_lesion_mm, exhaustive=exhaustive)
    rule: Rule = "largest predicted infection" if found.found == "infection" else "largest predicted lung"
    return SliceChoice(found.index, rule, search=found)


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
    return SliceChoice(chosen.index, "largest lung slice (derived lung)", chosen.lungs), chest


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
    chosen = replace(chosen, opacity_mm2=found.areas_mm2)
    largest = found.largest()
    if largest is not None:
        chosen = replace(chosen, index=largest, rule="largest opacity (thresholds)")
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
    return None if chosen is None else SliceChoice(chosen.index, _RULES[chosen.rule])
