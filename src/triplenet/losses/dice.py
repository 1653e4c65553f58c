"""The segmentation loss, Eq. (5): soft Dice with squared sums, as V-Net has it (docs/methods.md#segmentation-loss)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from triplenet.catalog import UNLABELLED
from triplenet.losses.precision import at_least_float32
from triplenet.losses.shared_batch import ALONE, Processes


def dice(
    segmentation: Tensor,
    masks: Tensor | None,
    *,
    factor: Literal[1, 2] = 2,
    smooth: float = 1.0,
    over: Literal["batch", "image"] = "batch",
    processes: Processes = ALONE,
) -> Tensor:
    """Mean over the classes of 1 - (factor * sum pq + g) / (sum p^2 + sum q^2 + g), over the labelled pixels.

    :param segmentation: (B, 3, H, W) logits; p is their softmax
    :param masks: (B, H, W) uint8 class indices, q is their one-hot form; 255 is left out; None if nothing is labelled
    :param factor: Eq. (5) prints 1, with which a perfect class costs a half
    :param smooth: g
    :param over: sums over all pixels of the batch, or of each image and then the mean over images with labels
    """
    if masks is None and processes.count == 1:
        return zero_with_graph(segmentation)
    if masks is None:  # the other processes wait for this one's sums
        masks = torch.full_like(segmentation[:, 0], UNLABELLED, dtype=torch.uint8)
    p = at_least_float32(segmentation).softmax(1)
    classes = torch.arange(p.shape[1], device=p.device)
    q = masks.unsqueeze(1) == classes.view(1, -1, 1, 1)  # (B, 3, H, W); nowhere true where unlabelled
    labelled = (masks != UNLABELLED).unsqueeze(1)
    axes = (0, 2, 3) if over == "batch" else (2, 3)
    both = torch.where(q, p, 0).sum(axes)  # (3,) or (B, 3)
    squares = torch.where(labelled, p.square(), 0).sum(axes) + q.sum(axes)
    if over == "batch":
        both, squares = processes.sum(torch.stack([both, squares]))
    # With g = 0 a class that is nowhere would be 0 / 0.
    loss = 1 - (factor * both + smooth) / (squares + smooth).clamp_min(torch.finfo(p.dtype).tiny)
    loss = loss.mean(-1)  # () or (B,)
    has_labels = labelled.flatten(1).any(1)  # (B,)
    images = processes.sum(has_labels.sum())
    if over == "batch":
        return torch.where(images > 0, loss, 0)
    return torch.where(has_labels, loss, 0).sum() * processes.count / images.clamp_min(1)


def zero_with_graph(part: Tensor) -> Tensor:
    """Zero, with a gradient of zero to what it was not computed from, so that every parameter still has one."""
    return at_least_float32(part).flatten()[:0].sum()
