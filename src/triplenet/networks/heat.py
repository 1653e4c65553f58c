"""From a coarse map of evidence to a heat map on the image, on an absolute scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

#: The part of the image, or of the volume, whose evidence a colour of a Grad-CAM speaks about.
PATCH = 1 / 16


def log_odds(scores: Tensor) -> Tensor:
    """(B, C, ...) class scores -> (B, C, ...) log-odds of each class against the others, log(p / (1 - p)).

    A class score alone says nothing: adding the same to all changes no prediction. Evidence is counted in these.
    """
    classes = scores.shape[1]
    itself = torch.eye(classes, dtype=torch.bool, device=scores.device).view(
        1, classes, classes, *[1] * (scores.ndim - 2)
    )
    others = scores.unsqueeze(1).masked_fill(itself, -torch.inf)  # (B, C, C, ...)
    return scores - others.logsumexp(2)


def share_of_odds(evidence: Tensor) -> Tensor:
    """Evidence in log-odds -> 0..1: the share of the class's odds that rests on it.

    Evidence e multiplies the odds of the class by exp(e), so without it the share 1 - exp(-e) of the odds is gone.
    Evidence against the class counts as none.

    Nothing is divided by the image's own maximum: the same evidence has the same colour in every image, no evidence
    is 0, and noise, which moves the odds little, stays dark.
    """
    return -torch.expm1(-evidence.float().clamp_min(0))


def patch_evidence(contributions: Tensor) -> Tensor:
    """What each cell contributes to the log-odds -> what a patch of 1/16 of the image like it would contribute.

    A cell is a small region whose size differs between methods and image sizes; a patch is the same for all.

    :param contributions: (B, ...) one value a cell, in log-odds; over the cells they add up to the image's
        where the score is linear in the pooled features and there are two classes, and nearly so elsewhere
    """
    return contributions * (contributions[0].numel() * PATCH)


def score_map_evidence(
    scores: Tensor, logits: Tensor, target: Tensor, pooling: Literal["avg", "max"] = "avg"
) -> Tensor:
    """A map of class scores that are pooled -> the log-odds of a class that rest on what is like each cell.

    Of an average: on a patch of 1/16 of the image. Without it each class's score would be lower by 1/16 of the cell's,
    so this is exact for any number of classes. With two it is ``PATCH`` times the difference of the cell's scores, and
    the mean over the cells is ``PATCH`` times the image's log-odds.

    Of a maximum: on the cell itself, as if it were the largest of its class, against the other classes' largest.

    :param scores: (B, C, h, w) what each cell adds to the score of each class, without what an empty cell would
    :param logits: (B, C) of the image
    :param target: (B,) class
    :returns: (B, h, w)
    """
    index = target.view(-1, 1, 1, 1)
    of_class = scores.gather(1, index.expand(-1, 1, *scores.shape[2:]))[:, 0]
    if pooling == "avg":
        itself = torch.arange(logits.shape[1], device=logits.device) == target.unsqueeze(1)  # (B, C)
        others = logits.to(scores.dtype).masked_fill(itself, -torch.inf).log_softmax(1)  # their shares among themselves
        return PATCH * of_class + (others[..., None, None] - PATCH * scores).logsumexp(1)
    largest = scores.amax((2, 3), keepdim=True)  # (B, C, 1, 1)
    return of_class - (largest - log_odds(largest)).gather(1, index)[:, 0]


def upsample_to_image(heat: Tensor, size: Sequence[int], strides: Sequence[float], first: Sequence[float]) -> Tensor:
    """Draw a coarse map at full size with each cell's value where the cell looks.

    Linear between cell centres, constant beyond the outermost. A plain resize would centre cell i at (i + 1/2)
    strides; a ResNet's cell i looks at i strides, 16 pixels away in the deepest map.

    :param heat: (B, h, w) or (B, t, h, w)
    :param size: (H, W) or (T, H, W)
    :param strides: pixels between neighbouring cells, along each axis
    :param first: pixel at the centre of the first cell, along each axis
    """
    for axis, (length, stride, start) in enumerate(zip(size, strides, first, strict=True), start=1):
        cells = heat.shape[axis]
        at = (torch.arange(length, device=heat.device, dtype=torch.float32) - start) / stride
        at = at.clamp(0, cells - 1)  # in cells
        low = at.floor().long().clamp_max(max(cells - 2, 0))
        high = (low + 1).clamp_max(cells - 1)
        shape = [1] * heat.ndim
        shape[axis] = length
        weight = (at - low).reshape(shape).to(heat.dtype)
        heat = torch.lerp(heat.index_select(axis, low), heat.index_select(axis, high), weight)
    return heat
