"""The picture of a case (Figs. 6-8): the slice, where the model looked, the infection outlined, the words under each.

Whatever shows a case draws it here: the result of a new scan, the explanations of a run, the figures of a benchmark,
and the pages of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triplenet.explanation.cases import Case
from triplenet.explanation.colour import Colours
from triplenet.explanation.overlay import (
    ABSOLUTE,
    Grey,
    Heat,
    Mask,
    Style,
    enlarged,
    enlarged_mask,
    grey,
    outlined,
    overlay,
)
from triplenet.explanation.panel import Tile

#: One pixel of outline for so many of the picture's side.
_SIDE_PER_LINE = 300


@dataclass(frozen=True)
class CasePicture:
    """One slice, several times; each (side, side, 3) sRGB, black around a slice that is not square."""

    plain: Colours
    """As the network reads it"""
    outlined: Colours
    """With the infection's outline, where there is one"""
    hot: Colours
    """With the heat map over it, and the outline"""
    has_outline: bool
    class_hot: Colours | None = None
    """With the evidence for the class over it, and the outline, where the heat map is of no class"""


@dataclass(frozen=True)
class CaseTiles:
    """The same with what is to be said under each."""

    plain: Tile
    outlined: Tile
    hot: Tile
    has_outline: bool
    class_hot: Tile | None = None


def draw_case(
    image: Grey,
    heat: Heat,
    infection: Mask | None = None,
    *,
    side: int,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    style: Style = ABSOLUTE,
    class_heat: Heat | None = None,
) -> CasePicture:
    """Draw a slice.

    :param image: (H, W) uint8, windowed grey
    :param heat: (H, W) in 0..1
    :param infection: (H, W); None where nobody knows
    :param side: pixels of the picture's side
    :param spacing_mm: of the slice's rows and columns: proportions in mm are kept
    :param class_heat: as ``heat``, of a class, where there are both
    """
    shape = _shape(image.shape, spacing_mm, side)
    large = np.rint(enlarged(image, shape)).clip(0, 255).astype(np.uint8)
    plain = shown = grey(large)
    maps = [overlay(large, enlarged(each, shape), style) for each in (heat, class_heat) if each is not None]
    outline = infection is not None and bool(infection.any())
    if infection is not None and outline:
        mask = enlarged_mask(infection, shape)
        width = max(1, round(side / _SIDE_PER_LINE))
        shown, *maps = (outlined(each, mask, width=width) for each in (plain, *maps))
    hot, *second = (_on_square(each, side) for each in maps)
    return CasePicture(_on_square(plain, side), _on_square(shown, side), hot, outline, *second)


def case_tiles(
    case: Case, classes: tuple[str, ...], *, side: int, name: str | None = None, style: Style = ABSOLUTE
) -> CaseTiles:
    """Draw a patient of a run, with the words that belong under each picture.

    :param classes: of the run's task
    :param name: of the patient, where it may be told; else the number stands
    """
    drawn = draw_case(case.image, case.heat, case.infection, side=side, style=style, class_heat=case.class_heat)
    truth = "no finding" if case.label is None else _finding(case.patient.finding, classes[case.label])
    frame = () if case.frame is None else (f"frame {case.frame} from the feet: {case.frame_rule}",)
    who = (f"{name or f'patient {case.number}'}: {truth}", *frame)
    share, hit = case.map_scores.energy_in_lesion, case.map_scores.pointing_game
    inside = "" if share is None else f", {share:.0%} of it in the outline"
    right = "" if case.right is None else ", right" if case.right else ", wrong"
    says = f"{classes[case.predicted]} {case.probabilities[case.predicted]:.2f}{right}"
    peak = () if share is None or hit is None else (_peak(hit),)
    return CaseTiles(
        Tile(drawn.plain, who),
        Tile(drawn.outlined, (*who, *peak)),
        Tile(drawn.hot, (says, f"highest heat {case.heat.max():.2f}{inside}")),
        drawn.has_outline,
        None if drawn.class_hot is None else Tile(drawn.class_hot, (_evidence(case, classes),)),
    )


def outline_note(what: str = "the true infection") -> str:
    """What the outline is, for the words under a picture."""
    return f"Cyan outline: {what}."


def _evidence(case: Case, classes: tuple[str, ...]) -> str:
    """What there is to say under the evidence for a class."""
    assert case.class_heat is not None and case.class_target is not None
    return f"for {classes[case.class_target]}, highest {case.class_heat.max():.2f}"


def _peak(share: float) -> str:
    if share in (0, 1):
        return f"hottest pixel {'inside' if share else 'outside'}"
    return f"{share:.0%} of the hottest pixels inside"


def _finding(finding: str | None, label: str) -> str:
    return label if finding in (None, label) else f"{finding}, so {label}"


def _shape(shape: tuple[int, ...], spacing_mm: tuple[float, float], side: int) -> tuple[int, int]:
    """(H, W) in the picture: the longer side full."""
    high, wide = shape[0] * spacing_mm[0], shape[1] * spacing_mm[1]
    scale = side / max(high, wide)
    return max(1, round(high * scale)), max(1, round(wide * scale))


def _on_square(picture: Colours, side: int) -> Colours:
    square = np.zeros((side, side, 3), dtype=np.uint8)
    y, x = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    square[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return square
