"""Triple Net + WSDL: Triple Net whose heads read three layers, each weighed by the attention.

The paper's sentence on it is broken. Here ResNet18 stays and gets WSDL's multi-resolution outputs; with
``trunk = "vgg16_bn"`` it is the other reading, in which WSDL's own network takes the encoder's place.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from triplenet.networks import triple
from triplenet.networks.attention import attend, infection_probability
from triplenet.networks.base import Network, Outputs
from triplenet.networks.decoder import Decoder
from triplenet.networks.encoder import make_encoder
from triplenet.networks.heads import Head, pool, unit
from triplenet.networks.wsdl import TAPS


class Options(triple.Options):
    """Triple Net's, and the pooling of the class scores."""

    pooling: Literal["max", "avg"] = "avg"


class TripleWsdl(Network):
    """The attention reaches every map that is classified: a side output without it would bypass the lesions."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.options = options
        self.encoder = make_encoder(options.trunk)
        channels = self.encoder.channels
        self.decoder = Decoder(channels, fuse=options.fuse)
        self.class_heads = nn.ModuleList(Head(channels[tap], options.hidden, classes) for tap in TAPS)
        self.contrast_heads = nn.ModuleList(Head(channels[tap], options.hidden, options.embedding) for tap in TAPS)

    def forward(self, images: Tensor) -> Outputs:
        self.check(images)
        maps = self.encoder(images)
        segmentation = self.decoder(maps, images.shape[-2:])  # (B, 3, H, W); reads F, not F'
        attention = infection_probability(segmentation)  # (B, H, W)
        weight = attention.detach() if self.options.detach_attention else attention
        attended = [attend(maps[tap], weight, self.options.attention_resize) for tap in TAPS]
        scores = [pool(head(x), self.options.pooling) for head, x in zip(self.class_heads, attended, strict=True)]
        vectors = [pool(head(x)) for head, x in zip(self.contrast_heads, attended, strict=True)]
        return Outputs(
            logits=torch.stack(scores).sum(0),
            embedding=unit(torch.stack(vectors).sum(0)),
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


METHOD = TripleWsdl
