"""The pieces pages are made of: tables, figures, facts, confusion matrices, probability bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from triplenet.explanation.drawing import colour_bar
from triplenet.explanation.overlay import ABSOLUTE, Style
from triplenet.report.markup import Child, Markup, element, join, picture


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; ``value`` None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


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


def interval(estimate: Estimate, places: int = 2) -> str:
    """The interval as text, empty when there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{decimal(estimate.low, places)} to {decimal(estimate.high, places)}"


def estimate_cell(estimate: Estimate | None, places: int = 2) -> Markup:
    """A table cell: the value and under it the interval."""
    if estimate is None:
        return element("td", "–", class_="number")
    between = interval(estimate, places)
    return element(
        "td",
        decimal(estimate.value, places),
        element("span", between, class_="interval") if between else None,
        class_="number",
    )


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


def figure(content: Markup, caption: Child | Sequence[Child] = None) -> Markup:
    """A picture or chart with its caption."""
    return element("figure", content, element("figcaption", caption) if caption else None)


def paragraph(*children: Child, class_: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", children, class_=class_)


def side_by_side(*items: Markup, three: bool = False) -> Markup:
    """Items in columns that fall below each other on a narrow screen."""
    return element("div", items, class_="side three" if three else "side")


def confusion_table(matrix: npt.ArrayLike, classes: Sequence[str], title: str) -> Markup:
    """A confusion matrix, rows truth, columns prediction; shaded by the share of the row.

    :param matrix: (C, C) counts
    """
    counts = np.asarray(matrix, dtype=np.int64)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"a matrix of shape {counts.shape} for {len(classes)} classes")
    totals = counts.sum(axis=1)
    rows = []
    for truth, name in enumerate(classes):
        cells = []
        for predicted in range(len(classes)):
            count = int(counts[truth, predicted])
            share = count / totals[truth] if totals[truth] else 0.0
            note = f"{percent(share)} of {totals[truth]}" if totals[truth] else "none"
            cells.append(element("td", str(count), element("small", note), style=f"--share: {share:.3f}"))
        rows.append(element("tr", element("th", f"truly {name}", scope="row"), cells))
    head = [element("td", "")] + [element("th", f"predicted {name}", scope="col") for name in classes]
    return element(
        "div",
        element("h3", title),
        _scrolling(
            element(
                "table",
                element("thead", element("tr", head)),
                element("tbody", rows),
                class_="confusion",
            ),
            f"Confusion matrix of {title}",
        ),
    )


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
    """The colour bar of the heat maps on the page, lying, 0 to 1, with how to read it."""
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(colour_bar(320, 24, style), -1)))
    return element(
        "div",
        element(
            "div",
            picture(lying, "Colour scale of the heat maps from 0 to 1, over dark and over bright tissue"),
            element("div", element("span", "0"), element("span", "0.5"), element("span", "1"), class_="ticks"),
        ),
        [element("p", note, class_="quiet") for note in notes],
        class_="scale",
    )


def outline_key(what: str) -> Markup:
    """What the outline drawn into pictures is."""
    return element("span", element("span", class_="key outline", aria_hidden="true"), f"outline: {what}")


def verdict(right: bool) -> Markup:
    """Whether a prediction was right, in a word and a sign."""
    return element("span", "right" if right else "wrong", class_=f"verdict {'right' if right else 'wrong'}")


def commands(lines: Sequence[str]) -> Markup:
    """Command lines to copy."""
    return element("pre", element("code", "\n".join(lines)), tabindex=0)


def _scrolling(content: Markup, label: str) -> Markup:
    # A wide table scrolls by itself, also by keyboard, instead of widening the page.
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)
