"""Heat maps of prepared images, whatever way a method makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

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
    for first in range(0, len(images), batch):
        rows = slice(first, first + batch)
        with torch.no_grad():
            inputs = model.normalise(np.array(images[rows]))
            classes = None if target is None else torch.as_tensor(target[rows], device=inputs.device)
            found = model.network.explain(inputs, classes)
        heat[rows] = _on_image(model, found)
    return heat


def look(
    model: Model,
    images: npt.NDArray[np.uint8],
    lungs: npt.NDArray[np.uint8] | None = None,
    target: int | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """What the model says of a batch of images, and where it looked.

    :param images: as ``heat_maps`` takes them
    :param lungs: (N, T, size, size) uint8, 1 in the lung, for a network that reads it
    :param target: class to explain; the predicted one of each image by default
    :returns: probabilities (N, C), and the heat maps in the shape of ``images``
    """
    import torch

    with torch.no_grad():
        inputs = model.normalise(images) if lungs is None else model.normalise(images, lungs)
        # In double precision, so that the probabilities written add up to 1.
        probabilities = model.network(inputs).logits.double().softmax(1)
        classes = probabilities.argmax(1) if target is None else torch.full_like(probabilities[:, 0], target).long()
        found = model.network.explain(inputs, classes)
    return probabilities.cpu().numpy(), _on_image(model, found)


def _on_image(model: Model, found: Tensor) -> npt.NDArray[np.float32]:
    """Maps of the crop on the whole image, 0 around it."""
    card = model.card
    start = (card.size - card.crop) // 2
    inside = slice(start, start + card.crop)
    heat = np.zeros((*found.shape[:-2], card.size, card.size), dtype=np.float32)
    heat[..., inside, inside] = found.float().cpu().numpy()
    return heat
