"""ResNet 18, 34 and 50 (He et al. 2016) as an encoder, with torchvision's key names.

Ours and not torchvision's, which has to be of the very release that torch is of: a hundred lines, in which an encoder
gives five maps and can be cut after the fourth, to go on without a stride (ABN).
"""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from triplenet.networks.encoder import CuttableEncoder

WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(inside, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, h, w) -> (B, width, h / stride, w / stride)"""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)).add_(shortcut))
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the stride is on the 3x3, as torchvision has it."""

    expansion = 4

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        outside = width * self.expansion
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(inside, outside, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, h, w) -> (B, 4 width, h / stride, w / stride)"""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)).add_(shortcut))
        return out


ADDRESS = "https://download.pytorch.org/models/"
FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
}
Block = type[BasicBlock] | type[Bottleneck]
DEPTHS: dict[str, tuple[Block, tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(CuttableEncoder):
    """The encoder of a ResNet: 11,176,512 parameters for ResNet18."""

    # Every strided layer is centred on even cells (odd kernels, padding of half), so cell 0 looks at pixel 0.
    first = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.url = ADDRESS + FILES[name]
        block, counts = DEPTHS[name]
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        c1, c2, c3, c4 = (width * block.expansion for width in WIDTHS)
        self.layer1 = _stage(block, 64, WIDTHS[0], counts[0], stride=1)
        self.layer2 = _stage(block, c1, WIDTHS[1], counts[1], stride=2)
        self.layer3 = _stage(block, c2, WIDTHS[2], counts[2], stride=2)
        self.layer4 = _stage(block, c3, WIDTHS[3], counts[3], stride=2)
        self.channels = (64, c1, c2, c3, c4)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def shallow(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        stem = self.relu(self.bn1(self.conv1(images.expand(-1, 3, -1, -1))))  # (B, 64, 112, 112)
        x1 = self.layer1(self.maxpool(stem))  # (B, 64, 56, 56)
        x2 = self.layer2(x1)  # (B, 128, 28, 28)
        return stem, x1, x2, self.layer3(x2)  # (B, 256, 14, 14)

    def deep(self, x: Tensor) -> Tensor:
        deep: Tensor = self.layer4(x)  # (B, 512, 7, 7)
        return deep

    def unstrided_deep(self) -> nn.Module:
        copy = deepcopy(self.layer4)
        for module in copy.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
        return copy


def _stage(block: Block, inside: int, width: int, count: int, *, stride: int) -> nn.Sequential:
    rest = (block(width * block.expansion, width, 1) for _ in range(count - 1))
    return nn.Sequential(block(inside, width, stride), *rest)


def _projection(inside: int, outside: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inside == outside:
        return None
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
