"""What a model file may say: bounds on its card and on its tensors, before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.generic]

#: HU that a window may reach: 16 bits and some.
FARTHEST_HU = 70_000.0
NARROWEST_HU = 1.0
LARGEST_SIZE, SMALLEST_CROP, MOST_FRAMES, MOST_CLASSES = 4096, 32, 4096, 1000
#: No trained weight or statistic is larger; products of such a one leave float32.
LARGEST_VALUE = 1e8


def card_faults(
    window_hu: tuple[float, float], size: int, crop: int, frames: int, classes: tuple[str, ...]
) -> Iterator[str]:
    """What no scan can be prepared with, a sentence a field."""
    lower, upper = window_hu
    if not -FARTHEST_HU <= lower <= upper <= FARTHEST_HU or upper - lower < NARROWEST_HU:
        limits = f"within {FARTHEST_HU:g} HU and at least {NARROWEST_HU:g} wide"
        yield f"window_hu {lower:g}, {upper:g} is no window {limits}"
    if size > LARGEST_SIZE:
        yield f"size {size} is more than {LARGEST_SIZE} pixels"
    if crop < SMALLEST_CROP:
        yield f"crop {crop} is less than {SMALLEST_CROP} pixels"
    if frames > MOST_FRAMES:
        yield f"frames {frames} are more than {MOST_FRAMES}"
    if len(classes) > MOST_CLASSES or len(set(classes)) < len(classes):
        yield f"classes are more than {MOST_CLASSES}, or one stands twice"


def tensor_fault(arrays: Mapping[str, Array], mean_image: str) -> str | None:
    """What is wrong with the first tensor whose values no training can give; None if nothing is.

    :param mean_image: name of the mean image, whose values are grey levels in 0..1
    """
    for name in sorted(arrays):
        values = arrays[name]
        if values.dtype.kind != "f" or not values.size:
            continue
        low, high = float(values.min()), float(values.max())  # NaN if one is there
        if not (np.isfinite(low) and np.isfinite(high)):
            return f"{name} holds values that are not finite"
        if max(abs(low), abs(high)) > LARGEST_VALUE:
            return f"{name} holds {max(abs(low), abs(high)):g}"
        if name == mean_image and not (low >= 0.0 and high <= 1.0):
            return f"{name} holds {low:g} to {high:g}, not 0 to 1"
        if name.endswith("running_var") and low < 0.0:
            return f"{name} holds the variance {low:g}"
    return None


def shape_fault(needed: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str | None:
    """How tensors differ from those that a network needs, in one of them; None if they do not.

    :param needed: of a network on the device ``meta``, which takes no memory
    """
    for name, tensor in needed.items():
        if name not in given:
            return f"{name} is missing"
        if tuple(given[name].shape) != tuple(tensor.shape):
            return f"{name} is {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
    return next((f"{name} is not of this network" for name in given if name not in needed), None)
