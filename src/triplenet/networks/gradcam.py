"""Grad-CAM (Selvaraju et al. 2017): features weighted by the mean gradient of the class's logit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def grad_cam(features: Tensor, head: Callable[[Tensor], Tensor], target: Tensor | None = None) -> Tensor:
    """The class activation map, before ReLU: (B, ...) over the features' cells, in logits.

    For a head that is a global average pooling and a linear layer, the cells add up to the logit less its bias.
    Only the head is run backwards, so the cost is that of a forward pass.

    :param features: (B, D, ...) the target layer's output
    :param head: features -> (B, C) logits
    :param target: (B,) class; the predicted one by default
    """
    with torch.inference_mode(False), torch.enable_grad():
        # A clone, because tensors made under inference_mode cannot take part in autograd.
        leaf = features.detach().clone().requires_grad_()
        logits = head(leaf)
        chosen = logits.argmax(1) if target is None else target.to(logits.device)
        score = logits.gather(1, chosen.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(score, leaf)
    weights = gradient.float().flatten(2).mean(2)  # (B, D)
    return torch.einsum("bd,bd...->b...", weights, features.detach().float())
