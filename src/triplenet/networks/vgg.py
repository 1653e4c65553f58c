"""VGG16 with batch norm (Simonyan & Zisserman 2015) as an encoder, with torchvision's key names; see ``resnet`` for why
it is ours.
"""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from triplenet.networks.encoder import CuttableEncoder
from triplenet.networks.resnet import ADDRESS

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Vgg16(CuttableEncoder):
    """Five blocks of 3x3 convolutions, each ending in a 2x2 max pool: the five maps. 14,723,136 parameters."""

    channels = (64, 128, 256, 512, 512)
    # A cell after n pools covers 2^n pixels side by side and is centred among them.
    first = (0.5, 1.5, 3.5, 7.5, 15.5)
    url = ADDRESS + "vgg16_bn-6c64b313.pth"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        ends = [0]
        for widths in BLOCKS:
            for width in widths:
                layers += [nn.Conv2d(inside, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                inside = width
            layers.append(nn.MaxPool2d(2))
            ends.append(len(layers))
        self.features = nn.Sequential(*layers)
        self.ends = tuple(ends)
        for module in self.features:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def shallow(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x1 = self._block(0, images.expand(-1, 3, -1, -1))  # (B, 64, 112, 112)
        x2 = self._block(1, x1)  # (B, 128, 56, 56)
        x3 = self._block(2, x2)  # (B, 256, 28, 28)
        return x1, x2, x3, self._block(3, x3)  # (B, 512, 14, 14)

    def deep(self, x: Tensor) -> Tensor:
        return self._block(4, x)  # (B, 512, 7, 7)

    def unstrided_deep(self) -> nn.Module:
        return deepcopy(nn.Sequential(*list(self.features)[self.ends[4] : self.ends[5] - 1]))

    def _block(self, index: int, x: Tensor) -> Tensor:
        for layer in list(self.features)[self.ends[index] : self.ends[index + 1]]:
            x = layer(x)
        return x
