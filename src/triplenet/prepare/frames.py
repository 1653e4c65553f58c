"""The frames of a scan that a 3D method reads: evenly spaced from the first slice to the last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triplenet.catalog import FrameSampling
from triplenet.prepare.found_lungs import FoundLungs
from triplenet.prepare.masks import Masks
from triplenet.prepare.sample import Bytes, SliceTransform, network_slice
from triplenet.scan import Series


def frame_positions(slices: int, frames: int, sampling: FrameSampling = "nearest") -> npt.NDArray[np.float64]:
    """(frames,) where in the stack of slices each frame lies, from 0 to slices - 1.

    ``nearest`` takes whole slices, some of them twice when there are fewer than frames; ``linear`` lies evenly and
    mixes the slices above and below.
    """
    even = np.linspace(0, slices - 1, frames)
    return np.floor(even + 0.5) if sampling == "nearest" else even


def read_frames(series: Series, positions: Sequence[float], window_hu: tuple[float, float], size: int) -> Bytes:
    """(T, size, size) uint8: the scan at these positions, decoding each slice once.

    :param series: in canonical orientation
    :param window_hu: lower and upper, mapped to 0 and 255
    """
    below, above = np.floor(positions).astype(int), np.ceil(positions).astype(int)
    needed = sorted({*below.tolist(), *above.tolist()})
    images: dict[float, Bytes] = {}
    held: dict[int, npt.NDArray[np.int16]] = {}
    decoded = zip(needed, series.slices(needed), strict=True)
    for position, low, high in zip(positions, below.tolist(), above.tolist(), strict=True):
        if float(position) in images:
            continue
        while not {low, high} <= held.keys():
            number, hu = next(decoded)
            held[number] = hu
        share = float(position) - low
        mixed = held[low] if share == 0 else np.rint((1 - share) * held[low] + share * held[high]).astype(np.int16)
        images[float(position)] = network_slice(mixed, window_hu, size)[0]
        held = {number: hu for number, hu in held.items() if number >= low}  # positions rise
    return np.stack([images[float(position)] for position in positions])


def between_frames(
    heats: npt.NDArray[np.float32], positions: npt.NDArray[np.floating], index: int
) -> npt.NDArray[np.float32]:
    """The heat map of a slice that may lie between two frames: linear between them.

    :param heats: (T, h, w)
    :param positions: (T,) where each frame lies, in slices, rising
    """
    above = min(int(np.searchsorted(positions, index)), len(positions) - 1)
    below = max(above - 1, 0)
    gap = float(positions[above] - positions[below])
    share = 1.0 if gap == 0 else (index - float(positions[below])) / gap
    mixed: npt.NDArray[np.float32] = ((1.0 - share) * heats[below] + share * heats[above]).astype(np.float32)
    return mixed


def frame_lungs(
    series: Series, masks: Masks, positions: Sequence[float], size: int, found: FoundLungs | None = None
) -> Bytes:
    """(T, size, size) uint8, 1 in the lung of the slice next to each frame, infection included.

    :param found: the lungs of the scan, for where no lung mask is given
    """

    def inside(index: int) -> npt.NDArray[np.bool_]:
        if masks.lung is not None:
            return masks.lung[index]
        if found is None:
            raise ValueError("neither a lung mask nor lungs that were found")
        return found.slice(index) if masks.infection is None else found.slice(index) | masks.infection[index]

    rows, columns = series.geometry.shape[1:]
    transform = SliceTransform((rows, columns), size)
    return np.stack([transform.mask(inside(int(position + 0.5)).astype(np.uint8)) for position in positions])
