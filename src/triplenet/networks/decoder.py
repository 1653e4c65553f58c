"""The decoder of Triple Net (the paper gives its kind, not its sizes: docs/methods.md#triple-net).

A level is a 2x2 deconvolution of stride 2, batch norm, ReLU, and the encoder's map of that size beside it.
At 224: 7x7x512 -> 14 -> 28 -> 56 -> 112 -> 224x224x64 -> 1x1 conv -> 224x224x3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triplenet.networks.encoder import Maps

WIDTHS = (256, 128, 64, 64, 64)


class Level(nn.Module):
    """Twice the size, ``width`` channels, the skip beside it, and a 1x1 conv over both if ``fuse``."""

    def __init__(self, inside: int, width: int, skip: int, *, fuse: bool) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(inside, width, 2, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        both = width + skip
        self.channels = width if fuse else both
        self.fuse = (
            nn.Sequential(nn.Conv2d(both, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            if fuse
            else None
        )

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(B, inside, h, w) -> (B, channels, *size), size being 2h x 2w or, for odd sizes, about that"""
        x = self.up(x)
        rows, columns = size[0] - x.shape[2], size[1] - x.shape[3]
        if rows or columns:
            x = F.pad(x, (0, columns, 0, rows))  # crops where negative
        if skip is not None and skip.shape[1]:
            x = torch.cat([x, skip], dim=1)
        return x if self.fuse is None else self.fuse(x)


class Decoder(nn.Module):
    """Five levels and a 1x1 conv: (B, outside, H, W) logits from the encoder's maps.

    918,851 parameters for ResNet18 and three classes.

    :param channels: of the encoder's five maps
    :param skips: whether the encoder's maps come in (MTDL's reconstruction goes without)
    :param fuse: a 1x1 conv, batch norm and ReLU over the concatenated maps of each level
    """

    def __init__(self, channels: Sequence[int], outside: int = 3, *, skips: bool = True, fuse: bool = False) -> None:
        super().__init__()
        inside = channels[4]
        self.levels = nn.ModuleList()
        beside = [*reversed(channels[:4]), 0] if skips else [0] * 5
        for width, skip in zip(WIDTHS, beside, strict=True):
            level = Level(inside, width, skip, fuse=fuse and skip > 0)
            self.levels.append(level)
            inside = level.channels
        self.skips = skips
        self.out = nn.Conv2d(inside, outside, 1)

    def forward(self, maps: Maps, size: tuple[int, int]) -> Tensor:
        """:param size: (H, W) of the images"""
        x = maps[4]
        for level, map_ in zip(self.levels, [*reversed(maps[:4]), None], strict=True):
            target = size if map_ is None else (map_.shape[2], map_.shape[3])
            x = level(x, map_ if self.skips else None, target)
        logits: Tensor = self.out(x)
        return logits
