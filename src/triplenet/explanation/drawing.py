"""Text, colour bars and PNG files, with Pillow; letters in DejaVu Sans, which Matplotlib carries."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triplenet.explanation.colour import Colours
from triplenet.explanation.overlay import ABSOLUTE, Style, overlay
from triplenet.files import whole_file

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Theme:
    """The few colours of a drawn page."""

    page: Colour
    ink: Colour
    quiet: Colour
    """Secondary text; still 4.5:1 on the page."""
    rule: Colour


LIGHT = Theme((255, 255, 255), (23, 26, 31), (92, 99, 110), (214, 218, 224))
DARK = Theme((14, 16, 20), (236, 239, 244), (160, 168, 180), (52, 58, 68))


@cache
def font(size: int) -> Font:
    """DejaVu Sans, else Pillow's own typeface, which knows few letters; without FreeType that has one size only."""
    file = _dejavu()
    try:
        return ImageFont.load_default(size) if file is None else ImageFont.truetype(str(file), size)
    except ImportError:
        return ImageFont.load_default(size)


def _dejavu() -> Path | None:
    """The file within Matplotlib, which comes with torch in the extra ``train`` and is not imported for it."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return file if file.is_file() else None


def printable(text: str) -> str:
    """The text as the typeface can draw it, on one line: a letter that it lacks without its accents, else as ``?``."""
    flat = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(map(_drawn_as, flat))


@cache
def _drawn_as(letter: str) -> str:
    if _has(letter):
        return letter
    return "".join(filter(_has, unicodedata.normalize("NFKD", letter).translate(_PLAIN))) or "?"


# What Unicode does not take apart.
_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "×": "x", "’": "'", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ß": "ss"}
)


def _has(letter: str) -> bool:
    """Whether the typeface draws the letter as another shape than that of letters it does not know."""
    if letter == " ":
        return True
    typeface = font(32)
    unknown, drawn = typeface.getmask("\U0010ffff"), typeface.getmask(letter)
    return letter.isprintable() and (drawn.size, bytes(drawn)) != (unknown.size, bytes(unknown))


def text_width(text: str, size: int) -> int:
    """Width of one line in pixels."""
    return int(np.ceil(font(size).getlength(printable(text))))


def wrapped(text: str, size: int, width: int) -> list[str]:
    """The text cut at spaces into lines that fit into ``width`` pixels; a longer word gets a line of its own."""
    lines: list[str] = []
    for word in printable(text).split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def write_line(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: Colour) -> None:
    """One line of text, its top left corner at ``at``."""
    draw.text(at, printable(text), font=font(size), fill=colour)


def colour_bar(length: int, thickness: int, style: Style = ABSOLUTE) -> Colours:
    """The scale from 1 (top) to 0 (bottom), (length, thickness, 3), as it looks over dark and over bright tissue.

    Where the share of colour rises with the heat, the colour seen depends on what is under it: the left half of the
    bar lies over black, the right half over white.
    """
    heat = np.repeat(np.linspace(1.0, 0.0, length)[:, None], thickness, axis=1)
    under = np.zeros((length, thickness), dtype=np.uint8)
    under[:, thickness // 2 :] = 255
    return overlay(under, heat, style)


def draw_colour_bar(
    canvas: Image.Image, box: tuple[int, int, int, int], theme: Theme, *, style: Style = ABSOLUTE, size: int = 18
) -> None:
    """A vertical colour bar in ``box`` (left, top, right, bottom), ticks 0, 0.5 and 1 to its right.

    Where each map is divided by its own maximum, the ticks are parts of that.
    """
    left, top, right, bottom = box
    canvas.paste(Image.fromarray(colour_bar(bottom - top, right - left, style)), (left, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left - 1, top - 1, right, bottom), outline=theme.rule)
    ticks = ("1", "0.5", "0") if style.scale == "absolute" else ("max", "half", "0")
    for value, label in zip((1.0, 0.5, 0.0), ticks, strict=True):
        y = round(top + (1.0 - value) * (bottom - 1 - top))
        draw.line((right + 1, y, right + 7, y), fill=theme.ink, width=2)
        draw.text((right + 12, y), label, font=font(size), fill=theme.ink, anchor="lm")


def write_png(path: Path, picture: Image.Image | Colours) -> None:
    """Write a PNG, whole or not at all, without any metadata.

    :raises OutputFailed: no room, no permission
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with whole_file(path) as temporary:
        image.save(temporary, format="PNG")
