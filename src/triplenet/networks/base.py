"""One interface for all methods: what a network takes and what it gives."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Outputs:
    """What a method's forward pass gives; a part that the method does not have is None.

    The spatial size (H, W) is that of the images.
    """

    logits: Tensor
    """(B, C) class scores before softmax"""
    embedding: Tensor | None = None
    """(B, 256), L2-normalised: the contrastive head's output"""
    segmentation: Tensor | None = None
    """(B, 3, H, W) logits: background, lung, infection"""
    attention: Tensor | None = None
    """(B, H, W) in 0..1"""
    reconstruction: Tensor | None = None
    """(B, 1, H, W) the normalised input as the decoder redraws it (MTDL)"""
    branch_logits: tuple[Tensor, ...] = ()
    """(B, C) each: class scores of side outputs that have a cross-entropy of their own (ABN, WSDL)"""


class Network(nn.Module):
    """A method: images in, ``Outputs`` and an explanation out.

    ``images`` are normalised: grey in 0..1 minus the mean image, (B, 1, H, W), or (B, 1, T, H, W) for a 3D
    method. Copying grey to the three channels that ImageNet weights expect is the network's own business.
    """

    classes: int

    @abstractmethod
    def forward(self, images: Tensor) -> Outputs:
        """Class scores and whatever else the method computes."""

    @abstractmethod
    def explain(self, images: Tensor, target: Tensor | None = None) -> Tensor:
        """A heat map of each image, (B, H, W) in 0..1 on an absolute scale ((B, T, H, W) for a 3D method).

        :param target: (B,) class to explain; the predicted one by default. An attention map ignores it.
        """

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """(B, D) the last convolutional features after global average pooling (Fig. 4)."""
