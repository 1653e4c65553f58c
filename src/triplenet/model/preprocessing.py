"""The one preprocessing of evaluation and inference, and the precision that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Bytes = npt.NDArray[np.uint8]


def normalise(images: Tensor | Bytes, mean_image: Tensor, crop: int, lungs: Tensor | Bytes | None = None) -> Tensor:
    """Grey in 0..1 minus the mean image, centre crop: the one preprocessing of evaluation and inference.

    :param images: (B, H, W) uint8, or (B, T, H, W) for a 3D method, as a prepared set holds them
    :param mean_image: (H, W) float32 in 0..1; its device is where the work is done
    :param lungs: in the shape of ``images``, uint8, 1 in the mask that a network reads as its second channel: the lung
        of frames, the true infection of slices
    :returns: (B, 1 or 2, crop, crop) float32, or (B, 1 or 2, T, crop, crop)
    :raises BadInput: the images have another size or type than the model's
    """
    import torch

    tensor = _tensor(images)
    if tensor.dtype != torch.uint8:
        raise BadInput(f"images are {tensor.dtype}, not uint8 as a prepared set holds them")
    if tensor.ndim not in (3, 4) or tensor.shape[-2:] != mean_image.shape:
        height, width = mean_image.shape
        raise BadInput(f"images are {tuple(tensor.shape)}, not (B, {height}, {width}) or (B, T, {height}, {width})")
    margin = (tensor.shape[-1] - crop) // 2
    window = slice(margin, margin + crop)
    grey = tensor[..., window, window].to(mean_image.device, torch.float32) / 255
    normalised = (grey - mean_image[window, window]).unsqueeze(1)
    if lungs is None:
        return normalised
    inside = _tensor(lungs)
    if inside.shape != tensor.shape:
        raise BadInput(f"lung masks are {tuple(inside.shape)}, not {tuple(tensor.shape)} as the images")
    return torch.cat([normalised, inside[..., window, window].unsqueeze(1).to(normalised)], 1)


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep a GPU from rounding the factors of float32 products to ten bits (TF32), its default in convolutions.

    A model then says on a GPU what it says on a processor.
    """
    import torch

    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def _tensor(array: Tensor | Bytes) -> Tensor:
    import torch

    # Torch wants to be able to write; a file that is mapped into memory cannot be written.
    return torch.from_numpy(np.require(array, requirements=("C", "W"))) if isinstance(array, np.ndarray) else array
