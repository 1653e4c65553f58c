"""The slices of a scan that outputs show with where the model looked: the chosen one and its neighbours, or all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from triplenet.explanation.overlay import Heat
from triplenet.inference.result import EverySlice
from triplenet.scan import Series, window

AROUND = 2
"""Slices to each side of the chosen one"""


@dataclass(frozen=True)
class ClassHeat:
    """What speaks for a class in a slice, of a method whose heat is the same whatever class."""

    heat: Heat
    """(Y, X) float32 in 0..1"""
    target: int
    """Which class, in the record's order: the slice's own likeliest, which may be another than the scan's"""


@dataclass(frozen=True)
class ShownSlice:
    """One slice, in canonical orientation."""

    from_feet: int
    image: npt.NDArray[np.uint8]
    """(Y, X), windowed as the model has it"""
    heat: Heat
    """(Y, X) float32 in 0..1, of the same kind as ``Result.heat``"""
    class_heat: ClassHeat | None = None
    """Of the chosen slice and its neighbours; None where ``heat`` is of a class already"""


@dataclass(frozen=True)
class ShownSlices:
    """Slices that follow each other; each is read when it is asked for."""

    slices: range
    """Counted from the feet"""
    image_of: Callable[[int], npt.NDArray[np.uint8]]
    heat_of: Callable[[int], Heat]
    class_heats: Mapping[int, ClassHeat] = field(default_factory=dict)
    """By the slice, of those that have one"""

    def __getitem__(self, from_feet: int) -> ShownSlice:
        """:raises ScanError: it cannot be read any more"""
        class_heat = self.class_heats.get(from_feet)
        return ShownSlice(from_feet, self.image_of(from_feet), self.heat_of(from_feet), class_heat)


def neighbours(chosen: int, depth: int) -> range:
    """The chosen slice and those around it, of a scan of so many slices."""
    return range(max(0, chosen - AROUND), min(depth, chosen + AROUND + 1))


def shown_slices(
    axial: Series,
    window_hu: tuple[float, float],
    chosen: int,
    heat_of: Callable[[int], Heat],
    class_heat_of: Callable[[int], ClassHeat | None],
) -> ShownSlices:
    """The chosen slice and its neighbours, with their heat as it is now.

    :param axial: in canonical orientation
    :param heat_of: gives that of a slice (Y, X), as ``class_heat_of``
    :raises ScanError: a slice cannot be read
    """
    some = neighbours(chosen, len(axial))
    images = {z: window(axial.slice(z), *window_hu) for z in some}
    heats = {z: heat_of(z) for z in some}
    return ShownSlices(some, images.__getitem__, heats.__getitem__, _held(some, class_heat_of))


def all_slices(axial: Series, window_hu: tuple[float, float], chosen: int, every: EverySlice) -> ShownSlices:
    """The whole scan where every slice was explained; heat in steps of 1/255.

    What speaks for a class stays that of the chosen slice and its neighbours: far from them it is of whatever class
    is likeliest there, and says nothing of why the scan is what it is.
    """

    def class_heat_of(z: int) -> ClassHeat | None:
        if every.class_heat is None:
            return None
        return ClassHeat(every.on_slice(every.class_heat[z]), int(np.argmax(every.probabilities[z])))

    return ShownSlices(
        range(len(axial)),
        lambda z: window(axial.slice(z), *window_hu),
        lambda z: every.on_slice(every.heat[z]),
        _held(neighbours(chosen, len(axial)), class_heat_of),
    )


def _held(some: range, class_heat_of: Callable[[int], ClassHeat | None]) -> dict[int, ClassHeat]:
    return {z: found for z in some if (found := class_heat_of(z)) is not None}
