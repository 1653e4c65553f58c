"""One interface for all methods: what a network takes and what it gives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from triplenet.errors import BadInput
from triplenet.networks.gradcam import grad_cam_heat
from triplenet.networks.heads import pool
from triplenet.networks.heat import upsample_to_image

Named = TypeVar("Named")
"""A tensor, or what is known of one"""


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
    score_maps: tuple[Tensor, ...] = ()
    """(B, C, h, w) each: class scores of each cell before they are pooled, kept in evaluation mode where ``class_heat``
    reads them (Triple Net)"""

    def tensors(self) -> dict[str, Tensor]:
        """The single-tensor parts that there are, by name: what an exported graph gives."""
        names = ("logits", "embedding", "segmentation", "attention", "reconstruction")
        return {name: part for name in names if (part := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Answer:
    """What one pass gives in evaluation: the outputs, where the network looked, and what it saw there."""

    outputs: Outputs
    heat: Tensor
    """(B, H, W) in 0..1 on an absolute scale; (B, T, H, W) in 3D"""
    features: Tensor
    """(B, D) the last convolutional features, pooled"""
    class_heat: Tensor | None = None
    """As ``heat``, of a class: what speaks for it, where ``heat`` is the same whatever class; None where it is not"""


class Network(nn.Module):
    """A method: images in, ``Outputs`` and an explanation out, both from one pass.

    ``images`` are normalised: grey in 0..1 minus the mean image, (B, 1, H, W), or (B, 1, T, H, W) for a 3D
    method. Copying grey to the three channels that ImageNet weights expect is the network's own business. A
    network whose ``channels`` is 2 reads a mask (0 or 1) as its second channel: a 3D one the lung, a 2D one the true
    infection, which no new scan has.

    In evaluation mode a patient's outputs do not depend on the other patients of the batch; an image with
    NaN in it gives NaN logits for itself and for no other.

    A method says what is its own: ``decide`` and ``heat``, ``class_heat`` where ``heat`` has no class, and ``encode``
    where it is more than its ``encoder``.
    """

    dimensions: ClassVar[int] = 2
    smallest: ClassVar[int] = 32
    """pixels; the least H and W"""
    former_names: ClassVar[Mapping[str, str]] = {}
    """What the names of tensors began with in files of earlier versions -> what they begin with now"""

    def __init__(self, classes: int, channels: int = 1) -> None:
        super().__init__()
        if classes < 2:
            raise BadInput(f"{classes} classes", do="a classifier needs two or more")
        self.classes = classes
        self.channels = channels
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
            lambda _self, state, *_: self.rename(state)
        )

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (B, D, ...), the deepest last: what outputs, heat map and features are made of."""
        maps = self.get_submodule("encoder")(images)
        return maps if isinstance(maps, tuple) else (maps,)

    @abstractmethod
    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:
        """Class scores and whatever else the method computes.

        :param maps: of ``encode``
        :param size: of the images: (H, W), or (T, H, W)
        """

    @abstractmethod
    def heat(self, maps: tuple[Tensor, ...], outputs: Outputs, size: Sequence[int], target: Tensor | None) -> Tensor:
        """The heat map of ``predict_and_explain``, from what the pass has computed already."""

    def class_heat(
        self,
        maps: tuple[Tensor, ...],  # noqa: ARG002 - a network whose heat has no class reads them
        outputs: Outputs,  # noqa: ARG002
        size: Sequence[int],  # noqa: ARG002
        target: Tensor | None,  # noqa: ARG002
    ) -> Tensor | None:
        """A second map, of a class, for a network whose ``heat`` is the same whatever class; None for others.

        ``heat`` answers where there is infection, this why that class: the share of the class's odds that rests on
        each place, on the same scale as Grad-CAM and from the same pass.

        :param target: (B,) class; the predicted one by default
        """
        return None

    def forward(self, images: Tensor) -> Outputs:
        """What a training reads."""
        self.check(images)
        return self.decide(self.encode(images), images.shape[2:])

    @torch.no_grad()
    def answer(self, images: Tensor, target: Tensor | None = None) -> Answer:
        """Outputs, heat maps and features of each image.

        Call it in evaluation mode. It works under ``no_grad`` and ``inference_mode``, and has no gradient itself.

        :param target: (B,) class to explain; the predicted one by default. An attention map ignores it,
            and the class's evidence beside it does not.
        """
        self.check(images)
        maps, size = self.encode(images), images.shape[2:]
        outputs = self.decide(maps, size)
        return Answer(
            outputs,
            heat=self.heat(maps, outputs, size, target),
            features=self.pooled(maps, size),
            class_heat=self.class_heat(maps, outputs, size, target),
        )

    def predict_and_explain(self, images: Tensor, target: Tensor | None = None) -> tuple[Outputs, Tensor]:
        """The outputs and the heat maps of ``answer``."""
        answer = self.answer(images, target)
        return answer.outputs, answer.heat

    def explain(self, images: Tensor, target: Tensor | None = None) -> Tensor:
        """The heat maps of ``predict_and_explain`` alone."""
        return self.predict_and_explain(images, target)[1]

    def features(self, images: Tensor) -> Tensor:
        """(B, D) the last convolutional features after global average pooling (Fig. 4)."""
        self.check(images)
        return self.pooled(self.encode(images), images.shape[2:])

    def pooled(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Tensor:  # noqa: ARG002 - some need it
        """``features`` from maps that have been computed already."""
        return pool(maps[-1])

    def deepest_cells(self) -> tuple[Sequence[float], Sequence[float]]:
        """Where the cells of the deepest of ``encode``'s maps look: pixels between them, and the first one's pixel.

        :returns: strides and first cells along each axis of an image, as ``upsample_to_image`` takes them
        """
        cells: tuple[list[float], list[float]] = self.get_submodule("encoder").deepest_cells()  # type: ignore[operator]
        return cells

    def rename(self, state: dict[str, Named]) -> None:
        """Give tensors from a file of an earlier version their present names, in place."""
        for former, now in self.former_names.items():
            for name in [name for name in state if name.startswith(former)]:
                state[now + name.removeprefix(former)] = state.pop(name)

    def encoder_state(self) -> dict[str, Tensor]:
        """The tensors of the encoder, by the names and with the shapes that pretrained weights must have."""
        return self.get_submodule("encoder").state_dict()

    def load_encoder(self, state: dict[str, Tensor]) -> None:
        """Start every copy of the encoder that the method has from these weights.

        :param state: as ``encoder_state`` gives them, nothing missing and nothing else
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


class GradCamNetwork(Network):
    """A method that classifies its deepest map, and is explained by Grad-CAM on it."""

    strides: Sequence[float]
    """Pixels between neighbouring cells of the deepest map, along each axis"""
    first: Sequence[float]
    """Pixel at the centre of its first cell, along each axis"""

    def deepest_cells(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.strides, self.first

    @abstractmethod
    def classify(self, deep: Tensor) -> Tensor:
        """The deepest map (B, D, ...) -> (B, C) class scores."""

    def decide(self, maps: tuple[Tensor, ...], size: Sequence[int]) -> Outputs:  # noqa: ARG002 - nothing is drawn
        return Outputs(logits=self.classify(maps[-1]))

    def heat(
        self,
        maps: tuple[Tensor, ...],
        outputs: Outputs,  # noqa: ARG002 - the head is differentiated, not its result
        size: Sequence[int],
        target: Tensor | None,
    ) -> Tensor:
        return upsample_to_image(grad_cam_heat(maps[-1], self.classify, target), size, self.strides, self.first)
