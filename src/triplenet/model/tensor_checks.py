"""What the tensors of a model may be: their shapes before anything is built from them, then their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Array = npt.NDArray[np.generic]

#: No trained weight or statistic is larger; products of two such ones are still float32.
LARGEST_VALUE = 1e12
#: As the file names types. A converted file may hold weights in half or double precision.
FLOATS, WHOLE = ("F32", "F16", "F64"), ("I64",)


@dataclass(frozen=True)
class Layout:
    """A tensor of a file, without its values."""

    dtype: str
    """As safetensors names it: ``F32``, ``I64``, ..."""
    shape: tuple[int, ...]


def layout_fault(needed: Mapping[str, Tensor], given: Mapping[str, Layout]) -> str | None:
    """How a file's tensors differ from those that a network needs, in one of them; None if they do not.

    :param needed: of a network on the device ``meta``, which takes no memory
    """
    for name, tensor in needed.items():
        if name not in given:
            return f"{name} is missing"
        types = FLOATS if tensor.is_floating_point() else WHOLE
        fault = plain_fault(name, given[name], tuple(tensor.shape), types)
        if fault is not None:
            return fault
    return next((f"{name} is not of this network" for name in given if name not in needed), None)


def plain_fault(name: str, given: Layout, shape: tuple[int, ...], types: tuple[str, ...]) -> str | None:
    """How a tensor differs from what it has to be; None if it does not."""
    if given.shape != shape:
        return f"{name} is {given.shape}, not {shape}"
    if given.dtype not in types:
        return f"{name} is of the type {given.dtype}, not {types[0]}"
    return None


def embedding_fault(given: Mapping[str, Layout], mean: str, whitening: str, most: int, *, told: bool) -> str | None:
    """What is wrong with the layouts of the training patients' embedding, which is there whole or not at all.

    :param mean: the name of its (D,); ``whitening`` that of its (D, D)
    :param most: D at most
    :param told: whether the card says how far from it others lie
    """
    there = [name for name in (mean, whitening) if name in given]
    if not there and not told:
        return None
    if not told:
        return f"{there[0]} is there and the card says nothing of it"
    if len(there) < 2:
        return f"{whitening if mean in there else mean} is missing"
    size = given[mean].shape[0] if given[mean].shape else 0
    if not 0 < size <= most:
        return f"{mean} is {given[mean].shape}, not 1 to {most} features"
    return plain_fault(mean, given[mean], (size,), FLOATS[:1]) or plain_fault(
        whitening, given[whitening], (size, size), FLOATS[:1]
    )


def value_fault(arrays: Mapping[str, Array], mean_image: str = "") -> str | None:
    """What is wrong with the first tensor whose values no training can give; None if nothing is.

    :param mean_image: name of the mean image, whose values are grey levels in 0..1
    """
    for name in sorted(arrays):
        values = arrays[name]
        if values.dtype.kind not in "fi" or not values.size:
            continue
        low, high = float(values.min()), float(values.max())  # NaN if one is there
        if not (np.isfinite(low) and np.isfinite(high)):
            return f"{name} holds values that are not finite"
        if values.dtype.kind == "i":
            if low < 0:
                return f"{name} holds the count {low:g}"
            continue
        if max(abs(low), abs(high)) > LARGEST_VALUE:
            return f"{name} holds {max(abs(low), abs(high)):g}"
        if name == mean_image and not (low >= 0.0 and high <= 1.0):
            return f"{name} holds {low:g} to {high:g}, not 0 to 1"
        if name.endswith("running_var") and low < 0.0:
            return f"{name} holds the variance {low:g}"
    return None
