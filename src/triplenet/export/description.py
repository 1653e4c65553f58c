"""What an exported file takes and gives, in words and axes."""

from __future__ import annotations

from dataclasses import dataclass, field

from triplenet import catalog
from triplenet.explanation.caption import CLASS_EVIDENCE, caption
from triplenet.model import ModelCard

BATCH = "batch"
Axis = str | int


@dataclass(frozen=True)
class Port:
    """One input or output of a graph."""

    name: str
    type: str
    axes: tuple[Axis, ...]
    """Sizes; ``batch`` is any"""
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.type} ({', '.join(map(str, self.axes))})"


@dataclass(frozen=True)
class Written:
    """What was written."""

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    differences: dict[str, float] = field(default_factory=dict)
    """output -> its greatest difference from this package's own; empty where nothing was computed anew"""
    facts: dict[str, str] = field(default_factory=dict)
    """What else there is to say of the file."""


def input_ports(card: ModelCard, channels: int = 1) -> tuple[Port, ...]:
    """What a graph takes.

    :param channels: of the network; with 2 it reads the lung mask too
    """
    axes = _axes(card, 1)
    lower, upper = card.window_hu
    grey = f"grey: {lower:g} HU and below is 0, {upper:g} HU and above 255, linear between; not normalised, not cropped"
    ports = (Port("images", "uint8", axes, grey),)
    return ports if channels == 1 else (*ports, Port("lungs", "uint8", axes, "1 in the lung, 0 elsewhere"))


def output_ports(card: ModelCard, names: tuple[str, ...]) -> tuple[Port, ...]:
    """What a graph gives, of those outputs that it has."""
    classes = len(card.classes)
    words = caption(catalog.method(card.method).explanation)
    of = " of the most probable class" if words.depends_on_class else ""
    calibrated = "" if card.temperature is None else f", at the temperature {card.temperature:.3g}"
    every_class = ", ".join(card.classes)
    known = {
        "logits": Port("logits", "float32", (BATCH, classes), "class scores before softmax"),
        "probabilities": Port("probabilities", "float32", (BATCH, classes), f"of {every_class}{calibrated}"),
        "heat": Port(
            "heat",
            "float32",
            _axes(card),
            f"{words.name}{of}: {words.quantity}, 0..1 on an absolute scale; 0 outside the crop",
        ),
        "class_heat": Port(
            "class_heat",
            "float32",
            _axes(card),
            f"{CLASS_EVIDENCE.name} of the most probable class: {CLASS_EVIDENCE.quantity}, 0..1 on an absolute scale; "
            "0 outside the crop",
        ),
        "segmentation": Port(
            "segmentation",
            "float32",
            _axes(card, len(catalog.SEGMENTATION_CLASSES)),
            f"probabilities of {', '.join(catalog.SEGMENTATION_CLASSES)}; 0 outside the crop",
        ),
        "attention": Port("attention", "float32", _axes(card), "attention map, 0..1; 0 outside the crop"),
        "distance": Port(
            "distance", "float32", (BATCH,), "Mahalanobis distance of the features from those of the training patients"
        ),
    }
    return tuple(known[name] for name in names)


def _axes(card: ModelCard, *channels: int) -> tuple[Axis, ...]:
    frames = (card.frames,) if card.dimensions == 3 else ()
    return (BATCH, *channels, *frames, card.size, card.size)
