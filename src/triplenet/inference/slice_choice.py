"""Which slice of a scan is classified, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass

from triplenet.errors import BadInput
from triplenet.inference.result import Rule
from triplenet.prepare.chest import examine, require_chest
from triplenet.prepare.found_lungs import FoundLungs, LungBy
from triplenet.prepare.masks import Masks
from triplenet.prepare.selection import choose_by_lungs, choose_by_masks
from triplenet.scan import Series

_RULES: dict[str, Rule] = {"only": "only slice", "infection": "infection mask", "lung": "lung mask"}


@dataclass(frozen=True)
class SliceChoice:
    """A slice, counted from the feet, and why it; with the lungs of the whole scan where it was searched for them."""

    index: int
    rule: Rule
    lungs: FoundLungs | None = None


def choose(
    series: Series,
    masks: Masks,
    wanted: int | None = None,
    *,
    lung_by: LungBy = "thresholds",
    any_body_part: bool = False,
) -> SliceChoice:
    """The slice that ``known`` knows, else the one with the largest lung area: the rule of a prepared set.

    :param series: in canonical orientation
    :param any_body_part: do not ask whether the scan that is searched is a chest
    :raises BadInput: there is no such slice
    :raises NoLung: a lung is needed and none was found
    :raises NotAChest: the scan that was searched does not look like a chest
    """
    choice = known(series, masks, wanted)
    if choice is not None:
        return choice
    chosen = choose_by_lungs(series, lung_by)
    if chosen.lungs is not None:
        chest = examine(chosen.lungs, series.spacing_mm[0], series.source)
        require_chest(chest, any_body_part=any_body_part)
    return SliceChoice(chosen.index, "largest lung slice (derived lung)", chosen.lungs)


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
