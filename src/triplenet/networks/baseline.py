"""Baseline: ResNet18, global average pooling, one linear layer. 11,177,538 parameters for two classes."""

from __future__ import annotations

from torch import Tensor, nn

from triplenet.networks.base import GradCamNetwork
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import pool
from triplenet.networks.network_options import EncoderOptions


class Options(EncoderOptions):
    """The baseline has only its encoder to choose."""


class Baseline(GradCamNetwork):
    """The classifier that the others are measured against."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = make_encoder(options.encoder)
        self.strides, self.first = self.encoder.deepest_cells()
        self.fc = nn.Linear(self.encoder.channels[4], classes)

    def classify(self, deep: Tensor) -> Tensor:
        logits: Tensor = self.fc(pool(deep))
        return logits


METHOD = Baseline
