"""Lesions as fields on the anatomy's lattice, and the strokes that draw them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triplenet.phantom import shapes
from triplenet.phantom.anatomy import Anatomy
from triplenet.phantom.lattice import Field, Points
from triplenet.phantom.tubes import Tubes

FAR = 60.0
#: Ground glass that raises the lung by more than this would pass for consolidation.
_DENSEST_HAZE = 420.0


@dataclass
class Lesions:
    """Fields on the anatomy's lattice, filled in by one of the patterns.

    ``extent``, ``solid``, ``hollow`` and ``fluid`` are signed distances, negative inside. ``fluid`` is
    pleural and takes its room from the lung; the others are within it.
    """

    anatomy: Anatomy
    rng: np.random.Generator
    pattern: str
    count: int = 0
    """Patches drawn."""
    extent: Field = field(init=False)
    """What a reader would outline: the infection mask."""
    haze: Field = field(init=False)
    """Ground glass: HU above the parenchyma."""
    solid: Field = field(init=False)
    """Consolidation: hides the vessels, shows the airways."""
    hollow: Field = field(init=False)
    fluid: Field = field(init=False)
    paving: Field = field(init=False)
    """0..1, how clearly thickened septa show."""
    nodules: Tubes = field(default_factory=Tubes.none)
    wave: Field = field(init=False)
    ripple: Field = field(init=False)

    def __post_init__(self) -> None:
        shape = self.anatomy.lattice.shape
        for name in ("extent", "solid", "hollow", "fluid"):
            setattr(self, name, np.full(shape, FAR, np.float32))
        self.haze, self.paving = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.wave = self.anatomy.lattice.smooth_noise(self.rng, 22.0)
        self.ripple = self.anatomy.lattice.smooth_noise(self.rng, 11.0)

    @property
    def consolidated(self) -> bool:
        """Whether there is any consolidation."""
        return bool(self.solid.min() < 0)

    def blob(
        self,
        centre: Points,
        radius_mm: float,
        haze_hu: float,
        *,
        ragged: float = 0.18,
        core: float = 0.0,
        paved: float = 0.0,
        within: Field | None = None,
    ) -> None:
        """One patch of ground glass around ``centre`` (z, y, x), at most within another shape.

        :param ragged: how far the outline wanders, as a share of the radius
        :param core: radius of a consolidated core as a share of the whole
        """
        radii = radius_mm * self.rng.uniform(0.75, 1.3, 3)
        box = self._box(centre, float(radii.max()) * 1.6 + 6.0)
        z, y, x = self._axes(box)
        distance = shapes.ellipsoid(z, y, x, triple(centre), triple(radii))
        rough = self.wave[box] + 0.6 * self.ripple[box]
        distance = distance + (ragged * radius_mm) * rough
        if within is not None:
            distance = shapes.intersection(distance, within[box], 5.0)
        self.add(box, distance, haze_hu, soft_mm=min(0.5 * radius_mm, 7.0), paved=paved)
        if core > 0:
            kernel = shapes.ellipsoid(z, y, x, triple(centre), triple(radii * core))
            kernel = kernel + (0.3 * core * radius_mm) * rough
            self.solid[box] = np.minimum(self.solid[box], np.maximum(kernel, distance))
        self.count += 1

    def add(
        self, box: tuple[slice, slice, slice], distance: Field, haze_hu: float, *, soft_mm: float, paved: float = 0.0
    ) -> None:
        """Ground glass with a soft edge wherever ``distance`` is negative."""
        share = np.clip(0.5 - distance / soft_mm, 0.0, 1.0)
        self.haze[box] = np.maximum(self.haze[box], min(haze_hu, _DENSEST_HAZE) * share)
        self.extent[box] = np.minimum(self.extent[box], distance)
        if paved > 0:
            self.paving[box] = np.maximum(self.paving[box], paved * share)

    def _box(self, centre: Points, reach: float) -> tuple[slice, slice, slice]:
        lattice = self.anatomy.lattice
        low = np.floor((centre - reach - lattice.origin_mm) / lattice.spacing_mm).astype(int)
        high = np.ceil((centre + reach - lattice.origin_mm) / lattice.spacing_mm).astype(int) + 1
        parts = [slice(max(0, a), max(0, b)) for a, b in zip(low, high, strict=True)]
        return parts[0], parts[1], parts[2]

    def _axes(self, box: tuple[slice, slice, slice]) -> tuple[Field, Field, Field]:
        z, y, x = self.anatomy.lattice.axes()
        return z[box[0]], y[:, box[1]], x[:, :, box[2]]

    @staticmethod
    def everywhere() -> tuple[slice, slice, slice]:
        """The box that is the whole lattice."""
        return slice(None), slice(None), slice(None)


def triple(values: Points) -> tuple[float, float, float]:
    """A point or three radii as plain floats."""
    return float(values[0]), float(values[1]), float(values[2])
