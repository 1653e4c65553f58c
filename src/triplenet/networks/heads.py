"""The two heads of Double and Triple Net: "two point-wise convs and a global average pooling layer" each."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Sequential):
    """1x1 conv, ReLU, 1x1 conv: (B, inside, h, w) -> (B, outside, h, w), to be pooled by ``pool``.

    Width, ReLU and no batch norm follow SupContrast's projection head; the paper is silent.
    """

    def __init__(self, inside: int, hidden: int, outside: int) -> None:
        super().__init__(nn.Conv2d(inside, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, outside, 1))


def pool(maps: Tensor, kind: Literal["avg", "max"] = "avg") -> Tensor:
    """Global pooling over all axes after the channels: (B, D, ...) -> (B, D)"""
    flat = maps.flatten(2)
    return flat.mean(2) if kind == "avg" else flat.amax(2)


def unit(vectors: Tensor) -> Tensor:
    """(B, D) -> (B, D) of length 1, in float32 whatever the autocast type"""
    return F.normalize(vectors.float(), dim=1, eps=1e-12)
