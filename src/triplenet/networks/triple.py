"""Triple Net: Double Net and a decoder whose infection map weighs the features of both heads.

12,753,029 parameters for two classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from triplenet.networks import double
from triplenet.networks.attention import Resize, attend, infection_probability
from triplenet.networks.base import Network, Outputs
from triplenet.networks.decoder import Decoder
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import Head, l2_normalise, pool


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
        self.encoder = make_encoder(options.encoder)
        self.decoder = Decoder(self.encoder.channels, fuse=options.fuse)
        self.make_heads(classes, options)

    def make_heads(self, classes: int, options: Options) -> None:
        """Both read F', the attended fifth map."""
        deep = self.encoder.channels[4]
        self.class_head = Head(deep, options.hidden, classes)
        self.contrast_head = Head(deep, options.hidden, options.embedding)

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        segmentation = self.decoder(maps, size)  # (B, 3, H, W); reads F, not F'
        attention = infection_probability(segmentation)  # (B, H, W)
        weight = attention.detach() if self.options.detach_attention else attention
        logits, vectors = self.read_attended(maps, weight)
        return Outputs(logits, l2_normalise(vectors), segmentation, attention)

    def read_attended(self, maps: tuple[Tensor, ...], attention: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores (B, C) and contrastive vectors (B, 256) of the attended features."""
        attended = attend(maps[4], attention, self.options.attention_resize)  # (B, 512, 7, 7)
        return pool(self.class_head(attended)), pool(self.contrast_head(attended))

    def heat(
        self,
        maps: tuple[Tensor, ...],  # noqa: ARG002 - the decoder has read them
        outputs: Outputs,
        size: Sequence[int],  # noqa: ARG002 - it is drawn at full size
        target: Tensor | None,  # noqa: ARG002 - it has no class
    ) -> Tensor:
        """The attention map: where the network sees infection, whatever class it predicts."""
        assert outputs.attention is not None
        return outputs.attention


METHOD = Triple
