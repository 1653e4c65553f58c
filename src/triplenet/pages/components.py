"""The pieces pages are made of: tables, figures, facts, the picture of a case, probability bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from triplenet.explanation.drawing import colour_bar
from triplenet.explanation.overlay import ABSOLUTE, Style
from triplenet.explanation.panel import Tile
from triplenet.pages.markup import Child, Markup, element, join, picture


@dataclass(frozen=True)
class Fact:
    """A number that stands out, with what it is above it and what it means below."""

    name: str
    value: str
    note: str = ""


def decimal(value: float | None, places: int = 2) -> str:
    """A number with fixed places and a true minus; a dash where there is none."""
    return "–" if value is None else f"{value:.{places}f}".replace("-", "\u2212")


def percent(value: float | None) -> str:
    """A share in whole per cent; a dash where there is none."""
    return "–" if value is None else f"{value:.0%}".replace("%", "\u202f%")


def table(
    header: Sequence[str],
    rows: Sequence[tuple[Child, Sequence[Markup]]],
    *,
    label: str,
    caption: Child | Sequence[Child] = None,
) -> Markup:
    """A table whose first column names the row.

    :param header: one text a column, the first one's may be empty
    :param rows: name and cells (``td`` elements)
    :param label: what the table is, in a few words
    """
    # A column of numbers is aligned as its numbers are.
    numbers = {
        at for _, cells in rows for at, cell in enumerate(cells, start=1) if cell.startswith('<td class="number"')
    }
    head = [
        element("th", text, scope="col", class_="number" if at in numbers else None) for at, text in enumerate(header)
    ]
    body = [element("tr", element("th", name, scope="row"), cells) for name, cells in rows]
    return _scrolling(
        element(
            "table",
            element("caption", caption) if caption else None,
            element("thead", element("tr", head)),
            element("tbody", body),
        ),
        label,
    )


def pairs(values: Mapping[str, Child], label: str) -> Markup:
    """A table of names and values, without a header."""
    rows = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in values.items()]
    return _scrolling(element("table", element("tbody", rows), class_="pairs"), label)


def facts(items: Sequence[Fact]) -> Markup:
    """A few numbers side by side."""
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", item.name),
                element("dd", item.value),
                element("dd", item.note) if item.note else None,
            )
            for item in items
        ],
        class_="facts",
    )


def figure(content: Markup, caption: Child | Sequence[Child] = None, *, class_: str | None = None) -> Markup:
    """A picture or chart with its caption."""
    return element("figure", content, element("figcaption", caption) if caption else None, class_=class_)


def tile_figure(tile: Tile, alt: str, *, class_: str | None = None, jpeg: bool = False) -> Markup:
    """The picture of a case with its lines under it.

    :param alt: what it shows, for those who do not see it
    :param jpeg: as ``picture`` has it
    """
    words = join(*([element("strong", tile.title)] if tile.title else []), *tile.lines, by="<br>")
    return figure(picture(np.ascontiguousarray(tile.picture), alt, jpeg=jpeg), words if words else None, class_=class_)


def paragraph(*children: Child, class_: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", children, class_=class_)


def probability_bars(probabilities: Mapping[str, float]) -> Markup:
    """One bar a class, its length the probability."""
    rows = [
        join(
            element("span", name),
            element("span", element("i", style=f"--share: {value:.4f}"), class_="bar", aria_hidden="true"),
            element("span", decimal(value)),
        )
        for name, value in probabilities.items()
    ]
    return element("div", rows, class_="bars")


def heat_scale(notes: Sequence[Child], style: Style = ABSOLUTE) -> Markup:
    """The colour bar of the heat maps on the page, lying, 0 to 1 or to their maxima, with how to read it."""
    absolute = style.scale == "absolute"
    ticks, to = (("0", "0.5", "1"), "1") if absolute else (("0", "half", "own maximum"), "a map's own maximum")
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(colour_bar(320, 24, style), -1)))
    return element(
        "div",
        element(
            "div",
            picture(lying, f"Colour scale of the heat maps from 0 to {to}, over dark and over bright tissue"),
            element("div", [element("span", tick) for tick in ticks], class_="ticks"),
        ),
        [element("p", note, class_="quiet") for note in notes],
        class_="scale",
    )


def outline_key(what: str) -> Markup:
    """What the outline drawn into pictures is."""
    return element("span", element("span", class_="key outline", aria_hidden="true"), f"outline: {what}")


def commands(lines: Sequence[str]) -> Markup:
    """Command lines to copy."""
    return element("pre", element("code", "\n".join(lines)), tabindex=0)


def _scrolling(content: Markup, label: str) -> Markup:
    # A wide table scrolls by itself, also by keyboard, instead of widening the page.
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)
