"""Triple Net + WSDL: Triple Net whose heads read three layers, each weighed by the attention.

The paper's sentence on it is broken. Here ResNet18 stays and gets WSDL's multi-resolution outputs; with
``encoder = "vgg16_bn"`` it is the other reading, in which WSDL's own network takes the encoder's place
(docs/methods.md#triple-net--wsdl).
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from triplenet.networks import triple
from triplenet.networks.attention import attend
from triplenet.networks.heads import Head, pool
from triplenet.networks.wsdl import TAPS


class Options(triple.Options):
    """Triple Net's, and the pooling of the class scores."""

    pooling: Literal["max", "avg"] = "avg"


class TripleWsdl(triple.Triple):
    """The attention reaches every map that is classified: a side output without it would bypass the lesions."""

    options: Options

    def make_heads(self, classes: int, options: triple.Options) -> None:
        """A pair for each of the three maps."""
        self.pooling = self.options.pooling
        channels = self.encoder.channels
        self.class_heads = nn.ModuleList(Head(channels[tap], options.hidden, classes) for tap in TAPS)
        self.contrast_heads = nn.ModuleList(Head(channels[tap], options.hidden, options.embedding) for tap in TAPS)

    def class_heads_by_map(self) -> tuple[tuple[int, Head], ...]:
        """The evidence of a place is the sum over the three."""
        return tuple((tap, cast("Head", head)) for tap, head in zip(TAPS, self.class_heads, strict=True))

    def read_attended(self, maps: tuple[Tensor, ...], attention: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The sums over the three maps, and the three score maps."""
        attended = [attend(maps[tap], attention, self.options.attention_resize) for tap in TAPS]
        cells = tuple(head(x) for head, x in zip(self.class_heads, attended, strict=True))
        scores = [pool(map_, self.pooling) for map_ in cells]
        vectors = [pool(head(x)) for head, x in zip(self.contrast_heads, attended, strict=True)]
        return torch.stack(scores).sum(0), torch.stack(vectors).sum(0), cells


METHOD = TripleWsdl
