"""What a model says of prepared images, and where it looked, whatever way its method makes a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadModel, BadPreparedSet
from triplenet.model import full_float32

if TYPE_CHECKING:
    from triplenet.model import Model
    from triplenet.prepare.array_file import ArrayFile
    from triplenet.prepare.store import PreparedSet


@dataclass(frozen=True)
class ExplainedImages:
    """What a model says of N images or volumes, and where it looked."""

    probabilities: npt.NDArray[np.float64]
    """(N, C)"""
    heat: npt.NDArray[np.float32]
    """(N, size, size) or (N, T, size, size) in 0..1; of what the network reads, (..., crop, crop)"""
    class_heat: npt.NDArray[np.float32] | None
    """As ``heat``, of a class; None where ``heat`` is of one already"""


def array_read(model: Model, prepared: PreparedSet) -> ArrayFile:
    """What a model reads of a prepared set: its images, or the frames of a 3D one.

    :raises BadPreparedSet: the set lacks it, or the lungs that the network reads beside it
    """
    source = prepared.images if model.card.dimensions == 2 else prepared.frames
    beside = model.card.dimensions == 3 and model.network.channels == 2
    if source is None or (beside and prepared.frame_lungs is None):
        raise BadPreparedSet("the prepared set has not what the network reads", where=prepared.folder)
    return source


def network_inputs(
    model: Model, prepared: PreparedSet, rows: Sequence[int] | npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """What a model reads of these patients, and the mask beside it, as ``classify_and_explain`` takes both.

    :returns: images, and of a network with a second channel what that holds: the lungs of frames, the true infection
        of slices
    :raises BadPreparedSet: see ``array_read``; nobody knows the infection
    """
    source, chosen = array_read(model, prepared), np.asarray(rows, dtype=np.int64)
    images = np.array(source[chosen])
    if model.network.channels == 1:
        return images, None
    return images, prepared.lungs_of_frames(chosen) if model.card.dimensions == 3 else prepared.lesions(chosen)


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
        heat[rows] = on_image(model, classify_and_explain_crop(model, np.array(images[rows]), chosen).heat)
    return heat


def classify_and_explain(
    model: Model,
    images: npt.NDArray[np.uint8],
    lungs: npt.NDArray[np.uint8] | None = None,
    target: int | None = None,
) -> ExplainedImages:
    """What the model says of a batch of images, and where it looked.

    :param images: as ``heat_maps`` takes them
    :param lungs: (N, T, size, size) uint8, 1 in the lung, for a network that reads it
    :param target: class to explain; the predicted one of each image by default
    :returns: the maps in the shape of ``images``
    """
    classes = None if target is None else np.full(len(images), target)
    found = classify_and_explain_crop(model, images, classes, lungs)
    second = None if found.class_heat is None else on_image(model, found.class_heat)
    return replace(found, heat=on_image(model, found.heat), class_heat=second)


def classify_and_explain_crop(
    model: Model,
    images: npt.NDArray[np.uint8],
    target: npt.NDArray[np.int64] | None = None,
    lungs: npt.NDArray[np.uint8] | None = None,
) -> ExplainedImages:
    """What a model says of one batch, the maps on what the network reads, from one pass.

    Arguments are those of ``heat_maps`` and ``classify_and_explain``.

    :returns: the maps are (N, crop, crop), or (N, T, crop, crop)
    :raises BadModel: a probability or a map is not finite
    """
    import torch

    with torch.no_grad(), full_float32():
        inputs = model.normalise(images, lungs)
        classes = None if target is None else torch.as_tensor(target, device=inputs.device)
        answer = model.network.answer(inputs, classes)
        # In double precision, so that the probabilities written add up to 1.
        probabilities: npt.NDArray[np.float64] = answer.outputs.logits.double().softmax(1).cpu().numpy()
        heat: npt.NDArray[np.float32] = answer.heat.float().cpu().numpy()
        second = None if answer.class_heat is None else answer.class_heat.float().cpu().numpy()
    if not all(np.isfinite(found).all() for found in (probabilities, heat, second) if found is not None):
        raise BadModel("the network's answer is not finite", do="do not use this model")
    return ExplainedImages(probabilities, heat, second)


def on_image(model: Model, maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Maps of the crop (..., crop, crop) on the whole image (..., size, size), 0 around it."""
    card = model.card
    start = (card.size - card.crop) // 2
    inside = slice(start, start + card.crop)
    heat = np.zeros((*maps.shape[:-2], card.size, card.size), dtype=np.float32)
    heat[..., inside, inside] = maps
    return heat
