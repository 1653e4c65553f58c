"""MTDL (Amyar et al. 2020): one encoder, and three tasks on it: classification, segmentation and reconstruction.

Its code and full text are not to be had; this is what its abstract says, on the paper's ResNet18 and with Triple
Net's decoder (section 8 of the design).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from triplenet.networks.base import Network, Outputs
from triplenet.networks.decoder import Decoder
from triplenet.networks.encoder import STRIDES, make_encoder
from triplenet.networks.gradcam import grad_cam_heat
from triplenet.networks.heads import pool
from triplenet.networks.heat import place
from triplenet.networks.options import TrunkOptions


class Options(TrunkOptions):
    """The multi-layer perceptron that classifies. The weights of the three tasks are options of the loss."""

    hidden: int = Field(128, gt=0)
    dropout: float = Field(0.5, ge=0, lt=1)


class Mtdl(Network):
    """Learns the lesions' shape and the image's content beside its class."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.encoder = make_encoder(options.trunk)
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

    def forward(self, images: Tensor) -> Outputs:
        self.check(images)
        maps = self.encoder(images)
        size = images.shape[-2:]
        return Outputs(
            logits=self._classify(maps[4]),
            segmentation=self.segmenter(maps, size),
            reconstruction=self.redrawer(maps, size),
        )

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
        logits: Tensor = self.classifier(pool(deep))
        return logits


METHOD = Mtdl
