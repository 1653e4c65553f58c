"""Some heights of a subject, read from its fields at the pixels of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from triplenet.phantom.anatomy import Anatomy
from triplenet.phantom.lattice import Field, Points, Texture, interpolate
from triplenet.phantom.lesions import Lesions
from triplenet.phantom.lungs import Lungs
from triplenet.phantom.person import Person

AIR = -1000.0


@dataclass(frozen=True)
class Patterns:
    """Fine structure that repeats.

    ``mottle`` is soft, of about 6 mm; ``grain`` of about 2.5 mm; ``septa`` is the distance (mm) to the nearest wall
    of a secondary lobule, left out where none shows.
    """

    mottle: Texture
    grain: Texture
    septa: Texture | None

    @classmethod
    def draw(cls, rng: np.random.Generator, septa: bool) -> Patterns:
        return cls(
            mottle=Texture.noise(rng, 48, 2.5, 6.0),
            grain=Texture.noise(rng, 54, 1.25, 2.6),
            septa=_septa(rng) if septa else None,
        )


def _septa(rng: np.random.Generator) -> Texture:
    """Walls of the secondary lobules: half the gap between the nearest and the second nearest centre."""
    samples, spacing = 56, 1.5
    side = samples * spacing
    centres = rng.uniform(0.0, side, (int((side / 12.0) ** 3), 3))
    axis = np.arange(samples) * spacing
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    near = np.asarray(cKDTree(centres, boxsize=np.full(3, side)).query(grid, k=2)[0])
    gap = 0.5 * (near[:, 1] - near[:, 0])
    return Texture(gap.reshape(samples, samples, samples).astype(np.float32), spacing)


@dataclass(frozen=True)
class Subject:
    """Everything of one person that the renderer draws."""

    person: Person
    anatomy: Anatomy
    lungs: Lungs
    lesions: Lesions
    patterns: Patterns


#: From this pixel size on, straight lines between the lattice's samples look as smooth as curves.
_COARSE_MM = 1.5


@dataclass
class Strip:
    """Some heights of the body at the pixels of a box; axes (K, Y, X)."""

    subject: Subject
    z: Points
    y: Points
    x: Points
    pixel_mm: float
    hu: Field

    def __post_init__(self) -> None:
        lattice = self.subject.anatomy.lattice
        axes = list(enumerate((self.z, self.y, self.x)))
        self._soft = [lattice.taps(axis, positions, smooth=False) for axis, positions in axes]
        edges = self.pixel_mm < _COARSE_MM
        self._edges = [lattice.taps(axis, positions, smooth=True) for axis, positions in axes] if edges else self._soft

    def edge(self, distance: Field) -> Field:
        """A signed distance at every pixel."""
        return interpolate(distance, self._edges[0], self._edges[1], self._edges[2])

    def soft(self, field: Field) -> Field:
        """A field without edges, such as a density, at every pixel."""
        return interpolate(field, self._soft[0], self._soft[1], self._soft[2])

    def near(self, distance: Field, reach_mm: float = 8.0) -> bool:
        """Whether anything of a shape can lie at these heights."""
        planes = self._soft[0].index
        return bool(distance[planes.min() : planes.max() + 1].min() < reach_mm)

    def texture(self, texture: Texture, stretch: float = 1.0) -> Field:
        """A pattern at every pixel, coarser by ``stretch``."""
        z, y, x = (texture.taps(axis / stretch) for axis in (self.z, self.y, self.x))
        return interpolate(texture.tile, z, y, x)

    def window(self, rows: slice, columns: slice) -> Strip:
        """A part of the strip that draws into the same slices."""
        return Strip(self.subject, self.z, self.y[rows], self.x[columns], self.pixel_mm, self.hu[:, rows, columns])

    def fill(self, share: Field, value: Field | float) -> None:
        """Replace the given share (0..1) of every voxel."""
        blend(self.hu, share, value)


def blend(hu: Field, share: Field, value: Field | float) -> None:
    """Replace the given share (0..1) of every voxel, in place."""
    hu += share * (value - hu)
