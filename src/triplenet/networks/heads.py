"""The two heads of Double and Triple Net: "two point-wise convs and a global average pooling layer" each."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Module):
    """Two point-wise convolutions with a ReLU between: (B, inside, h, w) -> (B, outside, h, w).

    Written as linear layers over the channels of each cell, which is the same. Width, ReLU and no batch norm follow
    SupContrast's projection head; the paper is silent (docs/methods.md#double-net).
    """

    def __init__(self, inside: int, hidden: int, outside: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(inside, hidden)
        self.out = nn.Linear(hidden, outside)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, rows, columns = x.shape
        cells = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (B h w, inside)
        out: Tensor = self.out(F.relu(self.hidden(cells)))
        return out.view(batch, rows, columns, -1).permute(0, 3, 1, 2)

    def of_nothing(self) -> Tensor:
        """(1, outside, 1, 1) what a cell without features gives."""
        return F.linear(F.relu(self.hidden.bias), self.out.weight, self.out.bias).view(1, -1, 1, 1)


def pool(maps: Tensor, kind: Literal["avg", "max"] = "avg") -> Tensor:
    """Global pooling over all axes after the channels: (B, D, ...) -> (B, D), means at least in float32"""
    flat = maps.flatten(2)
    return flat.mean(2, dtype=torch.promote_types(flat.dtype, torch.float32)) if kind == "avg" else flat.amax(2)


def l2_normalise(vectors: Tensor) -> Tensor:
    """(B, D) -> (B, D) of length 1, in float32 whatever the autocast type"""
    return F.normalize(vectors.float(), dim=1, eps=1e-12)
