"""What is lung and what infection in a whole scan, for outputs that show it; told slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from triplenet.catalog import INFECTION, LUNG
from triplenet.inference.looked_at import LookedAt
from triplenet.inference.slice_choice import SliceChoice
from triplenet.prepare.masks import Masks

Bool = npt.NDArray[np.bool_]
MASK, THRESHOLDS = "mask", "thresholds"
"""By what, beside the methods of networks: what a reader drew, or ``prepare.opacity`` and ``prepare.lung``"""


class Slices(Protocol):
    """A region of a scan."""

    def __getitem__(self, z: int) -> Bool:
        """(Y, X): slice ``z`` of it, counted from the feet."""


@dataclass(frozen=True)
class Segments:
    """The regions that the measures are of, in canonical orientation."""

    by: str
    """``mask``, ``thresholds``, or the method of the model that segmented; as ``MeasuresInfo.by``"""
    infection: Slices
    lung: Slices | None
    """with the infection; None where nobody told what is lung"""
    model_sha256: str | None = None
    """Of the network that segmented"""


@dataclass(frozen=True)
class _EachSlice:
    of_slice: Callable[[int], Bool]

    def __getitem__(self, z: int) -> Bool:
        return self.of_slice(z)


def segments_of(masks: Masks, chosen: SliceChoice, finding: LookedAt | None) -> Segments | None:
    """The regions of a scan by whatever its measures are by; None where nothing told infection from lung.

    :param finding: what a network that segments saw of every slice; None where none was asked
    """
    if masks.infection is not None:
        return Segments(MASK, masks.infection, masks.lung)
    if finding is not None and finding.label_volume is not None:
        labels, back = finding.label_volume, finding.transform.labels_back
        return Segments(
            finding.runtime.card.method,
            _EachSlice(lambda z: back(labels[z]) == INFECTION),
            _EachSlice(lambda z: np.isin(back(labels[z]), (LUNG, INFECTION))),
            finding.runtime.model_sha256,
        )
    opacities, lungs = chosen.opacities, chosen.lungs
    if opacities is None or lungs is None:
        return None
    return Segments(
        THRESHOLDS,
        _EachSlice(opacities.slice),
        _EachSlice(lambda z: lungs.slice(z) | opacities.slice(z)),
    )
