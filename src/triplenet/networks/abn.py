"""ABN, the attention branch network (Fukui et al. 2019) on ResNet18. 19,573,342 parameters for two classes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from triplenet.errors import BadRecipe
from triplenet.networks.base import Network, Outputs
from triplenet.networks.encoder import STRIDES, CuttableEncoder, make_encoder
from triplenet.networks.heads import pool
from triplenet.networks.heat import place
from triplenet.networks.options import TrunkOptions


class Options(TrunkOptions):
    """The convolution that makes the map."""

    map_kernel: Literal[1, 3] = 3
    """3 as in the authors' code, which made their numbers; 1 as in their figure."""


class AttentionBranch(nn.Module):
    """Class scores of its own, and the attention map that they lead to."""

    def __init__(self, trunk: nn.Module, channels: int, classes: int, kernel: int) -> None:
        super().__init__()
        self.trunk = trunk
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
        squeezed = self.squeeze(self.trunk(x))  # (B, C, 14, 14)
        return pool(self.scores(squeezed)), self.map(squeezed)


class Abn(Network):
    """The features of the fourth map are weighed by a learned map before the last stage classifies them.

    :raises BadRecipe: the trunk cannot be cut before its last stage
    """

    encoder: CuttableEncoder

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        encoder = make_encoder(options.trunk)
        if not isinstance(encoder, CuttableEncoder):
            raise BadRecipe(
                f"ABN cannot cut the trunk {options.trunk!r} before its last stage",
                do="choose trunk = resnet18, resnet34, resnet50 or vgg16_bn",
            )
        self.encoder = encoder
        deep = encoder.channels[4]
        self.attention = AttentionBranch(encoder.unstrided_deep(), deep, classes, options.map_kernel)
        self.fc = nn.Linear(deep, classes)

    def forward(self, images: Tensor) -> Outputs:
        self.check(images)
        shared = self.encoder.shallow(images)[3]  # (B, 256, 14, 14)
        branch, attention = self.attention(shared)
        logits = self.fc(pool(self.encoder.deep(shared * (1 + attention))))
        return Outputs(logits=logits, attention=self._place(attention, images), branch_logits=(branch,))

    @torch.no_grad()
    def explain(self, images: Tensor, target: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it has no class
        """The attention map, whatever class is predicted. Its neutral value need not be 0."""
        self.check(images)
        _, attention = self.attention(self.encoder.shallow(images)[3])
        return self._place(attention, images)

    def features(self, images: Tensor) -> Tensor:
        """The last features of the perception branch, which reads the weighed ones."""
        self.check(images)
        shared = self.encoder.shallow(images)[3]
        _, attention = self.attention(shared)
        return pool(self.encoder.deep(shared * (1 + attention)))

    def load_trunk(self, state: dict[str, Tensor]) -> None:
        super().load_trunk(state)
        self.attention.trunk.load_state_dict(self.encoder.unstrided_deep().state_dict())

    def _place(self, attention: Tensor, images: Tensor) -> Tensor:
        return place(attention[:, 0].float(), images.shape[-2:], [STRIDES[3]] * 2, [self.encoder.first[3]] * 2)


METHOD = Abn
