"""Heat maps of prepared images, whatever way a method makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from triplenet.model import Model


def heat_maps(
    model: Model,
    images: npt.NDArray[np.uint8],
    target: npt.NDArray[np.int64] | None = None,
    *,
    batch: int = 32,
) -> npt.NDArray[np.float32]:
    """The heat map of each image on the image's own pixels; 0 outside the crop that the network reads.

    :param images: (N, size, size) as a prepared set holds them, or its frames (N, T, size, size) for a 3D method
    :param target: (N,) class to explain; the predicted one by default. An attention map has none
    :returns: the shape of ``images``, float32 in 0..1
    """
    import torch

    heat = np.zeros(images.shape, dtype=np.float32)
    crop = model.card.crop
    start = (images.shape[-1] - crop) // 2
    inside = slice(start, start + crop)
    for first in range(0, len(images), batch):
        rows = slice(first, first + batch)
        with torch.no_grad():
            inputs = model.normalise(np.array(images[rows]))
            classes = None if target is None else torch.as_tensor(target[rows], device=inputs.device)
            found = model.network.explain(inputs, classes)
        heat[rows, ..., inside, inside] = found.float().cpu().numpy()
    return heat
