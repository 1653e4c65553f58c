"""WSDL (Hu et al. 2020): class scores from the features of three layers, explained by their score maps.

Its code and full text are not to be had; this follows what is known of it, on ResNet18 (docs/methods.md#wsdl): a 1x1
convolution to class scores on the maps of stride 8, 16 and 32, global pooling, and the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from triplenet.networks.base import Network, Outputs
from triplenet.networks.encoder import STRIDES
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import pool
from triplenet.networks.heat import score_map_evidence, share_of_odds, upsample_to_image
from triplenet.networks.network_options import EncoderOptions

TAPS = (2, 3, 4)


class Options(EncoderOptions):
    """How the score maps are pooled, trained and shown."""

    pooling: Literal["max", "avg"] = "max"
    side_losses: bool = False
    """A cross-entropy for each of the three scores beside that of their sum."""
    cam: Literal["mean", "joint"] = "mean"
    """The mean of the three maps, or the product of those of stride 16 and 32."""


class Wsdl(Network):
    """A classifier that reads upper and lower layers."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        self.options = options
        self.encoder = make_encoder(options.encoder)
        self.scores = nn.ModuleList(nn.Conv2d(self.encoder.channels[tap], classes, 1) for tap in TAPS)

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:  # noqa: ARG002 - nothing is drawn
        branches = tuple(pool(score, self.options.pooling) for score in self._score_maps(maps))
        logits = torch.stack(branches).sum(0)
        return Outputs(logits=logits, branch_logits=branches if self.options.side_losses else ())

    def heat(self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None) -> Tensor:
        """CAM: the score maps of the class against those of the others, on an absolute scale."""
        chosen = outputs.logits.argmax(1) if target is None else target.to(outputs.logits.device)
        heats = []
        for tap, scores, convolution in zip(TAPS, self._score_maps(maps), self.scores, strict=True):
            # The bias is in every image, so it is no evidence from this one.
            unbiased = scores - convolution.get_parameter("bias").view(1, -1, 1, 1)
            evidence = score_map_evidence(unbiased, outputs.logits, chosen, self.options.pooling)
            heat = share_of_odds(evidence)  # (B, h, w)
            heats.append(upsample_to_image(heat, size, [STRIDES[tap]] * 2, [self.encoder.first[tap]] * 2))
        return heats[1] * heats[2] if self.options.cam == "joint" else torch.stack(heats).mean(0)

    def _score_maps(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """(B, C, 28, 28), (B, C, 14, 14), (B, C, 7, 7) at 224"""
        return [convolution(maps[tap]) for tap, convolution in zip(TAPS, self.scores, strict=True)]


METHOD = Wsdl
