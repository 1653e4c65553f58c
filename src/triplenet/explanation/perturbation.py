"""Heat maps from what a network says of changed images: Score-CAM, occlusion, integrated gradients.

What is taken away becomes the mean image, which is 0 in what a network reads. A lung mask beside the image stays as it
is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor

from triplenet.errors import MissingExtra
from triplenet.explanation.cam_family import class_score, deep_features
from triplenet.networks.base import Network

#: Of the image's side, the side of a window that is covered; windows overlap by half.
WINDOW = {2: 1 / 8, 3: 1 / 4}
STEPS = 32
"""Between the mean image and the image, in integrated gradients"""
Draw = Callable[[Tensor], Tensor]


def score_cam(network: Network, inputs: Tensor, target: Tensor | None, draw: Draw, batch: int = 16) -> Tensor:
    """Score-CAM (Wang H. et al. 2020): features weighted by how much the class gains where they alone are shown.

    The weight of a channel is the increase of confidence (Definition 2): the probability with the image masked by the
    channel, drawn at full size on a scale from 0 to 1, less that of the mean image. As many passes as channels.

    :param draw: (K, cells) -> (K, size), from the cells to the image
    :returns: (B, cells) before negative values are cut
    """
    deep = deep_features(network, inputs, target)
    found = []
    with torch.no_grad():
        for image, features, chosen in zip(inputs, deep.features, deep.target, strict=True):
            empty = image.clone()
            empty[0] = 0
            start = _probability(network, empty[None], chosen)
            weights = []
            for some in features.split(batch):
                shown = _from_0_to_1(draw(some))  # (K, size)
                masked = image.expand(len(some), *image.shape).clone()
                masked[:, 0] *= shown
                weights.append(_probability(network, masked, chosen) - start)
            found.append(torch.einsum("d,d...->...", torch.cat(weights), features))
    return torch.stack(found)


def occlusion(network: Network, inputs: Tensor, target: Tensor | None, batch: int = 16) -> Tensor:
    """Occlusion (Zeiler and Fergus 2014), by captum: what the log-odds lose when a window is covered by the mean image.

    :returns: (B, size) the mean over the windows that cover a pixel, in log-odds
    :raises MissingExtra: captum is not installed
    """
    size = inputs.shape[2:]
    window = [max(1, round(side * WINDOW[len(size)])) for side in size]
    chosen = _likeliest(network, inputs, target)
    with torch.no_grad():
        found: Tensor = (
            _captum()
            .Occlusion(_score(network))
            .attribute(
                inputs[:, :1],
                sliding_window_shapes=(1, *window),
                strides=(1, *(max(1, side // 2) for side in window)),
                baselines=0,
                additional_forward_args=(inputs[:, 1:], chosen),
                perturbations_per_eval=max(1, batch // len(inputs)),
            )
        )
    return found[:, 0].float()


def integrated_gradients(network: Network, inputs: Tensor, target: Tensor | None, batch: int = 16) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017), by captum, from the mean image to the image.

    Complete: the pixels add up to the difference of the log-odds of the two, as near as the steps allow.

    :returns: (B, size) in log-odds, signed
    :raises MissingExtra: captum is not installed
    """
    chosen = _likeliest(network, inputs, target)
    with torch.enable_grad():
        found: Tensor = (
            _captum()
            .IntegratedGradients(_score(network))
            .attribute(
                inputs[:, :1].clone().requires_grad_(),
                baselines=0,
                additional_forward_args=(inputs[:, 1:], chosen),
                n_steps=STEPS,
                internal_batch_size=max(batch, len(inputs)),
            )
        )
    return found[:, 0].detach().float()


def _score(network: Network) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def score(grey: Tensor, beside: Tensor, target: Tensor) -> Tensor:
        return class_score(network(torch.cat([grey, beside], 1)).logits, target)

    return score


def _probability(network: Network, inputs: Tensor, target: Tensor) -> Tensor:
    """(K,) of one class."""
    logits: Tensor = network(inputs).logits
    return logits.float().softmax(1)[:, int(target)]


def _likeliest(network: Network, inputs: Tensor, target: Tensor | None) -> Tensor:
    if target is not None:
        return target.to(inputs.device)
    with torch.no_grad():
        logits: Tensor = network(inputs).logits
    return logits.argmax(1)


def _from_0_to_1(maps: Tensor) -> Tensor:
    """(K, ...) each from its lowest to its highest value; a constant one is 0 everywhere."""
    axes: Sequence[int] = range(1, maps.ndim)
    low, high = maps.amin(tuple(axes), keepdim=True), maps.amax(tuple(axes), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)


def _captum() -> ModuleType:
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise MissingExtra("captum is not installed", do="pip install 'triplenet[explain]'") from error
    attr: ModuleType = captum.attr
    return attr
