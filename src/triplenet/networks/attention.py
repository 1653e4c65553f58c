"""Attention from the segmentation: F' = F + F * A = F (1 + A), A being the infection's probability."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from triplenet.catalog import INFECTION

Resize = Literal["area", "bilinear"]


def infection_probability(segmentation: Tensor) -> Tensor:
    """(B, 3, H, W) logits -> (B, H, W) in 0..1"""
    return segmentation.float().softmax(1)[:, INFECTION]


def attend(features: Tensor, attention: Tensor, resize: Resize) -> Tensor:
    """The features, up to doubled where the attention is.

    :param features: (B, D, h, w)
    :param attention: (B, H, W) in 0..1
    :param resize: ``area`` averages all the pixels of a cell; ``bilinear`` reads four of them, and misses small lesions
    """
    size = (int(features.shape[-2]), int(features.shape[-1]))
    if resize == "area":
        small = area_mean(attention, size).unsqueeze(1)
    else:
        small = F.interpolate(attention.unsqueeze(1), size=size, mode="bilinear", align_corners=False)
    return features * (1 + small.to(features.dtype))


def area_mean(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, h, w) float32: the mean of the pixels that each cell touches.

    What ``interpolate(mode="area")`` gives, as two products of matrices: torch's own has no gradient on a GPU that is
    the same each time.
    """
    rows, columns = (_shares(cells, int(side), maps.device) for cells, side in zip(size, maps.shape[-2:], strict=True))
    with _full_precision(maps.device.type):
        return rows @ maps.float() @ columns.T


def _full_precision(kind: str) -> AbstractContextManager[object]:
    # Only where there is something to switch off: a program that is exported need not hold the switch.
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _shares(cells: int, side: int, device: torch.device) -> Tensor:
    """(cells, side) which share each pixel of a line has in each cell's mean."""
    number = torch.arange(cells, device=device).unsqueeze(1)
    pixel = torch.arange(side, device=device)
    inside = (pixel >= number * side // cells) & (pixel < ((number + 1) * side + cells - 1) // cells)
    return inside / inside.sum(1, keepdim=True)
