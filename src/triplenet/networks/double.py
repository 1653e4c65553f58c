"""Double Net: an encoder with a class head and a contrastive head. 11,834,178 parameters for two classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field
from torch import Tensor

from triplenet.networks.base import GradCamNetwork, Outputs
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import Head, l2_normalise, pool
from triplenet.networks.network_options import EncoderOptions


class Options(EncoderOptions):
    """Sizes of the heads."""

    hidden: int = Field(512, gt=0, le=65_536)
    """Channels between a head's two convolutions."""
    embedding: int = Field(256, gt=0, le=65_536)
    """Dimensions of the contrastive embedding."""


class Double(GradCamNetwork):
    """Supervised contrastive learning beside the classification."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = make_encoder(options.encoder)
        self.strides, self.first = self.encoder.deepest_cells()
        deep = self.encoder.channels[4]
        self.class_head = Head(deep, options.hidden, classes)
        self.contrast_head = Head(deep, options.hidden, options.embedding)

    def classify(self, deep: Tensor) -> Tensor:
        return pool(self.class_head(deep))

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        scored = super().decide(maps, size)
        return replace(scored, embedding=l2_normalise(pool(self.contrast_head(maps[-1]))))


METHOD = Double
