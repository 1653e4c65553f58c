"""Which slice of a scan stands for the patient: one rule, for preparing and for predicting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import NoLung
from triplenet.prepare.found_lungs import FoundLungs, LungBy
from triplenet.prepare.masks import Masks
from triplenet.prepare.store import Rule
from triplenet.scan import Series

NO_LUNG = "no lung was found in the scan"
NO_LUNG_DO = "check that it shows a chest; a mask, or in predict a slice, tells"


@dataclass(frozen=True)
class Chosen:
    """A slice, counted from the feet, and why it.

    :param lungs: those of the whole scan, where it had to be searched for them
    """

    index: int
    rule: Rule
    lungs: FoundLungs | None = None


def choose_slice(infection: npt.ArrayLike | None, lung: npt.ArrayLike | None) -> tuple[int, Rule]:
    """The slice with the largest infection area, else the one with the largest lung area; the first on a tie.

    :param infection: (Z,) infection area of each slice, None when unknown
    :param lung: (Z,) lung area of each slice, None when unknown
    :raises NoLung: neither has any area
    """
    if infection is not None and np.max(infection) > 0:
        return int(np.argmax(infection)), "infection"
    if lung is not None and np.max(lung) > 0:
        return int(np.argmax(lung)), "lung"
    raise NoLung(
        "there is neither infection nor lung in any slice",
        do="check the masks, or that the scan shows a chest",
    )


def choose_by_masks(series: Series, masks: Masks) -> Chosen | None:
    """The only slice, or that of the largest infection, else lung, in the masks given; None where none tells."""
    if len(series) == 1:
        return Chosen(0, "only")
    infection = masks.infection.areas if masks.infection is not None and masks.infection.any() else None
    lung = masks.lung.areas if masks.lung is not None and masks.lung.any() else None
    return None if infection is None and lung is None else Chosen(*choose_slice(infection, lung))


def choose_by_lungs(series: Series, by: LungBy = "thresholds") -> Chosen:
    """The slice with the largest lung area, from a search of the whole scan.

    :param series: in canonical orientation
    :raises NoLung: none was found
    """
    from triplenet.prepare.lung import find_lungs  # scipy is slow to load

    lungs = find_lungs(series.read().hu, series.spacing_mm, by)
    if not lungs.areas_mm2.any():
        raise NoLung(NO_LUNG, do=NO_LUNG_DO)
    return Chosen(*choose_slice(None, lungs.areas_mm2), lungs)
