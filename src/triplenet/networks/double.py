"""Double Net: an encoder with a class head and a contrastive head. 11,834,178 parameters for two classes."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from triplenet.networks.base import Network, Outputs
from triplenet.networks.encoder import STRIDES, make_encoder
from triplenet.networks.gradcam import grad_cam_heat
from triplenet.networks.heads import Head, pool, unit
from triplenet.networks.heat import place
from triplenet.networks.options import TrunkOptions


class Options(TrunkOptions):
    """Sizes of the heads."""

    hidden: int = Field(512, gt=0)
    """Channels between a head's two convolutions."""
    embedding: int = Field(256, gt=0)
    """Dimensions of the contrastive embedding."""


class Double(Network):
    """Supervised contrastive learning beside the classification."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = make_encoder(options.trunk)
        deep = self.encoder.channels[4]
        self.class_head = Head(deep, options.hidden, classes)
        self.contrast_head = Head(deep, options.hidden, options.embedding)

    def forward(self, images: Tensor) -> Outputs:
        self.check(images)
        deep = self.encoder(images)[4]  # (B, 512, 7, 7)
        return Outputs(logits=self._classify(deep), embedding=unit(pool(self.contrast_head(deep))))

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
        return pool(self.class_head(deep))


METHOD = Double
