"""Many thin tubes and small balls, drawn straight into voxels.

Vessels and airways are finer than a lattice of smooth fields can hold. They are tapered capsules; those
with boxes of like size are drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.phantom.lattice import Points

Coverage = npt.NDArray[np.uint8]
_SIZES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 1024])
_ELEMENTS = 400_000


@dataclass(frozen=True)
class Raster:
    """The voxels of the scan in patient millimetres, axes (Z, Y, X).

    :param origin_mm: centre of voxel (0, 0, 0)
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    def axis(self, axis: int) -> Points:
        """Voxel centres along one axis."""
        positions: Points = self.origin_mm[axis] + self.spacing_mm[axis] * np.arange(self.shape[axis])
        return positions


@dataclass(frozen=True)
class Tubes:
    """Tapered capsules in patient millimetres; a ball is one without length.

    :param start: (N, 3) in (z, y, x) order
    :param end: (N, 3)
    :param radius: (N, 2) at start and end
    """

    start: Points
    end: Points
    radius: Points

    @classmethod
    def along(cls, nodes: Points, radius: Points) -> Tubes:
        """One chain of tubes through the nodes (N, 3)."""
        return cls(nodes[:-1], nodes[1:], np.stack([radius[:-1], radius[1:]], axis=1))

    @classmethod
    def balls(cls, centre: Points, radius: Points) -> Tubes:
        return cls(centre, centre, np.stack([radius, radius], axis=1))

    @classmethod
    def join(cls, parts: list[Tubes]) -> Tubes:
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("start", "end", "radius")))

    @classmethod
    def none(cls) -> Tubes:
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 2)))

    def scaled(self, factor: float, plus_mm: float = 0.0) -> Tubes:
        """The same course with other radii."""
        return Tubes(self.start, self.end, self.radius * factor + plus_mm)

    def only(self, which: npt.NDArray[np.bool_]) -> Tubes:
        return Tubes(self.start[which], self.end[which], self.radius[which])

    def __len__(self) -> int:
        return len(self.start)


def paint(tubes: Tubes, raster: Raster, into: Coverage, parts: int = 1) -> None:
    """Raise ``into`` (Z, Y, X) to the share of each voxel that the tubes fill, in 255ths.

    :param parts: how many heights within a slice are averaged
    """
    spacing = np.asarray(raster.spacing_mm)
    width = float(spacing[1] + spacing[2]) / 2.0
    reach = np.maximum(tubes.radius.max(axis=1, initial=0.0), 0.0)[:, None] + 0.5 * np.maximum(width, spacing)
    low = np.floor((np.minimum(tubes.start, tubes.end) - reach - raster.origin_mm) / spacing).astype(np.int64)
    high = np.ceil((np.maximum(tubes.start, tubes.end) + reach - raster.origin_mm) / spacing).astype(np.int64)
    low, high = np.maximum(low, 0), np.minimum(high, np.asarray(raster.shape) - 1)
    size = high - low + 1
    keep = np.flatnonzero((size > 0).all(axis=1))
    if keep.size == 0:
        return
    bucket = np.searchsorted(_SIZES, size[keep])
    keys, group = np.unique(bucket, axis=0, return_inverse=True)
    flat = into.reshape(-1)
    for number, key in enumerate(keys):
        box = tuple(int(n) for n in _SIZES[key])
        members = keep[group.reshape(-1) == number]
        at_once = max(1, _ELEMENTS // (box[0] * box[1] * box[2] * parts))
        for first in range(0, len(members), at_once):
            _paint_boxes(tubes, raster, low, high, members[first : first + at_once], box, flat, parts, width)


def _paint_boxes(
    tubes: Tubes,
    raster: Raster,
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    box: tuple[int, ...],
    flat: Coverage,
    parts: int,
    width: float,
) -> None:
    start, end = tubes.start[members], tubes.end[members]
    radius = tubes.radius[members].astype(np.float32)
    direction = end - start
    square = np.maximum((direction**2).sum(axis=1), 1e-6)
    squared, dot = np.zeros(1, np.float32), np.zeros(1, np.float32)
    index = []
    for axis in range(3):
        numbers = low[members, axis][:, None] + np.arange(box[axis])[None]
        position = raster.origin_mm[axis] + raster.spacing_mm[axis] * numbers - start[:, axis][:, None]
        if axis == 0 and parts > 1:
            within = (np.arange(parts) + 0.5) / parts - 0.5
            position = position[:, :, None] + raster.spacing_mm[0] * within
            p = position.astype(np.float32)[:, :, :, None, None]
        else:
            shape = [len(members), 1, 1, 1, 1]
            shape[(1, 3, 4)[axis]] = box[axis]
            p = position.astype(np.float32).reshape(shape)
        d = direction[:, axis].astype(np.float32).reshape(-1, 1, 1, 1, 1)
        squared = squared + p * p
        dot = dot + p * d
        valid = numbers <= high[members, axis][:, None]
        index.append((numbers, valid))
    square = square.astype(np.float32).reshape(-1, 1, 1, 1, 1)
    share = np.clip(dot / square, 0.0, 1.0)
    # |p - share d|^2 without forming the three components
    distance = np.sqrt(np.maximum(squared - share * (2.0 * dot - share * square), 0.0))
    r0, r1 = radius[:, 0].reshape(-1, 1, 1, 1, 1), radius[:, 1].reshape(-1, 1, 1, 1, 1)
    r = r0 + share * (r1 - r0)
    filled = np.clip(0.5 - (distance - r) / width, 0.0, 1.0)
    # A tube thinner than a pixel cannot fill it.
    filled *= np.minimum(np.square(r * (2.0 / width)), 1.0)
    mean = filled.mean(axis=2) if parts > 1 else filled[:, :, 0]
    (nz, vz), (ny, vy), (nx, vx) = index
    values = (mean * 255.0 + 0.5).astype(np.uint8)
    values *= (vz[:, :, None, None] & vy[:, None, :, None]) & vx[:, None, None, :]
    where = (nz[:, :, None, None] * raster.shape[1] + ny[:, None, :, None]) * raster.shape[2] + nx[:, None, None, :]
    seen = values > 0
    np.maximum.at(flat, where[seen], values[seen])
