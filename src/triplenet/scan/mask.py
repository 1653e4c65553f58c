"""A mask as it was read: label values, where they lie, and what was noticed."""

from __future__ import annotations

from dataclasses import dataclass

from triplenet.scan.volume import Geometry, MaskArray


@dataclass(frozen=True)
class Mask:
    """Label values with their place.

    :param labels: (Z, Y, X) uint8
    :param notes: what was noticed: how far off it lies, what it covers, which segments were joined
    :param guessed: nothing in the file says that what was taken is what was asked for
    """

    labels: MaskArray
    geometry: Geometry
    notes: tuple[str, ...] = ()
    guessed: bool = False
