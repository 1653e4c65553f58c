"""An encoder: an image in, five feature maps out, each half the size of the one before.

For ResNet18 at 224: conv1 after ReLU 64x112x112, layer1 64x56x56, layer2 128x28x28, layer3 256x14x14, layer4
512x7x7. Whatever hands out five maps with strides 2, 4, 8, 16 and 32 can take its place.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

Maps = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
STRIDES = (2, 4, 8, 16, 32)


class Encoder(nn.Module):
    """Base of the encoders. State-dict keys are torchvision's, without its classifier.

    ``channels`` are those of the five maps; ``first`` is the pixel at which the first cell of each map is
    centred, so that cell i of map m looks at pixel ``first[m] + i * STRIDES[m]``.
    """

    channels: tuple[int, int, int, int, int]
    first: tuple[float, float, float, float, float]
    url: str | None = None
    """torchvision's address of the ImageNet weights; the file's name ends in the start of its SHA-256"""

    def deepest_cells(self) -> tuple[list[float], list[float]]:
        """Strides and first cells of the fifth map, along H and W: where Grad-CAM's cells look."""
        return [float(STRIDES[4])] * 2, [self.first[4]] * 2

    @abstractmethod
    def forward(self, images: Tensor) -> Maps:
        """:param images: (B, 1, H, W); grey is copied to three channels here"""


class CuttableEncoder(Encoder):
    """An encoder that can be run up to its fourth map and from there (ABN works in between)."""

    def forward(self, images: Tensor) -> Maps:
        shallow = self.shallow(images)
        return (*shallow, self.deep(shallow[-1]))

    @abstractmethod
    def shallow(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The first four maps."""

    @abstractmethod
    def deep(self, x: Tensor) -> Tensor:
        """The fifth map from the fourth."""

    @abstractmethod
    def unstrided_deep(self) -> nn.Module:
        """A copy of what ``deep`` runs, weights too, that keeps its input's size."""
