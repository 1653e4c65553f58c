"""3D-ResNet18 (Hara et al. 2017). 33,160,000 encoder parameters with one input channel.

At 64 x 112 x 112: stem 64x56x56, pool 32x28x28, stages 32x28x28, 16x14x14, 8x7x7, 4x4x4. The encoder has the key names
of the authors' code, so that their Kinetics weights can be loaded (``encoder.weights`` = the file's path).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triplenet.networks.base import GradCamNetwork
from triplenet.networks.heads import pool
from triplenet.networks.max_pool3d import MaxPool3d
from triplenet.networks.network_options import NetworkOptions

Shortcut = Literal["A", "B"]
WIDTHS = (64, 128, 256, 512)
STRIDES = (16, 32, 32)  # of the last map, along T, H, W; its first cell is centred on the first voxel


class Options(NetworkOptions):
    """The shortcut of the stages that change size."""

    shortcut: Shortcut = "B"
    """B is a 1x1x1 convolution with batch norm; A subsamples and pads with zero channels, without weights."""


class Pad(nn.Module):
    """Shortcut A: every second voxel, and zeros for the new channels."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.extra = outside - inside
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, t, h, w) -> (B, outside, t / stride, h / stride, w / stride)"""
        s = self.stride
        return F.pad(x[:, :, ::s, ::s, ::s], (0, 0, 0, 0, 0, 0, 0, self.extra))


class Block(nn.Module):
    """Two 3x3x3 convolutions and a shortcut."""

    def __init__(self, inside: int, width: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inside, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != width:
            projection = nn.Sequential(nn.Conv3d(inside, width, 1, stride, bias=False), nn.BatchNorm3d(width))
            self.downsample = projection if shortcut == "B" else Pad(inside, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, t, h, w) -> (B, width, t / stride, h / stride, w / stride)"""
        beside = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)).add_(beside))
        return out


class Encoder3d(nn.Module):
    """Stem and four stages of two blocks."""

    def __init__(self, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(1, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = MaxPool3d(3, stride=2, padding=1)
        inside = 64
        for number, width in enumerate(WIDTHS, start=1):
            stride = 1 if number == 1 else 2
            stage = nn.Sequential(Block(inside, width, stride, shortcut), Block(width, width, 1, shortcut))
            self.add_module(f"layer{number}", stage)
            inside = width
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, volumes: Tensor) -> Tensor:
        """(B, 1, T, H, W) -> (B, 512, T / 16, H / 32, W / 32)"""
        x = self.maxpool(self.relu(self.bn1(self.conv1(volumes))))
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        deep: Tensor = x
        return deep


class ResNet3d(GradCamNetwork):
    """The frames of a whole scan through a residual network of 3D convolutions."""

    dimensions = 3
    strides = STRIDES
    first = (0.0, 0.0, 0.0)

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = Encoder3d(options.shortcut)
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def classify(self, deep: Tensor) -> Tensor:
        logits: Tensor = self.fc(pool(deep))
        return logits

    def encoder_state(self) -> dict[str, Tensor]:
        """As the authors' files have it: with three input channels."""
        state = super().encoder_state()
        return {**state, "conv1.weight": torch.zeros(64, 3, 7, 7, 7)}

    def load_encoder(self, state: dict[str, Tensor]) -> None:
        """A grey volume copied to three channels would see the sum of the three kernels."""
        super().load_encoder({**state, "conv1.weight": state["conv1.weight"].sum(1, keepdim=True)})


METHOD = ResNet3d
