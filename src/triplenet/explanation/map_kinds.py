"""The kinds of heat map that can be asked for by name: pure data, without torch.

How each is computed: ``cam_family`` (from the deepest features and their gradient) and ``perturbation`` (from what is
said of changed images). ``attribution`` makes them on an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from triplenet.catalog import Explanation
from triplenet.errors import UnknownName
from triplenet.explanation.caption import CLASS_EVIDENCE, Caption, caption

Scale = Literal["absolute", "own maximum"]
"""Whether a value means the same in every image, or the image's own highest is 1."""
OWN, CLASS = "own", "class"


@dataclass(frozen=True)
class MapKind:
    """One kind of heat map."""

    name: str
    title: str
    source: str
    """Who described it"""
    depends_on_class: bool
    scale: Scale
    note: str
    """How to read it, a sentence."""
    needs: str = ""
    """The package beyond torch, of the extra ``explain``"""

    @property
    def quantity(self) -> str:
        """What a value between 0 and 1 is."""
        return "share of the class's odds" if self.scale == "absolute" else "share of the image's own maximum"

    def caption(self, explanation: Explanation, target: str | None = None) -> Caption:
        """The words that go with it.

        :param explanation: of the method, whose own map ``own`` is
        :param target: name of the class explained
        """
        if self.name == OWN:
            return caption(explanation, target)
        title = f"{self.title} for class {target}" if self.depends_on_class and target is not None else self.title
        return Caption(self.title, title, self.quantity, self.note, self.depends_on_class)


_STRETCHED = "Its highest value is 1 in every image, whatever speaks for the class there."
_PATCH = (
    "The value at a place is the share of the class's odds that would go if a sixteenth of the image, everywhere like "
    "that place, counted for nothing."
)

MAPS: Mapping[str, MapKind] = {
    kind.name: kind
    for kind in (
        MapKind(OWN, "the method's own map", "the method", False, "absolute", "The map that the method comes with."),
        MapKind(CLASS, "Class evidence", "the method", True, "absolute", CLASS_EVIDENCE.note),
        MapKind("grad-cam", "Grad-CAM", "Selvaraju et al. 2017", True, "absolute", _PATCH),
        MapKind(
            "grad-cam++",
            "Grad-CAM++",
            "Chattopadhay et al. 2018",
            True,
            "own maximum",
            f"Features weighted by their positive gradients, each by its share. {_STRETCHED}",
        ),
        MapKind("hirescam", "HiResCAM", "Draelos and Carin 2020", True, "absolute", _PATCH),
        MapKind(
            "layer-cam",
            "Layer-CAM",
            "Jiang et al. 2021",
            True,
            "absolute",
            f"{_PATCH} Only what speaks for the class is counted, not what speaks against it at the same place.",
        ),
        MapKind(
            "eigen-cam",
            "Eigen-CAM",
            "Muhammad and Yeasin 2020",
            False,
            "own maximum",
            f"What the features have most in common; the same for every class. {_STRETCHED}",
        ),
        MapKind(
            "score-cam",
            "Score-CAM",
            "Wang H. et al. 2020",
            True,
            "own maximum",
            f"Features weighted by how probable the class is where they alone are shown. {_STRETCHED}",
        ),
        MapKind(
            "occlusion",
            "Occlusion",
            "Zeiler and Fergus 2014",
            True,
            "absolute",
            "The value at a place is the share of the class's odds that goes when a window there is covered by the "
            "mean image, over all windows that cover it.",
            "captum",
        ),
        MapKind(
            "integrated-gradients",
            "Integrated gradients",
            "Sundararajan et al. 2017",
            True,
            "own maximum",
            f"What each pixel adds to the class's odds on the way from the mean image. {_STRETCHED}",
            "captum",
        ),
    )
}


def find_map(name: str) -> MapKind:
    """The kind of this name.

    :raises UnknownName: there is none
    """
    if name in MAPS:
        return MAPS[name]
    near = get_close_matches(name, MAPS, n=1)
    do = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(MAPS)}"
    raise UnknownName("no such kind of heat map", where=repr(name), do=do)
