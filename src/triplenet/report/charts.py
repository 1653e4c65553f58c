"""Charts as inline SVG that take their colours from the page, so that they follow light, dark and print."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from triplenet.report.markup import Markup, element

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib wants colours, the page has names for them: each name is drawn in a colour used for nothing else.
_INK, _QUIET, _RULE = "#010101", "#020202", "#030303"
_SERIES = ("#0a0101", "#0a0202", "#0a0303", "#0a0404")
_VARIABLES = {_INK: "--ink", _QUIET: "--quiet", _RULE: "--rule"} | {
    colour: f"--series-{number}" for number, colour in enumerate(_SERIES, start=1)
}
# Not by colour alone.
_DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))


#: All charts are equally wide and high, so that letters have one size in all of them.
SIDE_IN = 3.5


@dataclass(frozen=True)
class Curve:
    """One line: x and y, equally long."""

    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"{len(self.x)} x for {len(self.y)} y")


def line_chart(
    curves: Mapping[str, Curve],
    *,
    x_label: str,
    y_label: str,
    description: str,
    unit_square: bool = False,
    y_limits: tuple[float, float] | None = None,
) -> Markup:
    """Lines in one chart, each with its name in the legend.

    :param description: what the chart shows, for those who do not see it
    :param unit_square: both axes 0..1, equally long, with the diagonal: a ROC
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "text.parse_math": False,  # a $ in a name is a $
        "svg.fonttype": "none",
        "svg.hashsalt": "triplenet",
        "font.size": 9.5,
        "axes.linewidth": 0.8,
        "text.color": _INK,
        "axes.labelcolor": _QUIET,
        "xtick.labelcolor": _QUIET,
        "ytick.labelcolor": _QUIET,
        "axes.edgecolor": _QUIET,
        "xtick.color": _QUIET,
        "ytick.color": _QUIET,
        "grid.color": _RULE,
        "grid.linewidth": 0.8,
        "path.simplify": True,
    }
    with rc_context(settings):
        figure = Figure(figsize=(SIDE_IN, SIDE_IN), layout="constrained")
        axes = figure.add_subplot()
        _style(axes, x_label, y_label)
        if unit_square:
            axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        elif y_limits is not None:
            axes.set_ylim(*y_limits)
        for number, (name, curve) in enumerate(curves.items()):
            # The first lies on top, so that where lines run together both can be seen.
            axes.plot(
                curve.x,
                curve.y,
                color=_SERIES[number % len(_SERIES)],
                linestyle=_DASHES[number % len(_DASHES)],
                linewidth=1.9,
                label=name,
                clip_on=False,
                zorder=10 - number,
            )
        if curves:
            key = axes.legend(frameon=False, loc="lower right" if unit_square else "best", handlelength=2.6)
            key.set_in_layout(False)  # a long name must not squeeze the axes
        buffer = StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline(buffer.getvalue(), description)


def _style(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(length=3, width=0.8)


def _inline(svg: str, description: str) -> Markup:
    """Matplotlib's SVG document as an element of the page."""
    inner = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', inner)
    content = inner[inner.index(">") + 1 : inner.rindex("</svg>")]
    content = re.sub(r"<(metadata|style)\b.*?</\1>", "", content, flags=re.DOTALL)
    # Names of groups mean nothing here and would stand twice on a page with two charts. What is referred to is named
    # by its content, so that the same name is the same thing.
    referred = set(re.findall(r'(?:url\(#|href="#)([^")]+)', content))
    content = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referred else "", content)
    content = content.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        content = content.replace(colour, f"var({variable})")
    content = re.sub(r"font-family: [^;\"]+", "font-family: inherit", content)
    label = element("title", description)
    opening = element("svg", viewBox=box[1] if box else None, class_="chart", role="img", aria_label=description)
    return Markup(opening.removesuffix("</svg>") + label + content + "</svg>")
