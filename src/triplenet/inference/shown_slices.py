"""The slices of a scan that outputs show with where the model looked: the chosen one and its neighbours, or all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.explanation.overlay import Heat
from triplenet.inference.result import EverySlice
from triplenet.scan import Series, window

AROUND = 2
"""Slices to each side of the chosen one"""


@dataclass(frozen=True)
class ShownSlice:
    """One slice, in canonical orientation."""

    from_feet: int
    image: npt.NDArray[np.uint8]
    """(Y, X), windowed as the model has it"""
    heat: Heat
    """(Y, X) float32 in 0..1, of the same kind as ``Result.heat``"""


@dataclass(frozen=True)
class ShownSlices:
    """Slices that follow each other; each is read when it is asked for."""

    slices: range
    """Counted from the feet"""
    image_of: Callable[[int], npt.NDArray[np.uint8]]
    heat_of: Callable[[int], Heat]

    def __getitem__(self, from_feet: int) -> ShownSlice:
        """:raises ScanError: it cannot be read any more"""
        return ShownSlice(from_feet, self.image_of(from_feet), self.heat_of(from_feet))


def neighbours(chosen: int, depth: int) -> range:
    """The chosen slice and those around it, of a scan of so many slices."""
    return range(max(0, chosen - AROUND), min(depth, chosen + AROUND + 1))


def shown_slices(
    axial: Series, window_hu: tuple[float, float], chosen: int, heat_of: Callable[[int], Heat]
) -> ShownSlices:
    """The chosen slice and its neighbours, with their heat as it is now.

    :param axial: in canonical orientation
    :param heat_of: gives that of a slice (Y, X)
    :raises ScanError: a slice cannot be read
    """
    some = neighbours(chosen, len(axial))
    images = {z: window(axial.slice(z), *window_hu) for z in some}
    heats = {z: heat_of(z) for z in some}
    return ShownSlices(some, images.__getitem__, heats.__getitem__)


def all_slices(axial: Series, window_hu: tuple[float, float], every: EverySlice) -> ShownSlices:
    """The whole scan where every slice was explained; heat in steps of 1/255."""
    return ShownSlices(
        range(len(axial)),
        lambda z: window(axial.slice(z), *window_hu),
        lambda z: every.on_slice(every.heat[z]),
    )
