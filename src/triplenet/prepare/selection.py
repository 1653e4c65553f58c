"""Which slice of a scan stands for the patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triplenet.errors import NoLung
from triplenet.prepare.store import Rule


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
    raise NoLung("neither infection nor lung in any slice", do="check the masks, or that the scan shows a chest")


def middle_slice(lung: Sequence[float] | npt.NDArray[np.float64]) -> int:
    """The slice that has half of the lung below it, for a scan without any mask.

    :param lung: (Z,) lung area of each slice
    :raises NoLung: there is no lung
    """
    total = np.cumsum(np.asarray(lung, dtype=np.float64))
    if total[-1] <= 0:
        raise NoLung("no lung was found in the scan", do="check that it shows a chest, or give a mask or a slice")
    return int(np.searchsorted(total, total[-1] / 2))
