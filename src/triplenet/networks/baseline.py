"""Baseline: ResNet18, global average pooling, one linear layer. 11,177,538 parameters for two classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triplenet.networks.base import Network, Outputs
from triplenet.networks.encoder import STRIDES, make_encoder
from triplenet.networks.gradcam import grad_cam_heat
from triplenet.networks.heads import pool
from triplenet.networks.heat import place
from triplenet.networks.options import TrunkOptions


class Options(TrunkOptions):
    """The baseline has only its trunk to choose."""


class Baseline(Network):
    """The classifier that the others are measured against."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = make_encoder(options.trunk)
        self.fc = nn.Linear(self.encoder.channels[4], classes)

    def forward(self, images: Tensor) -> Outputs:
        self.check(images)
        return Outputs(logits=self._classify(self.encoder(images)[4]))

    @torch.no_grad()
    def explain(self, images: Tensor, target: Tensor | None = None) -> Tensor:
        """Grad-CAM on the fifth map."""
        self.check(images)
        heat = grad_cam_heat(self.encoder(images)[4], self._classify, target)
        return place(heat, images.shape[-2:], [STRIDES[4]] * 2, [self.encoder.first[4]] * 2)

    def features(self, images: Tensor) -> Tensor:
        self.check(images)
        return pool(self.encoder(images)[4])

    def _classify(self, deep: Tensor) -> Tensor:
        logits: Tensor = self.fc(pool(deep))
        return logits


METHOD = Baseline
