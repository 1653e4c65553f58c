"""``triplenet.explain``: a heat map of any kind, of one windowed image or volume, by any model.

heat = triplenet.explain("model.safetensors", image, method="hirescam")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from triplenet.errors import BadInput, BadModel, UnknownName
from triplenet.explanation import cam_family, perturbation
from triplenet.explanation.cam_family import Deep
from triplenet.explanation.map_kinds import CLASS, OWN, MapKind, find_map
from triplenet.explanation.maps import on_image
from triplenet.model import Model, full_float32, load_model
from triplenet.networks.base import Network
from triplenet.networks.heat import patch_evidence, share_of_odds, upsample_to_image

Bytes = npt.NDArray[np.uint8]

_OF_FEATURES: dict[str, Callable[[Deep], Tensor]] = {
    "grad-cam": cam_family.grad_cam,
    "grad-cam++": cam_family.grad_cam_plus_plus,
    "hirescam": cam_family.hires_cam,
    "layer-cam": cam_family.layer_cam,
    "eigen-cam": cam_family.eigen_cam,
}


def explain(
    model: Model | Path | str,
    image: Bytes,
    method: str = OWN,
    target: int | str | None = None,
    *,
    lungs: Bytes | None = None,
    batch: int = 16,
) -> npt.NDArray[np.float32]:
    """The heat map of an image, on the image's own pixels; 0 outside the crop that the network reads.

    :param model: loaded, or its file
    :param image: uint8 grey as a prepared set holds it, (size, size), or several (N, size, size); of a 3D method a
        volume of frames (T, size, size), or several (N, T, size, size)
    :param method: ``own`` (the method's), ``class`` (its evidence for a class), or one of ``map_kinds.MAPS``
    :param target: class to explain, by number or name; the predicted one by default
    :param lungs: in the shape of ``image``, 1 in the lung, for a network that reads it
    :param batch: images at once, where a kind asks about many
    :returns: the shape of ``image``, float32 in 0..1. On an absolute scale, or divided by its own maximum, as
        ``MAPS[method].scale`` says; a map without anything that speaks for the class is 0 everywhere
    :raises UnknownName: no such kind of map, or class
    :raises BadInput: an image of another shape or type, or without the lung that the network reads
    :raises BadModel: a map is not finite
    :raises MissingExtra: captum, for occlusion and integrated gradients, is not installed
    """
    kind = find_map(method)
    loaded = model if isinstance(model, Model) else load_model(model)
    images, beside = _batch(loaded, image), None if lungs is None else _batch(loaded, lungs)
    if loaded.network.channels == 2 and (beside is None or beside.shape != images.shape):
        raise BadInput("the model reads the lung beside each image", do="give it in the same shape")
    number = _class_number(loaded, target)
    found = explain_batch(loaded, images, kind, number, lungs=beside, batch=batch)
    return found.reshape(np.asarray(image).shape)


def explain_batch(
    model: Model,
    images: Bytes,
    kind: MapKind,
    target: int | None = None,
    *,
    lungs: Bytes | None = None,
    batch: int = 16,
) -> npt.NDArray[np.float32]:
    """The heat maps of images, (N, size, size) or (N, T, size, size), one after another as memory allows.

    :raises BadModel: a map is not finite
    """
    heat = np.zeros(images.shape, np.float32)
    at_once = batch if model.card.dimensions == 2 else 1
    with torch.inference_mode(False), torch.no_grad(), full_float32(), _evaluating(model.network):
        for first in range(0, len(images), at_once):
            rows = slice(first, first + at_once)
            beside = None if lungs is None or model.network.channels == 1 else lungs[rows]
            inputs = model.normalise(images[rows], beside)
            classes = None if target is None else torch.full((len(inputs),), target, device=inputs.device)
            heat[rows] = on_image(model, _on_crop(model.network, inputs, kind, classes, batch).float().cpu().numpy())
    if not np.isfinite(heat).all():
        raise BadModel("the network's heat map is not finite", do="do not use this model")
    return heat


def _on_crop(network: Network, inputs: Tensor, kind: MapKind, target: Tensor | None, batch: int) -> Tensor:
    """(B, size) or (B, T, size) in 0..1, at the size of what the network reads."""
    if kind.name in (OWN, CLASS):
        answer = network.answer(inputs, target)
        return answer.heat if kind.name == OWN or answer.class_heat is None else answer.class_heat

    size = inputs.shape[2:]
    strides, first = network.deepest_cells()

    def draw(cells: Tensor) -> Tensor:
        return upsample_to_image(cells, size, strides, first)

    if kind.name == "occlusion":
        return share_of_odds(perturbation.occlusion(network, inputs, target, batch))
    if kind.name == "integrated-gradients":
        return own_maximum(perturbation.integrated_gradients(network, inputs, target, batch))
    if kind.name == "score-cam":
        return own_maximum(draw(perturbation.score_cam(network, inputs, target, draw, batch)))
    coarse = _OF_FEATURES[kind.name](cam_family.deep_features(network, inputs, target))
    if kind.scale == "absolute":
        return draw(share_of_odds(patch_evidence(coarse)))
    return own_maximum(draw(coarse))


def own_maximum(maps: Tensor) -> Tensor:
    """The positive part of each map (B, ...), its highest value made 1; one without such a part is 0."""
    positive = maps.clamp_min(0)
    highest = positive.flatten(1).amax(1).view(-1, *[1] * (maps.ndim - 1))
    # NaN is neither above nor at 0, and stays.
    return positive / torch.where(highest == 0, 1, highest)


@contextmanager
def _evaluating(network: Network) -> Iterator[None]:
    """In evaluation mode, and afterwards as it was."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _batch(model: Model, image: Bytes) -> Bytes:
    """One image, or several, as several."""
    card = model.card
    frames = (card.frames,) if card.dimensions == 3 else ()
    axes = (*frames, card.size, card.size)
    given = np.asarray(image)
    if given.dtype == np.uint8 and given.shape[-len(axes) :] == axes and given.ndim - len(axes) in (0, 1):
        return given.reshape(-1, *axes)
    raise BadInput(
        f"the image is {given.dtype} {given.shape}, not uint8 {axes} or {('N', *axes)}",
        do="give grey as triplenet prepare makes it",
    )


def _class_number(model: Model, target: int | str | None) -> int | None:
    classes = model.card.classes
    if target is None:
        return None
    if isinstance(target, int | np.integer) and 0 <= target < len(classes):
        return int(target)
    if target in classes:
        return classes.index(str(target))
    named = ", ".join(f"{number} {name}" for number, name in enumerate(classes))
    raise UnknownName("no such class", where=repr(target), do=f"choose one of {named}")
