"""A network that decides by one square of the image alone, and maps of it that are right, and that are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from toy_model import marker
from triplenet.model import Model
from triplenet.networks.base import GradCamNetwork, Network, Outputs
from triplenet.networks.heads import pool

SIZE = 32
SQUARE = (..., slice(8, 16), slice(16, 24))  # a sixteenth of the pixels


class Planted(Network):
    """Class 1 by the mean grey of the square, 0.5 being undecided; the map is the evidence of each pixel."""

    def __init__(self, dimensions: int) -> None:
        super().__init__(2)
        self.dimensions = dimensions  # type: ignore[misc]
        self.encoder = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(1, 1, 1)
        self.fc = nn.Linear(SIZE * SIZE, 2)
        self.targets: list[list[int] | None] = []
        weight = torch.zeros(2, SIZE, SIZE)
        weight[SQUARE] = torch.tensor([-8.0, 8.0])[:, None, None] / 64
        with torch.no_grad():
            self.encoder.weight.fill_(1.0)
            self.encoder.bias.zero_()
            self.fc.weight.copy_(weight.flatten(1))
            self.fc.bias.copy_(torch.tensor([4.0, -4.0]))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.encoder(images + 0.5),)  # the mean image is 0.5 everywhere

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        over_frames = maps[0].reshape(len(maps[0]), -1, SIZE * SIZE).mean(1)
        return Outputs(logits=self.fc(over_frames))

    def heat(self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None) -> Tensor:
        self.targets.append(None if target is None else target.tolist())
        chosen = outputs.logits.argmax(1) if target is None else target
        weight = self.fc.weight[chosen].view(-1, *[1] * (self.dimensions - 2), SIZE, SIZE)
        return -torch.expm1(-(64 * weight * maps[0][:, 0]).clamp_min(0))


class ShowsTheImage(Planted):
    """Decides as ``Planted``, and its map is the image, whatever was learned."""

    def heat(self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None) -> Tensor:
        return (self.shown[:, 0] + 0.5).clamp(0, 1)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        self.shown = images
        return super().encode(images)


class ShowsTheSquare(Planted):
    """Decides as ``Planted``, and its map is the square, whatever the image and the decision."""

    def heat(self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None) -> Tensor:
        square = torch.zeros(maps[0][:, 0].shape)
        square[SQUARE] = 0.9
        return square


class TinyGradCam(GradCamNetwork):
    """The smallest network that is explained by a gradient."""

    strides, first = (8.0, 8.0), (0.0, 0.0)

    def __init__(self, dimensions: int) -> None:
        assert dimensions == 2
        super().__init__(2)
        self.encoder = nn.Conv2d(1, 2, 3, stride=8, padding=1)
        self.fc = nn.Linear(2, 2)

    def classify(self, deep: Tensor) -> Tensor:
        return self.fc(pool(deep))


def planted(kind: type[Network] = Planted, *, frames: int = 0) -> Model:
    card = marker(size=SIZE, crop=SIZE, frames=frames).card
    network = kind(card.dimensions).eval().requires_grad_(False)
    return Model(card, network, torch.full((SIZE, SIZE), 0.5))


def patients(count: int, *, frames: int = 0, seed: int = 0) -> np.ndarray:
    """(count, SIZE, SIZE), or (count, frames, SIZE, SIZE), of class 1: noise with a bright square."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, *[frames] * (frames > 0), SIZE, SIZE), dtype=np.uint8)
    images[SQUARE] += 100
    return images
