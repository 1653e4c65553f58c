"""From a coarse map of evidence to a heat map on the image, on an absolute scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: The part of the image, or of the volume, that a colour speaks about: see ``evidence_share``.
PATCH = 1 / 16


def evidence_share(contributions: Tensor, part: float = PATCH) -> Tensor:
    """Contributions to a class's logit -> 0..1: the share of the class's odds that rests on them.

    A contribution e of a region multiplies the odds of the class against any other by exp(e), so without it
    the share ``1 - exp(-e)`` of the odds is gone. Negative contributions count as none. A cell of the map is a small
    region and its size differs between methods, so it stands for a patch of ``part`` of the image that is
    everywhere like it: e = contribution * cells * part.

    Nothing is divided by the image's own maximum: the same evidence has the same colour in every image, no evidence
    is 0, and noise in the features, which moves the odds little, stays dark.

    :param contributions: (B, ...) one value a cell, in logits, adding up to what the image contributes
    """
    cells = contributions[0].numel()
    return -torch.expm1(-contributions.float().clamp_min(0) * (cells * part))


def place(heat: Tensor, size: Sequence[int], strides: Sequence[float], first: Sequence[float]) -> Tensor:
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
