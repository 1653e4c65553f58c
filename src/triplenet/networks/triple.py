"""Triple Net: Double Net and a decoder whose infection map weighs the features of both heads.

12,753,029 parameters for two classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from triplenet.networks import double
from triplenet.networks.attention import Resize, attend, infection_probability
from triplenet.networks.base import Network, Outputs
from triplenet.networks.decoder import Decoder
from triplenet.networks.encoder import STRIDES
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import Head, l2_normalise, pool
from triplenet.networks.heat import score_map_evidence, share_of_odds, upsample_to_image


class Options(double.Options):
    """Heads, decoder and the attention between them."""

    attention: Literal["segmentation", "none", "true-mask"] = "segmentation"
    """What weighs the features: the decoder's infection map, nothing (F' = F), or the infection that was drawn: what
    an attention without fault would give, for comparisons alone, since it reads the answer."""
    attention_resize: Resize = "area"
    detach_attention: bool = False
    """Keep the classification's gradient out of the decoder."""
    fuse: bool = False
    """A 1x1 convolution over the concatenated maps of each decoder level."""


class Triple(Network):
    """Classification, contrast and segmentation, joined by the attention F' = F (1 + A)."""

    pooling: Literal["avg", "max"] = "avg"
    """Of the class scores"""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes, channels=2 if options.attention == "true-mask" else 1)
        self.options = options
        self.encoder = make_encoder(options.encoder)
        self.decoder = Decoder(self.encoder.channels, fuse=options.fuse)
        self.make_heads(classes, options)

    def make_heads(self, classes: int, options: Options) -> None:
        """Both read F', the attended fifth map."""
        deep = self.encoder.channels[4]
        self.class_head = Head(deep, options.hidden, classes)
        self.contrast_head = Head(deep, options.hidden, options.embedding)

    def class_heads_by_map(self) -> tuple[tuple[int, Head], ...]:
        """Which of the encoder's maps is classified, by what."""
        return ((4, self.class_head),)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """The encoder's five maps, and before them the true infection (B, H, W) where that is read."""
        maps: tuple[Tensor, ...] = self.encoder(images[:, :1])
        return maps if self.channels == 1 else (images[:, 1], *maps)

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        drawn, maps = maps[:-5], maps[-5:]
        segmentation = self.decoder(maps, size)  # (B, 3, H, W); reads F, not F'
        attention = infection_probability(segmentation)  # (B, H, W)
        weight = attention.detach() if self.options.detach_attention else attention
        if self.options.attention == "none":
            weight = torch.zeros_like(attention)  # F (1 + 0)
        elif drawn:
            (weight,) = drawn
        logits, vectors, scores = self.read_attended(maps, weight)
        # A training reads only what it is pooled to: what it compiles is not to carry the map as well.
        kept = () if self.training else scores
        return Outputs(logits, l2_normalise(vectors), segmentation, attention, score_maps=kept)

    def read_attended(self, maps: tuple[Tensor, ...], attention: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Class scores (B, C), contrastive vectors (B, 256) and score maps of the attended features."""
        attended = attend(maps[4], attention, self.options.attention_resize)  # (B, 512, 7, 7)
        scores = self.class_head(attended)  # (B, C, 7, 7)
        return pool(scores), pool(self.contrast_head(attended)), (scores,)

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

    def class_heat(
        self,
        maps: tuple[Tensor, ...],  # noqa: ARG002 - the heads have read them
        outputs: Outputs,
        size: Sequence[int],
        target: Tensor | None,
    ) -> Tensor | None:
        """The class head's own score map on the attended features, against those of the other classes.

        The logits are its mean, so that what is said of a cell is exact and no gradient is needed. What the head gives
        where there are no features is in every image and is no evidence from this one. None in training mode, whose
        outputs have no score maps.
        """
        if not outputs.score_maps:
            return None
        chosen = outputs.logits.argmax(1) if target is None else target.to(outputs.logits.device)
        evidence = [
            upsample_to_image(
                score_map_evidence((scores - head.of_nothing()).float(), outputs.logits, chosen, self.pooling),
                size,
                [STRIDES[tap]] * 2,
                [self.encoder.first[tap]] * 2,
            )
            for (tap, head), scores in zip(self.class_heads_by_map(), outputs.score_maps, strict=True)
        ]
        return share_of_odds(torch.stack(evidence).sum(0))


METHOD = Triple
