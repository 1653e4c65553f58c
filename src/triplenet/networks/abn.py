"""ABN, the attention branch network (Fukui et al. 2019) on ResNet18. 19,573,342 parameters for two classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from triplenet.errors import BadRecipe
from triplenet.networks.base import Network, Outputs
from triplenet.networks.encoder import STRIDES, CuttableEncoder
from triplenet.networks.encoders import make_encoder
from triplenet.networks.heads import pool
from triplenet.networks.heat import score_map_evidence, share_of_odds, upsample_to_image
from triplenet.networks.network_options import EncoderOptions


class Options(EncoderOptions):
    """The convolution that makes the map."""

    map_kernel: Literal[1, 3] = 3
    """3 as in the authors' code, which made their numbers; 1 as in their figure."""


class AttentionBranch(nn.Module):
    """Class scores of its own, and the attention map that they lead to."""

    def __init__(self, end: nn.Module, channels: int, classes: int, kernel: int) -> None:
        super().__init__()
        self.encoder_end = end
        self.squeeze = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, classes, 1, bias=False),
            nn.BatchNorm2d(classes),
            nn.ReLU(inplace=True),
        )
        self.map = nn.Sequential(
            nn.Conv2d(classes, 1, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(1), nn.Sigmoid()
        )
        self.scores = nn.Conv2d(classes, classes, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 256, 14, 14) -> (B, C) logits, (B, 1, 14, 14) map in 0..1"""
        squeezed = self.squeeze(self.encoder_end(x))  # (B, C, 14, 14)
        return pool(self.scores(squeezed)), self.map(squeezed)


class Abn(Network):
    """The features of the fourth map are weighed by a learned map before the last stage classifies them.

    :raises BadRecipe: the encoder cannot be cut before its last stage
    """

    encoder: CuttableEncoder
    former_names: ClassVar = {"attention.trunk.": "attention.encoder_end."}

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        encoder = make_encoder(options.encoder)
        if not isinstance(encoder, CuttableEncoder):
            raise BadRecipe(
                f"ABN cannot cut the encoder {options.encoder!r} before its last stage",
                do="choose encoder = resnet18, resnet34, resnet50 or vgg16_bn",
            )
        self.encoder = encoder
        deep = encoder.channels[4]
        self.attention = AttentionBranch(encoder.unstrided_deep(), deep, classes, options.map_kernel)
        self.fc = nn.Linear(deep, classes)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """The fourth map (B, 256, 14, 14), the branch's scores and map, and the last one, which reads the weighed."""
        shared = self.encoder.shallow(images)[3]
        branch, attention = self.attention(shared)
        return shared, branch, attention, self.encoder.deep(shared * (1 + attention))

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        _, branch, attention, deep = maps
        drawn = upsample_to_image(attention[:, 0].float(), size, [STRIDES[3]] * 2, [self.encoder.first[3]] * 2)
        return Outputs(logits=self.fc(pool(deep)), attention=drawn, branch_logits=(branch,))

    def heat(
        self,
        maps: tuple[Tensor, ...],  # noqa: ARG002 - it is drawn already
        outputs: Outputs,
        size: Sequence[int],  # noqa: ARG002
        target: Tensor | None,  # noqa: ARG002 - it has no class
    ) -> Tensor:
        """The attention map, whatever class is predicted. Its neutral value need not be 0."""
        assert outputs.attention is not None
        return outputs.attention

    def class_heat(
        self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None
    ) -> Tensor:
        """CAM (Zhou et al. 2016) of the perception branch, whose last map is averaged and classified by one layer.

        Exact, and Grad-CAM's map without its gradient. The attention branch has scores of its own, which do not decide.
        """
        chosen = outputs.logits.argmax(1) if target is None else target.to(outputs.logits.device)
        # The bias is in every image, so it is no evidence from this one.
        scores = torch.einsum("cd,bdhw->bchw", self.fc.weight.float(), maps[3].float())  # (B, C, 7, 7)
        strides, first = self.encoder.deepest_cells()
        evidence = score_map_evidence(scores, outputs.logits, chosen)
        return share_of_odds(upsample_to_image(evidence, size, strides, first))

    def load_encoder(self, state: dict[str, Tensor]) -> None:
        super().load_encoder(state)
        self.attention.encoder_end.load_state_dict(self.encoder.unstrided_deep().state_dict())


METHOD = Abn
