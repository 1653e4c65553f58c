"""Pictures in rows, as in Figs. 6-8: what went in, what each method looked at, and how to read the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from triplenet.explanation.colour import Colours
from triplenet.explanation.drawing import LIGHT, Colour, Theme, draw_colour_bar, wrapped, write_line
from triplenet.explanation.overlay import ABSOLUTE, Style


@dataclass(frozen=True)
class Tile:
    """One picture (H, W, 3) with the lines under it."""

    picture: Colours
    lines: tuple[str, ...] = ()
    title: str = ""
    """Over the lines, for a picture that has no heading above its column"""


#: Where a row has nothing to show.
BLANK = Tile(np.full((1, 1, 3), 255, dtype=np.uint8))


def panel(
    rows: Sequence[Sequence[Tile]],
    *,
    headings: Sequence[str] = (),
    note: str = "",
    style: Style = ABSOLUTE,
    side: int = 256,
    theme: Theme = LIGHT,
    scale: bool = True,
) -> Image.Image:
    """A grid of pictures with one colour bar, drawn as an image.

    :param rows: tiles; all rows equally long
    :param headings: one above each column
    :param note: how to read the heat maps, under the grid; what their style has to say is added
    :param side: pixels of a picture's longer side
    :param scale: with the colour bar, which pictures without heat do not need
    """
    if not rows or not rows[0] or len({len(row) for row in rows}) != 1:
        raise ValueError("a panel needs rows of equal length")
    if headings and len(headings) != len(rows[0]):
        raise ValueError(f"{len(headings)} headings for {len(rows[0])} columns")
    gap, margin, text, bar = max(side // 32, 4), max(side // 12, 12), max(side // 16, 12), max(side // 14, 14)
    line = round(text * 1.35)
    cells = [[_written(tile, text, side, theme) for tile in row] for row in rows]
    tops = [wrapped(words, text, side) for words in headings]
    head = max((len(cut) for cut in tops), default=0) * line
    heights = [side + gap + line * max(len(cell) for cell in row) for row in cells]
    width = 2 * margin + len(rows[0]) * (side + gap) + (bar + 3 * margin if scale else 0)
    note = " ".join(words for words in (note, style.note if scale else "") if words)
    notes = wrapped(note, text, width - 2 * margin) if note else []
    height = 2 * margin + head + sum(heights) + gap * len(rows) + line * len(notes)
    canvas = Image.new("RGB", (width, height), theme.page)
    draw = ImageDraw.Draw(canvas)
    for column, cut in enumerate(tops):
        for number, words in enumerate(cut):
            y = margin + head - line * (len(cut) - number)
            write_line(draw, (margin + column * (side + gap), y), words, text, theme.ink)
    y = margin + head
    for tiles, cell, tall in zip(rows, cells, heights, strict=True):
        for column, (tile, words_below) in enumerate(zip(tiles, cell, strict=True)):
            x = margin + column * (side + gap)
            canvas.paste(_fitted(tile.picture, side), (x, y))
            for number, (words, colour) in enumerate(words_below):
                write_line(draw, (x, y + side + gap // 2 + number * line), words, text, colour)
        y += tall + gap
    left = margin + len(rows[0]) * (side + gap) + margin // 2
    if scale:
        draw_colour_bar(canvas, (left, margin + head, left + bar, margin + head + side), theme, style=style, size=text)
    for number, words in enumerate(notes):
        write_line(draw, (margin, y + number * line), words, text, theme.quiet)
    return canvas


def _written(tile: Tile, size: int, width: int, theme: Theme) -> list[tuple[str, Colour]]:
    """The lines under a picture, none wider than it, each with its colour."""
    titles = [(cut, theme.ink) for cut in wrapped(tile.title, size, width)] if tile.title else []
    return titles + [(cut, theme.quiet) for words in tile.lines for cut in wrapped(words, size, width)]


def _fitted(picture: Colours, side: int) -> Image.Image:
    """The picture in a square of ``side`` pixels, its proportions kept, black around it."""
    high, wide = picture.shape[:2]
    scale = side / max(high, wide)
    size = (max(round(wide * scale), 1), max(round(high * scale), 1))
    square = Image.new("RGB", (side, side))
    resized = Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BICUBIC)
    square.paste(resized, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square
