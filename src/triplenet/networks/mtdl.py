"""MTDL (Amyar et al. 2020): one encoder, and three tasks on it: classification, segmentation and reconstruction.

Its code and full text are not to be had; this is what its abstract says, on ResNet18 and with Triple Net's decoder
(docs/methods.md#mtdl).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field
from torch import Tensor, nn

from triplenet.networks.base import GradCamNetwork, Outputs
from triplenet.networks.decoder import Decoder
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import pool
from triplenet.networks.network_options import EncoderOptions


class Options(EncoderOptions):
    """The multi-layer perceptron that classifies. The weights of the three tasks are options of the loss."""

    hidden: int = Field(128, gt=0, le=65_536)
    dropout: float = Field(0.5, ge=0, lt=1)


class Mtdl(GradCamNetwork):
    """Learns the lesions' shape and the image's content beside its class."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = make_encoder(options.encoder)
        self.strides, self.first = self.encoder.deepest_cells()
        channels = self.encoder.channels
        self.classifier = nn.Sequential(
            nn.Linear(channels[4], options.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(options.dropout),
            nn.Linear(options.hidden, classes),
        )
        self.segmenter = Decoder(channels)
        # With the encoder's maps beside it, redrawing the image would be copying it.
        self.redrawer = Decoder(channels, outside=1, skips=False)

    def classify(self, deep: Tensor) -> Tensor:
        logits: Tensor = self.classifier(pool(deep))
        return logits

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        scored = super().decide(maps, size)
        return replace(scored, segmentation=self.segmenter(maps, size), reconstruction=self.redrawer(maps, size))


METHOD = Mtdl
