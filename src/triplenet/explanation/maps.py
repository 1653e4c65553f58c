"""What a model says of prepared images, and where it looked, whatever way its method makes a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadModel
from triplenet.model import full_float32

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
    heat = np.zeros(images.shape, dtype=np.float32)
    for first in range(0, len(images), batch):
        rows = slice(first, first + batch)
        chosen = None if target is None else target[rows]
        heat[rows] = on_image(model, classify_and_explain_crop(model, np.array(images[rows]), chosen)[1])
    return heat


def classify_and_explain(
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
    classes = None if target is None else np.full(len(images), target)
    probabilities, maps = classify_and_explain_crop(model, images, classes, lungs)
    return probabilities, on_image(model, maps)


def classify_and_explain_crop(
    model: Model,
    images: npt.NDArray[np.uint8],
    target: npt.NDArray[np.int64] | None = None,
    lungs: npt.NDArray[np.uint8] | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """The probabilities (N, C) of one batch, and the heat maps on what the network reads, from one pass.

    Arguments are those of ``heat_maps`` and ``classify_and_explain``.

    :returns: the maps are (N, crop, crop), or (N, T, crop, crop)
    :raises BadModel: a probability or a map is not finite
    """
    import torch

    with torch.no_grad(), full_float32():
        inputs = model.normalise(images, lungs)
        classes = None if target is None else torch.as_tensor(target, device=inputs.device)
        outputs, heat = model.network.predict_and_explain(inputs, classes)
        # In double precision, so that the probabilities written add up to 1.
        probabilities: npt.NDArray[np.float64] = outputs.logits.double().softmax(1).cpu().numpy()
        maps: npt.NDArray[np.float32] = heat.float().cpu().numpy()
    if not (np.isfinite(probabilities).all() and np.isfinite(maps).all()):
        raise BadModel("the network's answer is not finite", do="do not use this model")
    return probabilities, maps


def on_image(model: Model, maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Maps of the crop (..., crop, crop) on the whole image (..., size, size), 0 around it."""
    card = model.card
    start = (card.size - card.crop) // 2
    inside = slice(start, start + card.crop)
    heat = np.zeros((*maps.shape[:-2], card.size, card.size), dtype=np.float32)
    heat[..., inside, inside] = maps
    return heat
