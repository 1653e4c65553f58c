"""Its network: three convolutions, explained by Grad-CAM; and a loss term of its own."""

import torch.nn.functional as F
from torch import Tensor, exp, nn

from triplenet.networks.base import GradCamNetwork
from triplenet.networks.heads import pool
from triplenet.networks.network_options import NetworkOptions


class Options(NetworkOptions):
    width: int = 16


class SmallCnn(GradCamNetwork):
    strides, first = (8, 8), (0, 0)  # pixels between the cells of the last map, and at the first one's centre

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__(classes)
        w = options.width
        self.encoder = nn.Sequential(*block(1, w), *block(w, 2 * w), *block(2 * w, 4 * w))
        self.fc = nn.Linear(4 * w, classes)

    def classify(self, deep: Tensor) -> Tensor:
        return self.fc(pool(deep))


def block(inside: int, outside: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inside, outside, 3, 2, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)


def focal(outputs, targets, objective) -> Tensor:  # noqa: ARG001 - it would say the recipe's options
    """Lin et al. 2017: cross-entropy in which an easy patient counts less; a patient without a label does not."""
    cost = F.cross_entropy(outputs.logits.float(), targets.labels, ignore_index=-1, reduction="none")
    return ((1 - exp(-cost)) ** 2 * cost).sum() / (targets.labels >= 0).sum().clamp_min(1)


METHOD = SmallCnn
