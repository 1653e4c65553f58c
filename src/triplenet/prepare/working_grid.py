"""The grid that the lung is looked for on: cubes of about two millimetres, whatever the scan's voxels are.

What is looked for is centimetres large, so finer voxels add time and noise and nothing else. What is found is brought
back by interpolating across its outline, so the edge of a mask is finer than the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.scan.volume import HuArray

Floats = npt.NDArray[np.float32]

WORKING_MM = 2.0


@dataclass(frozen=True)
class WorkingGrid:
    """How the voxels of a scan are averaged, and the way back.

    :param shape: voxels of the scan along (Z, Y, X)
    :param steps: how many of them make one of the grid's
    :param spacing_mm: of the grid along (Z, Y, X)
    """

    shape: tuple[int, int, int]
    steps: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> WorkingGrid:
        """The grid of a scan; voxels that are larger than the grid's stay as they are."""
        z, y, x = (max(1, round(WORKING_MM / side)) for side in spacing_mm)
        return cls(shape, (z, y, x), (spacing_mm[0] * z, spacing_mm[1] * y, spacing_mm[2] * x))

    def average(self, hu: HuArray) -> Floats:
        """(z, y, x): the mean of the voxels that make one of the grid's."""
        step_z, step_y, step_x = self.steps
        per_row, per_column = _counts(hu.shape[1], step_y), _counts(hu.shape[2], step_x)
        averaged = []
        for first in range(0, len(hu), step_z):
            block = hu[first : first + step_z]
            # Whole rows first: they lie together in memory.
            rows = np.zeros((len(per_row), hu.shape[2]), np.int32)
            for one in block:
                for start in range(step_y):
                    part = one[start::step_y]
                    rows[: len(part)] += part
            total = np.zeros((len(per_row), len(per_column)), np.int32)
            for start in range(step_x):
                part = rows[:, start::step_x]
                total[:, : part.shape[1]] += part
            averaged.append((total / (len(block) * per_row[:, None] * per_column)).astype(np.float32))
        return np.stack(averaged)

    def slice(self, field: Floats, index: int) -> Floats:
        """(Y, X): a field of the grid, interpolated linearly at a slice of the scan."""
        place = min(max((index + 0.5) / self.steps[0] - 0.5, 0.0), len(field) - 1.0)
        below = int(place)
        share = np.float32(place - below)
        flat = field[below] if share == 0 else (1 - share) * field[below] + share * field[below + 1]
        return _stretch(_stretch(flat, self.steps[1], self.shape[1]).T, self.steps[2], self.shape[2]).T

    def along(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(Z,): one value a slice of the grid, interpolated linearly for the slices of the scan."""
        places = (np.arange(self.shape[0]) + 0.5) / self.steps[0] - 0.5
        return np.asarray(np.interp(places, np.arange(len(values)), values), dtype=np.float64)


def _counts(length: int, step: int) -> npt.NDArray[np.int64]:
    """How many voxels each of the grid's has along one axis: the last may have fewer."""
    return np.minimum(np.arange(0, length, step) + step, length) - np.arange(0, length, step)


def _stretch(flat: Floats, step: int, length: int) -> Floats:
    """(length, ...): the rows of a field, interpolated linearly between the middles of the grid's voxels."""
    if step == 1:
        return flat
    before, after = np.concatenate([flat[:1], flat[:-1]]), np.concatenate([flat[1:], flat[-1:]])
    wide = np.empty((len(flat) * step, *flat.shape[1:]), np.float32)
    for k in range(step):
        share = np.float32((k + 0.5) / step - 0.5)
        wide[k::step] = (1 - abs(share)) * flat + abs(share) * (before if share < 0 else after)
    return wide[:length]
