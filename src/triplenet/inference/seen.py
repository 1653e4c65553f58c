"""What a model saw of a scan: what both ways of seeing, by slices and by frames, hand on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt

from triplenet.inference.aggregation import Decision
from triplenet.inference.measures import Measures
from triplenet.inference.options import Options
from triplenet.inference.result import EverySlice
from triplenet.inference.runtime import Runtime
from triplenet.inference.segments import Segments
from triplenet.inference.shown_slices import ShownSlices
from triplenet.inference.slice_choice import SliceChoice
from triplenet.prepare.chest import Chest
from triplenet.scan import Geometry, HuArray

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Keep:
    """What a result holds beyond its record and the slice that is shown, for the outputs that need it."""

    segments: bool = False
    """What is lung and what infection in the whole scan: a network that segments is asked about every slice"""
    instances: bool = False
    """The DICOM headers of the scan: one that is no DICOM is refused"""
    shown: bool = False
    """The slices around the one that is shown, with where the model looked; all where every slice is explained"""

    def __or__(self, other: Keep) -> Keep:
        return Keep(self.segments or other.segments, self.instances or other.instances, self.shown or other.shown)


NOTHING = Keep()


@dataclass(frozen=True)
class Wanted:
    """What decides how a scan is looked at."""

    options: Options
    slice_from_feet: int | None
    finder: Runtime | None
    """The model that searches for the slice; None where none can"""
    own_geometry: Geometry
    """Of the scan in its own orientation"""
    keep: Keep = NOTHING


@dataclass(frozen=True)
class Seen:
    """What the network made of a scan."""

    chosen: SliceChoice
    hu: HuArray
    """(Y, X) of the chosen slice"""
    read: Bytes
    """What the network read"""
    probabilities: npt.NDArray[np.float64]
    """(C,) of the scan"""
    heat: npt.NDArray[np.float32]
    """(Y, X) of the chosen slice"""
    explained: int
    """The class that the heat map explains, if it is of one, or else ``class_heat``"""
    distance: float | None
    """Of the features from those of the training scans"""
    decision: Decision | None = None
    measures: Measures | None = None
    measured_by: str = ""
    every_slice: EverySlice | None = None
    class_heat: npt.NDArray[np.float32] | None = None
    """(Y, X) of the chosen slice, what speaks for a class where ``heat`` is of none"""
    segments: Segments | None = None
    """Where they were to be kept"""
    shown: ShownSlices | None = None
    """Where they were to be kept"""
    read_derived_lung: bool = False
    """Whether the network read a lung that thresholds found"""
    chest: Chest | None = None
    """What a look at the whole scan showed, where there was one"""


class Clock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._start = perf_counter()

    def opened(self) -> None:
        """The time to here, another series tried before included, is that of opening the scan."""
        self.timings = {"open": round((perf_counter() - self._start) * 1000, 1)}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within."""
        start = perf_counter()
        yield
        self.note(name, perf_counter() - start)

    def note(self, name: str, seconds: float) -> None:
        """A part of a stage that was timed elsewhere."""
        self.timings[name] = round(seconds * 1000, 1)
