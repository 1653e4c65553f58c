"""Which slice of a scan is classified, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass

from triplenet.errors import BadInput
from triplenet.inference.result import Rule
from triplenet.prepare.lung import lung_areas
from triplenet.prepare.masks import Masks
from triplenet.prepare.selection import choose_slice, middle_slice
from triplenet.scan import Series


@dataclass(frozen=True)
class Choice:
    """A slice, counted from the feet, and why it."""

    index: int
    rule: Rule


def choose(series: Series, masks: Masks, wanted: int | None = None) -> Choice:
    """The slice that ``known`` knows, else one of the lung as thresholds find it.

    Without a mask it is the middle of that lung: half of it lies below. With an infection mask that is empty and no
    lung mask it is its largest slice, as in a prepared set.

    :param series: in canonical orientation
    :raises BadInput: there is no such slice
    :raises NoLung: a lung is needed and none was found
    """
    choice = known(series, masks, wanted)
    if choice is not None:
        return choice
    areas = lung_areas(series.read().hu, series.spacing_mm)
    if masks.infection is not None:
        index, _ = choose_slice(None, areas)
        return Choice(index, "largest lung slice (derived lung)")
    return Choice(middle_slice(areas), "middle lung slice (derived lung)")


def known(series: Series, masks: Masks, wanted: int | None = None) -> Choice | None:
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
        return Choice(wanted, "given")
    if len(series) == 1:
        return Choice(0, "only slice")
    if masks.infection is not None and masks.infection.any():
        index, _ = choose_slice(masks.infection.areas, None)
        return Choice(index, "infection mask")
    if masks.lung is not None and masks.lung.any():
        index, _ = choose_slice(None, masks.lung.areas)
        return Choice(index, "lung mask")
    return None
