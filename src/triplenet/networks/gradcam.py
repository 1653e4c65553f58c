"""Grad-CAM (Selvaraju et al. 2017): features weighted by the mean gradient of the class's score."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from triplenet.networks.heat import log_odds, patch_evidence, share_of_odds


def grad_cam_heat(features: Tensor, classify: Callable[[Tensor], Tensor], target: Tensor | None = None) -> Tensor:
    """Grad-CAM on an absolute scale: the share of the class's odds that a patch of the image accounts for.

    The score is the class's log-odds, so that a class that wins by little has little to show.

    :param features: (B, D, ...) the target layer's output
    :param classify: features -> (B, C) logits
    :returns: (B, ...) in 0..1 over the features' cells
    """
    return share_of_odds(patch_evidence(grad_cam(features, lambda leaf: log_odds(classify(leaf)), target)))


def grad_cam(features: Tensor, head: Callable[[Tensor], Tensor], target: Tensor | None = None) -> Tensor:
    """The class activation map, before ReLU: (B, ...) over the features' cells, in units of the score.

    For a head that is a global average pooling and a linear layer, the cells add up to the score less its bias.
    Only the head is run backwards, so the cost is that of a forward pass.

    :param features: (B, D, ...) the target layer's output
    :param head: features -> (B, C) class scores
    :param target: (B,) class; the one of the highest score by default
    """
    with torch.inference_mode(False), torch.enable_grad():
        # A clone, because tensors made under inference_mode cannot take part in autograd.
        leaf = features.detach().clone().requires_grad_()
        scores = head(leaf)
        chosen = scores.argmax(1) if target is None else target.to(scores.device)
        total = scores.gather(1, chosen.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
    weights = gradient.float().flatten(2).mean(2)  # (B, D)
    return torch.einsum("bd,bd...->b...", weights, features.detach().float())
