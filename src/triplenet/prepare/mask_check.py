"""An infection mask that is a lung mask is refused."""

from __future__ import annotations

import numpy as np

from triplenet.errors import BadMask
from triplenet.prepare.masks import MaskFault, Masks
from triplenet.scan.volume import HuArray

WHOLE_LUNG = 0.9
"""Of the lung: an infection mask whose meaning was guessed and that covers more is a lung mask"""
SAME = 0.98
"""Of the lung over several slices: whatever a mask calls itself, nobody with more infection than this was scanned"""
AERATED_HU = -700.0
"""Median below which a region is normally aerated lung; ground glass lies above"""


def refuse_lung_as_infection(
    masks: Masks,
    index: int,
    hu: HuArray,
    spacing_mm: tuple[float, float, float],
    *,
    column: str = "infection",
) -> None:
    """Refuse an infection mask that is nearly the whole lung: of the scan where a lung mask is given, else of a slice.

    Without a lung mask only a mask whose meaning was guessed (joined labels, a segment without a telling name) is
    looked at, and against the lung by thresholds, which leaves out what is dense.

    :param index: of the chosen slice
    :param hu: (Y, X) that slice
    :param column: of the cohort table, which has the infection mask
    :raises MaskFault: of that column
    """
    if masks.infection is None or not (infected := masks.infection[index]).any():
        return
    if masks.lung is not None:
        lung = masks.lung[index]
        if np.count_nonzero(infected & lung) <= WHOLE_LUNG * np.count_nonzero(lung):
            return  # areas of a whole volume only where a slice gives reason
        share = int(masks.infection.areas.sum()) / max(int(masks.lung.areas.sum()), 1)
        several = np.count_nonzero(masks.lung.areas) > 1
        most = WHOLE_LUNG if masks.guessed else SAME if several else np.inf
    elif masks.guessed:
        from triplenet.prepare.lung import lung_mask  # scipy is slow to load

        lung = lung_mask(hu[None], spacing_mm)[0] > 0
        share = int(np.count_nonzero(infected & lung)) / max(int(np.count_nonzero(lung)), 1)
        most = WHOLE_LUNG if np.median(hu[infected]) < AERATED_HU else np.inf
    else:
        return
    if share > most:
        error = BadMask(
            f"the infection covers {share:.0%} of the lung, as a lung mask does",
            do="give a mask of the infection alone, or both in the column mask",
        )
        raise MaskFault(column, error)
