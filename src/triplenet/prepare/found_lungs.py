"""The lungs of a scan as something found them, slice by slice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from triplenet.prepare.working_grid import WorkingGrid
from triplenet.scan.volume import MaskArray

Bool = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

LungBy = Literal["thresholds", "lungmask"]
RIGHT, LEFT = 1, 2


class FoundLungs(ABC):
    """Where the lungs are in a scan of Z slices, and which is which."""

    by: LungBy

    @property
    @abstractmethod
    def side_areas_mm2(self) -> Floats:
        """(2, Z): area of the patient's right lung and of the left in each slice."""

    @property
    @abstractmethod
    def touched_mm(self) -> Floats:
        """(2, Z): how much of each lung's outline lies at the edge of the field of view or of the picture."""

    @abstractmethod
    def slice(self, index: int) -> Bool:
        """(Y, X): both lungs in one slice, vessels and opacities inside them included."""

    @abstractmethod
    def sides_on(self, grid: WorkingGrid) -> MaskArray:
        """(z, y, x) uint8 on the scan's working grid: 0 none, 1 the patient's right lung, 2 the left."""

    @property
    def areas_mm2(self) -> Floats:
        """(Z,): lung area of each slice."""
        return np.asarray(self.side_areas_mm2.sum(axis=0))


@dataclass(frozen=True)
class LabelledLungs(FoundLungs):
    """Lungs that come as labels.

    :param labels: (Z, Y, X) uint8: 0 none, 1 the right lung, 2 the left
    :param spacing_mm: along (Z, Y, X)
    """

    labels: MaskArray
    spacing_mm: tuple[float, float, float]
    by: LungBy

    @cached_property
    def _sides(self) -> tuple[Bool, Bool]:
        return self.labels == RIGHT, self.labels == LEFT

    @property
    def side_areas_mm2(self) -> Floats:
        pixel = self.spacing_mm[1] * self.spacing_mm[2]
        return np.array([np.count_nonzero(side, axis=(1, 2)) * pixel for side in self._sides])

    @property
    def touched_mm(self) -> Floats:
        rows, columns = self.spacing_mm[2], self.spacing_mm[1]
        return np.array(
            [
                side[:, [0, -1]].sum(axis=(1, 2)) * rows + side[:, :, [0, -1]].sum(axis=(1, 2)) * columns
                for side in self._sides
            ]
        )

    def slice(self, index: int) -> Bool:
        return np.asarray(self.labels[index] > 0)

    def sides_on(self, grid: WorkingGrid) -> MaskArray:
        z, y, x = (
            np.minimum(np.arange(0, length, step) + step // 2, length - 1)
            for length, step in zip(grid.shape, grid.steps, strict=True)
        )
        return np.asarray(self.labels[np.ix_(z, y, x)])
