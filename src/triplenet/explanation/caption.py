"""What a heat map shows, in words that a reader of the picture needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from triplenet.catalog import Explanation


@dataclass(frozen=True)
class Caption:
    """The words that go with one heat map."""

    name: str
    """Of the way it was made, for a column of pictures."""
    title: str
    """What is shown, with the class where it matters."""
    quantity: str
    """What a value between 0 and 1 is, beside the colour bar."""
    note: str
    """How to read it, one or two sentences."""
    depends_on_class: bool
    """Whether another class would give another map."""


_NOTES = {
    "attention": (
        "attention map",
        "infection probability",
        "The attention map is the infection probability that the segmentation branch gives each pixel. "
        "It does not depend on the class predicted.",
        False,
    ),
    "abn-map": (
        "ABN attention map",
        "attention",
        "The map of the attention branch, on its own scale from 0 to 1. It is not specific to a class.",
        False,
    ),
    "grad-cam": (
        "Grad-CAM",
        "share of the class's odds",
        "The value at a place is the share of the class's odds that rests on it: how much of them would go if a "
        "sixteenth of the image, everywhere like that place, counted for nothing. It is coarse, and not a probability "
        "of infection.",
        True,
    ),
    "cam": (
        "CAM",
        "share of the class's odds",
        "The value at a place is the share of the class's odds that would rest on it if it decided: as the strongest "
        "place of the image (max pooling), or as a sixteenth of the image like it (average pooling). It is not a "
        "probability of infection.",
        True,
    ),
}


CLASS_EVIDENCE = Caption(
    "class evidence",
    "class evidence",
    "share of the class's odds",
    "The class evidence is what speaks for the class against the others: the value at a place is the share of the "
    "class's odds that would go if a sixteenth of the image, everywhere like that place, counted for nothing. It is "
    "coarse, and not a probability of infection.",
    depends_on_class=True,
)
"""Of the second map of a method whose heat map is the same whatever class (``networks.base.Network.class_heat``)"""


def class_evidence(target: str) -> Caption:
    """The caption of the second map.

    :param target: name of the class explained
    """
    return replace(CLASS_EVIDENCE, title=f"Class evidence for class {target}")


def caption(explanation: Explanation, target: str | None = None) -> Caption:
    """The caption of a heat map.

    :param target: name of the class explained; left out of the title when the map does not depend on one
    """
    name, quantity, note, depends = _NOTES[explanation]
    if explanation == "attention":
        title = f"Infection probability ({name})"
    elif depends and target is not None:
        title = f"{name} for class {target}"
    else:
        title = name
    return Caption(name, title, quantity, note, depends)
