"""One interface for all methods: what a network takes and what it gives."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from triplenet.errors import BadInput


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

    def tensors(self) -> dict[str, Tensor]:
        """The single-tensor parts that there are, by name: what an exported graph gives."""
        names = ("logits", "embedding", "segmentation", "attention", "reconstruction")
        return {name: part for name in names if (part := getattr(self, name)) is not None}


class Network(nn.Module):
    """A method: images in, ``Outputs`` and an explanation out.

    ``images`` are normalised: grey in 0..1 minus the mean image, (B, 1, H, W), or (B, 1, T, H, W) for a 3D
    method. Copying grey to the three channels that ImageNet weights expect is the network's own business. A
    network whose ``channels`` is 2 reads the lung mask (0 or 1) as its second channel.

    In evaluation mode a patient's outputs do not depend on the other patients of the batch; an image with
    NaN in it gives NaN logits for itself and for no other.
    """

    dimensions: ClassVar[int] = 2
    smallest: ClassVar[int] = 32
    """pixels; the least H and W"""

    def __init__(self, classes: int, channels: int = 1) -> None:
        super().__init__()
        if classes < 2:
            raise BadInput(f"{classes} classes", do="a classifier needs two or more")
        self.classes = classes
        self.channels = channels

    @abstractmethod
    def forward(self, images: Tensor) -> Outputs:
        """Class scores and whatever else the method computes."""

    @abstractmethod
    def explain(self, images: Tensor, target: Tensor | None = None) -> Tensor:
        """A heat map of each image, (B, H, W) in 0..1 on an absolute scale ((B, T, H, W) for a 3D method).

        Call it in evaluation mode. It works under ``no_grad`` and ``inference_mode``, and has no gradient itself.

        :param target: (B,) class to explain; the predicted one by default. An attention map ignores it.
        """

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """(B, D) the last convolutional features after global average pooling (Fig. 4)."""

    def trunk_state(self) -> dict[str, Tensor]:
        """The tensors of the trunk, by the names and with the shapes that pretrained weights must have."""
        return self.get_submodule("encoder").state_dict()

    def load_trunk(self, state: dict[str, Tensor]) -> None:
        """Start every copy of the trunk that the method has from these weights.

        :param state: as ``trunk_state`` gives them, nothing missing and nothing else
        """
        self.get_submodule("encoder").load_state_dict(state)

    def check(self, images: Tensor) -> None:
        """Refuse images of another shape than the method reads.

        :raises BadInput: the message names the expected shape
        """
        axes = ("B", str(self.channels), "H", "W") if self.dimensions == 2 else ("B", str(self.channels), "T", "H", "W")
        if images.ndim != len(axes) or images.shape[1] != self.channels:
            raise BadInput(
                f"images are {tuple(images.shape)}, not ({', '.join(axes)})",
                do="add the missing axis with unsqueeze" if images.ndim < len(axes) else "grey images have one channel",
            )
        if min(images.shape[-2:]) < self.smallest:
            raise BadInput(
                f"images are {images.shape[-2]} x {images.shape[-1]} pixels",
                do=f"use at least {self.smallest} x {self.smallest}",
            )
