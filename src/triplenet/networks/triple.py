"""Triple Net: Double Net and a decoder whose infection map weighs the features of both heads.

12,753,029 parameters for two classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triplenet.networks import double
from triplenet.networks.attention import Resize, attend, infection_probability
from triplenet.networks.base import Network, Outputs
from triplenet.networks.decoder import Decoder
from triplenet.networks.encoder import make_encoder
from triplenet.networks.heads import Head, pool, unit


class Options(double.Options):
    """Heads, decoder and the attention between them."""

    attention_resize: Resize = "area"
    detach_attention: bool = False
    """Keep the classification's gradient out of the decoder."""
    fuse: bool = False
    """A 1x1 convolution over the concatenated maps of each decoder level."""


class Triple(Network):
    """Classification, contrast and segmentation, joined by the attention F' = F (1 + A)."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.options = options
        self.encoder = make_encoder(options.trunk)
        deep = self.encoder.channels[4]
        self.decoder = Decoder(self.encoder.channels, fuse=options.fuse)
        self.class_head = Head(deep, options.hidden, classes)
        self.contrast_head = Head(deep, options.hidden, options.embedding)

    def forward(self, images: Tensor) -> Outputs:
        self.check(images)
        maps = self.encoder(images)
        segmentation = self.decoder(maps, images.shape[-2:])  # (B, 3, H, W); reads F, not F'
        attention = infection_probability(segmentation)  # (B, H, W)
        weight = attention.detach() if self.options.detach_attention else attention
        attended = attend(maps[4], weight, self.options.attention_resize)  # (B, 512, 7, 7)
        return Outputs(
            logits=pool(self.class_head(attended)),
            embedding=unit(pool(self.contrast_head(attended))),
            segmentation=segmentation,
            attention=attention,
        )

    @torch.no_grad()
    def explain(self, images: Tensor, target: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it has no class
        """The attention map: where the network sees infection, whatever class it predicts."""
        self.check(images)
        return infection_probability(self.decoder(self.encoder(images), images.shape[-2:]))

    def features(self, images: Tensor) -> Tensor:
        self.check(images)
        return pool(self.encoder(images)[4])


METHOD = Triple
