"""How a scan is looked at and decided on: one list, for a call, a batch and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TypedDict, get_args

from triplenet.catalog import HIGH_OPACITY_HU, SMALLEST_LESION_MM
from triplenet.errors import BadInput, UnknownName
from triplenet.inference.aggregation import AGGREGATES, Aggregate
from triplenet.inference.search import SEARCHES, SearchBy
from triplenet.prepare.found_lungs import LungBy
from triplenet.scan import NO_NAMES, SegmentNames

BEST_SLICES = 5
"""The extent of a lesion of a few centimetres, at half the smallest one's apart."""
LESIONS_MM = (0.5, 200.0)


@dataclass(frozen=True)
class Options:
    """How a scan is looked at and decided on.

    :param search: where no mask tells the slice: ``coarse`` steps and then around the best, ``exhaustive``, or ``lung``
        for the slice of the largest lung
    :param smallest_lesion_mm: the coarse steps follow from it: every lesion so long along the axis is looked at
    :param aggregate: what is said of the scan: what the ``best`` slice says, or of the best ones the ``mean``, the
        ``noisy-or``, or the mean ``weighted`` by their infection; see ``inference.aggregation``
    :param best_slices: how many slices that are
    :param every_slice: classify and explain every slice: a curve along the scan, and a volume of heat
    :param high_opacity_hu: infection denser than this is high opacity
    :param lung_by: what finds the lung where no mask is given: ``thresholds``, or the package ``lungmask``
    :param any_body_part: go on with a scan that does not look like a chest; see ``prepare.chest``
    :param allow_gaps: accept missing slices, with a note
    :param segments: a site's own names for the segments of DICOM Segmentations
    :param identifiers: write the path and the series UID into the record
    :raises UnknownName, BadInput: a value is none of those
    """

    search: SearchBy = "coarse"
    smallest_lesion_mm: float = SMALLEST_LESION_MM
    aggregate: Aggregate = "best"
    best_slices: int = BEST_SLICES
    every_slice: bool = False
    high_opacity_hu: float = HIGH_OPACITY_HU
    lung_by: LungBy = "thresholds"
    any_body_part: bool = False
    allow_gaps: bool = False
    segments: SegmentNames = field(default=NO_NAMES)
    identifiers: bool = False

    def __post_init__(self) -> None:
        choices: tuple[tuple[str, str, Sequence[str]], ...] = (
            ("search", self.search, SEARCHES),
            ("aggregate", self.aggregate, AGGREGATES),
            ("lung_by", self.lung_by, get_args(LungBy)),
        )
        for name, given, known in choices:
            if given not in known:
                raise UnknownName(f"unknown {name}", where=repr(given), do=f"choose from {', '.join(known)}")
        low, high = LESIONS_MM
        if not low <= self.smallest_lesion_mm <= high:
            raise BadInput(f"a lesion of {self.smallest_lesion_mm:g} mm", do=f"give a length of {low:g} to {high:g}")
        if not isinstance(self.best_slices, int) or self.best_slices < 1:
            raise BadInput(f"the best {self.best_slices} slices", do="give 1 or more")
        if not isfinite(self.high_opacity_hu):
            raise BadInput(f"high opacity above {self.high_opacity_hu:g} HU", do="give a number")


class OptionValues(TypedDict, total=False):
    """The fields of ``Options``, as arguments by name."""

    search: SearchBy
    smallest_lesion_mm: float
    aggregate: Aggregate
    best_slices: int
    every_slice: bool
    high_opacity_hu: float
    lung_by: LungBy
    any_body_part: bool
    allow_gaps: bool
    segments: SegmentNames
    identifiers: bool
