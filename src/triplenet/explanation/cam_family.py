"""Class activation maps: the deepest features of a network, weighted by the gradient of a class's score.

The score is the log-odds of the class against the others, as in ``networks.gradcam``, and only the part of the network
that decides is run backwards. Each map here is what its paper's is before negative values are cut, on the features'
cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from triplenet.networks.base import Network
from triplenet.networks.heat import log_odds


@dataclass(frozen=True)
class Deep:
    """The deepest features of B images, and what a class's log-odds gain by them."""

    features: Tensor
    """(B, D, h, w), or (B, D, t, h, w) of volumes; float32"""
    gradient: Tensor
    """Likewise"""
    target: Tensor
    """(B,) class"""
    by_slice: bool = False
    """Whether the network reads its volumes slice by slice, so that a mean over a channel is one over a slice"""

    def per_channel(self, maps: Tensor) -> Tensor:
        """The mean of each channel of (B, D, ...), with its axes."""
        return maps.mean(tuple(range(3 if self.by_slice else 2, maps.ndim)), keepdim=True)


def class_score(logits: Tensor, target: Tensor) -> Tensor:
    """(B, C) -> (B,) log-odds of a class against the others."""
    return log_odds(logits.float()).gather(1, target.unsqueeze(1))[:, 0]


def deep_features(network: Network, inputs: Tensor, target: Tensor | None = None) -> Deep:
    """Run a network forwards, and what decides in it backwards.

    :param inputs: as the network reads them
    :param target: (B,) class; the likeliest by default
    """
    size = inputs.shape[2:]
    with torch.no_grad():
        maps = network.encode(inputs)
    with torch.enable_grad():
        leaf = maps[-1].detach().clone().requires_grad_()
        logits = network.decide((*maps[:-1], leaf), size).logits
        chosen = logits.detach().argmax(1) if target is None else target.to(logits.device)
        (gradient,) = torch.autograd.grad(class_score(logits, chosen).sum(), leaf)
    batch = len(inputs)
    features, gradients = by_image(leaf.detach().float(), batch), by_image(gradient.float(), batch)
    return Deep(features, gradients, chosen, by_slice=len(leaf) != batch)


def by_image(maps: Tensor, batch: int) -> Tensor:
    """Features (B T, D, h, w) of slices that were read one by one (CovNet) as (B, D, T, h, w) of their volumes."""
    if len(maps) == batch:
        return maps
    return maps.view(batch, -1, *maps.shape[1:]).transpose(1, 2)


def grad_cam(deep: Deep) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, Eqs. 1 and 2): features weighted by the mean gradient of their channel."""
    return (deep.per_channel(deep.gradient) * deep.features).sum(1)


def hires_cam(deep: Deep) -> Tensor:
    """HiResCAM (Draelos and Carin 2020): each feature times its own gradient.

    What each cell contributes, exactly, where the decision is piecewise linear and has no biases.
    """
    return (deep.gradient * deep.features).sum(1)


def layer_cam(deep: Deep) -> Tensor:
    """Layer-CAM (Jiang et al. 2021, Eqs. 5 and 6): each feature times its own gradient where that is positive."""
    return (deep.gradient.clamp_min(0) * deep.features).sum(1)


def grad_cam_plus_plus(deep: Deep) -> Tensor:
    """Grad-CAM++ (Chattopadhay et al. 2018, Eqs. 10 and 19): each gradient weighted by its share.

    Of exp(score), as in the paper: its derivatives are powers of the first, and its own factor is the same everywhere.
    """
    gradient = deep.gradient
    cells = gradient[0, 0, 0 if deep.by_slice else ...].numel()
    below = 2 * gradient**2 + cells * deep.per_channel(deep.features) * gradient**3
    shares = torch.where(below != 0, gradient**2 / torch.where(below != 0, below, 1), 0)
    return (cells * deep.per_channel(shares * gradient.clamp_min(0)) * deep.features).sum(1)


def eigen_cam(deep: Deep) -> Tensor:
    """Eigen-CAM (Muhammad and Yeasin 2020): the features on their first principal axis, whatever the class.

    Not centred, as in the paper. The sign, which a decomposition leaves open, is that of a positive sum.
    """
    batch, channels, *cells = deep.features.shape
    rows = deep.features.reshape(batch, channels, -1).transpose(1, 2)  # (B, cells, D)
    left, scales, _ = torch.linalg.svd(rows, full_matrices=False)
    along = left[:, :, 0] * scales[:, :1]  # (B, cells)
    sign = torch.where(along.sum(1, keepdim=True) < 0, -1.0, 1.0)
    signed: Tensor = along * sign
    return signed.view(batch, *cells)
