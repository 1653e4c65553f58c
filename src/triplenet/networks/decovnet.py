"""DeCovNet = DeCoVNet (Wang X. et al. 2020): a small 3D network of separated kernels and progressive max pooling.

346,978 parameters for two classes with the lung mask as second channel, as its authors have it. At 64 x 224 x 224:
stem 64x56x56, stage 2 32x56x56, stage 3 32x28x28, then grids of 16x24x24, 4x12x12, 1x6x6 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from triplenet.networks.base import GradCamNetwork
from triplenet.networks.heads import pool
from triplenet.networks.max_pool3d import MaxPool3d
from triplenet.networks.network_options import NetworkOptions

MOST_CELLS = 1 << 17
Cells = Annotated[int, Field(ge=1, le=512)]
Grid = tuple[Cells, Cells, Cells]
STRIDES, FIRST = (2, 8, 8), (0.5, 0.0, 0.0)  # of the encoder's map, along T, H, W


class Options(NetworkOptions):
    """Input and head."""

    lung_mask: bool = False
    """Read the lung mask as a second channel. The paper's 3D methods take CT volumes alone."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Of whole channels, before the last convolution."""
    grids: tuple[Grid, Grid, Grid] = ((16, 24, 24), (4, 12, 12), (1, 6, 6))
    """Of the head's max poolings, along T, H, W; the authors' images are 224 x 336, their grids 3:2."""

    @field_validator("grids")
    @classmethod
    def _not_too_fine(cls, grids: tuple[Grid, Grid, Grid]) -> tuple[Grid, Grid, Grid]:
        for t, h, w in grids:
            if t * h * w > MOST_CELLS:  # nothing in the weights tells how fine a grid is
                raise ValueError(f"a grid of {t} x {h} x {w} has more than {MOST_CELLS} cells")
        return grids


class Block(nn.Module):
    """A bottleneck with its kernel separated into 3x1x1 and 1x3x3; its output starts as the shortcut alone."""

    def __init__(self, inside: int, width: int, outside: int, stride: int) -> None:
        super().__init__()
        last = nn.BatchNorm3d(outside)
        nn.init.zeros_(last.weight)
        spatial = (1, stride, stride)
        self.residual = nn.Sequential(
            nn.Conv3d(inside, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.Conv3d(width, width, (1, 3, 3), spatial, padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.Conv3d(width, outside, 1, bias=False),
            last,
        )
        self.shortcut = nn.Sequential(nn.Conv3d(inside, outside, 1, spatial, bias=False), nn.BatchNorm3d(outside))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, t, h, w) -> (B, outside, t, h / stride, w / stride)"""
        out: Tensor = self.relu(self.residual(x) + self.shortcut(x))
        return out


class GridMaxPool(nn.Module):
    """Adaptive max pooling to a grid of (T, H, W) cells; one finer than the map repeats voxels.

    Axis by axis and by indices, because torch's own cannot be exported to ONNX.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, t, h, w) -> (B, D, *grid)"""
        for axis, cells in enumerate(self.grid, start=2):
            size = x.shape[axis]
            if size == cells:
                continue
            if size % cells == 0:
                x = x.reshape(*x.shape[:axis], cells, size // cells, *x.shape[axis + 1 :]).amax(axis + 1)
                continue
            cell = torch.arange(cells, device=x.device)
            starts, ends = cell * size // cells, ((cell + 1) * size + cells - 1) // cells
            longest = max(-(-(n + 1) * size // cells) - n * size // cells for n in range(cells))
            # Shorter windows repeat their last voxel.
            steps = starts[:, None] + torch.arange(longest, device=x.device)
            index = torch.minimum(steps, ends[:, None] - 1).flatten()
            x = x.index_select(axis, index)
            x = x.view(*x.shape[:axis], cells, longest, *x.shape[axis + 1 :]).amax(axis + 1)
        return x


class DeCovNet(GradCamNetwork):
    """An encoder of a stem and two blocks, and a head that pools step by step."""

    dimensions = 3
    former_names: ClassVar = {"trunk.": "encoder."}
    strides = STRIDES
    first = FIRST

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes, channels=2 if options.lung_mask else 1)
        self.encoder = nn.Sequential(
            nn.Conv3d(self.channels, 16, (5, 7, 7), (1, 2, 2), padding=(2, 3, 3), bias=False),
            nn.BatchNorm3d(16),
            nn.ReLU(inplace=True),
            MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1)),
            Block(16, 16, 64, stride=1),
            MaxPool3d((2, 1, 1), (2, 1, 1)),
            Block(64, 32, 128, stride=2),
        )
        first, second, third = options.grids
        self.head = nn.Sequential(
            GridMaxPool(first),
            nn.Conv3d(128, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            GridMaxPool(second),
            nn.Conv3d(64, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            GridMaxPool(third),
            nn.Dropout3d(options.dropout),
            nn.Conv3d(32, 32, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.fc = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, (nn.Conv3d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def classify(self, deep: Tensor) -> Tensor:
        logits: Tensor = self.fc(pool(self.head(deep), "max"))
        return logits

    def pooled(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Tensor:  # noqa: ARG002
        """The last convolution's, after its global max pooling: (B, 32)."""
        return pool(self.head(maps[0]), "max")


METHOD = DeCovNet
