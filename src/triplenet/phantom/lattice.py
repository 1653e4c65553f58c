"""Coarse lattices for smooth fields, and how a slice of the scan is read from them.

Organs are smooth, so their signed distances are computed every few millimetres only and interpolated
to the pixels of a slice: an edge stays sharp because the distance, not the organ, is interpolated.
Interpolation is separable gathers and sums, without matrix products, whose last bits would depend on
the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

#: float32 in fact. Scalars written as Python floats keep it so (NumPy 2), which the stubs do not know.
Field = npt.NDArray[np.floating[Any]]
#: float64 in fact: positions in millimetres.
Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Taps:
    """How positions along one axis are read from samples: gathered neighbours and their weights.

    :param index: (taps, n) sample numbers
    :param weight: (taps, n) float32
    """

    index: npt.NDArray[np.intp]
    weight: Field

    @classmethod
    def cubic(cls, position: Points, samples: int) -> Taps:
        """Catmull-Rom; positions in samples, held constant outside."""
        position = np.clip(position, 0.0, samples - 1.0)
        base = np.minimum(np.floor(position), max(samples - 2, 0))
        f = position - base
        weight = np.stack(
            [
                f * (-0.5 + f * (1.0 - 0.5 * f)),
                1.0 + f * f * (-2.5 + 1.5 * f),
                f * (0.5 + f * (2.0 - 1.5 * f)),
                f * f * (-0.5 + 0.5 * f),
            ]
        )
        index = np.clip(base[None] + np.arange(-1, 3)[:, None], 0, samples - 1)
        return cls(index.astype(np.intp), weight.astype(np.float32))

    @classmethod
    def linear(cls, position: Points, samples: int) -> Taps:
        """Straight lines between samples; positions in samples, held constant outside."""
        position = np.clip(position, 0.0, samples - 1.0)
        base = np.minimum(np.floor(position), max(samples - 2, 0))
        f = position - base
        index = np.minimum(np.stack([base, base + 1]), samples - 1)
        return cls(index.astype(np.intp), np.stack([1.0 - f, f]).astype(np.float32))

    @classmethod
    def periodic(cls, position: Points, samples: int) -> Taps:
        """Linear, for samples that repeat for ever."""
        base = np.floor(position)
        f = position - base
        index = np.stack([base, base + 1]) % samples
        return cls(index.astype(np.intp), np.stack([1.0 - f, f]).astype(np.float32))


def interpolate(samples: Field, z: Taps, y: Taps, x: Taps) -> Field:
    """(Nz, Ny, Nx) samples read at every combination of the three axes' positions: (K, Y, X) float32."""
    planes = _gather(samples, z, 0)
    return _gather(_gather(planes, x, 2), y, 1)  # y last: whole rows are gathered there


def _gather(samples: Field, taps: Taps, axis: int) -> Field:
    shape = [1, 1, 1]
    shape[axis] = -1
    out: Field | None = None
    for index, weight in zip(taps.index, taps.weight, strict=True):
        part = np.take(samples, index, axis=axis)
        part *= weight.reshape(shape)
        out = part if out is None else np.add(out, part, out=out)
    assert out is not None
    return out


@dataclass(frozen=True)
class Lattice:
    """A regular lattice in the patient's millimetres, axes (Z, Y, X)."""

    origin_mm: tuple[float, float, float]
    spacing_mm: float
    shape: tuple[int, int, int]

    @classmethod
    def covering(
        cls, low_mm: tuple[float, float, float], high_mm: tuple[float, float, float], spacing_mm: float
    ) -> Lattice:
        shape = [int(np.ceil((high - low) / spacing_mm)) + 1 for low, high in zip(low_mm, high_mm, strict=True)]
        return cls(low_mm, spacing_mm, (shape[0], shape[1], shape[2]))

    def axes(self) -> tuple[Field, Field, Field]:
        """The z, y and x of every sample, shaped to broadcast to the lattice."""
        z, y, x = (
            (start + self.spacing_mm * np.arange(n)).astype(np.float32)
            for start, n in zip(self.origin_mm, self.shape, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def taps(self, axis: int, position_mm: Points, *, smooth: bool) -> Taps:
        """How positions along an axis are read; ``smooth`` where an edge is looked at closely."""
        kind = Taps.cubic if smooth else Taps.linear
        return kind((position_mm - self.origin_mm[axis]) / self.spacing_mm, self.shape[axis])

    def at(self, field: Field, points_mm: Points) -> Points:
        """The field at scattered points (N, 3) in (z, y, x) order, by linear interpolation."""
        index = (points_mm - np.asarray(self.origin_mm)) / self.spacing_mm
        values: Points = ndimage.map_coordinates(field, index.T, order=1, mode="nearest", output=np.float64)
        return values

    def smooth_noise(self, rng: np.random.Generator, scale_mm: float) -> Field:
        """Noise of about unit standard deviation that changes over ``scale_mm``."""
        extent = [self.spacing_mm * (n - 1) for n in self.shape]
        knots = [max(int(np.ceil(length / scale_mm)) + 3, 4) for length in extent]
        values = rng.standard_normal(knots, dtype=np.float32)
        axes = [
            Taps.cubic(1.0 + np.arange(n) * self.spacing_mm / scale_mm, k)
            for n, k in zip(self.shape, knots, strict=True)
        ]
        return interpolate(values, axes[0], axes[1], axes[2])


@dataclass(frozen=True)
class Texture:
    """A pattern that repeats for ever: fine structure without a fine lattice.

    :param tile: (N, N, N) float32
    """

    tile: Field
    spacing_mm: float

    @classmethod
    def noise(cls, rng: np.random.Generator, samples: int, spacing_mm: float, scale_mm: float) -> Texture:
        """Isotropic noise of unit standard deviation with structure of about ``scale_mm``."""
        white = rng.standard_normal((samples, samples, samples), dtype=np.float32)
        f = fft.fftfreq(samples, spacing_mm)
        r = fft.rfftfreq(samples, spacing_mm)
        squared = f[:, None, None] ** 2 + f[None, :, None] ** 2 + r[None, None, :] ** 2
        shaped = fft.rfftn(white) * np.exp(-2.0 * (np.pi * 0.4 * scale_mm) ** 2 * squared).astype(np.float32)
        tile = fft.irfftn(shaped, s=white.shape)
        tile -= tile.mean()
        return cls((tile / tile.std()).astype(np.float32), spacing_mm)

    def taps(self, position_mm: Points) -> Taps:
        return Taps.periodic(position_mm / self.spacing_mm, self.tile.shape[0])
