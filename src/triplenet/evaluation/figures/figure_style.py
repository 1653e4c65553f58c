"""How figures look and are written: PNG, SVG, and the numbers as CSV. Matplotlib without pyplot.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart, and no method differs by colour alone.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from triplenet import catalog
from triplenet.explanation.panel import Tile
from triplenet.files import whole_file, write_csv, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "figures"
DPI = 160
QUIET, RULE = "#5f6670", "#e3e6ea"
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
#: Of a class, by its number; with markers, not by colour alone.
CLASS_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
Dash = str | tuple[int, tuple[float, ...]]
_DASHED: Dash = (0, (5, 2))
_DOTTED: Dash = (0, (1, 1.5))
#: Of lines in one figure, beside ``CLASS_COLOURS``.
DASHES: tuple[Dash, ...] = ("-", _DASHED, "-.", _DOTTED, (0, (6, 1, 1, 1, 1, 1)), (0, (3, 3)), (0, (8, 2)))
#: The same in every figure. Volumes dotted, the paper's own solid, the baseline black.
_LINES: Mapping[str, tuple[str, Dash]] = {
    "resnet3d": (ORANGE, _DOTTED),
    "covnet": (SKY, _DOTTED),
    "decovnet": (GREEN, _DOTTED),
    "baseline": (BLACK, "-"),
    "wsdl": (ORANGE, _DASHED),
    "abn": (SKY, _DASHED),
    "mtdl": (GREEN, _DASHED),
    "double": (PURPLE, "-"),
    "triple": (BLUE, "-"),
    "triple-wsdl": (VERMILION, (0, (7, 1.5, 1.5, 1.5))),
}


@dataclass(frozen=True)
class Drawn:
    """A figure as it was written."""

    name: str
    title: str
    caption: str
    png: Path
    cases: tuple[tuple[Tile, ...], ...] = ()
    """What the picture is made of, a row a patient, for a page that lays it out as wide as its window"""
    answer: str = ""
    """What it shows in a sentence, for the head of a page"""
    own_maximum: tuple[tuple[Tile, ...], ...] = ()
    """The same cases with each map divided by its own maximum"""
    also: tuple[str, ...] = ()
    """Names of pictures beside it that belong to it"""


def line_style(method: str, among: Iterable[str] = ()) -> tuple[str, Dash]:
    """Colour and dash of a method's line.

    :param among: all that a figure shows, so that variants of a method differ from one another
    """
    if method in _LINES:
        return _LINES[method]
    others = [name for name in dict.fromkeys([*catalog.METHODS, *among]) if name not in _LINES]
    number = others.index(method) if method in others else len(others)
    return CLASS_COLOURS[number % len(CLASS_COLOURS)], DASHES[-1 - number // len(CLASS_COLOURS) % 2]


@contextmanager
def letters() -> Iterator[None]:
    """Settings of every figure; the same figure is the same bytes."""
    from matplotlib import rc_context

    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "legend.fontsize": 8.5,
        "axes.edgecolor": QUIET,
        "axes.linewidth": 0.8,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "grid.color": RULE,
        "svg.fonttype": "none",
        "svg.hashsalt": "triplenet",
        "text.parse_math": False,  # a $ in a name is a $
        "savefig.bbox": "tight",  # legends beside the axes
        "savefig.pad_inches": 0.08,
    }
    with rc_context(settings):
        yield


def panels(count: int, *, across: int, width_in: float, height_in: float) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` equal axes, ``across`` in a row, each of this size."""
    from matplotlib.figure import Figure

    columns = min(across, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width_in * columns, height_in * rows), layout="constrained")
    every = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    for axes in every:
        plain(axes)
    return figure, every


def plain(axes: Axes) -> None:
    """Axes without a frame, with a quiet grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, linewidth=0.7)
    axes.set_axisbelow(True)


def legend_beside(axes: Axes, title: str | None = None) -> None:
    """The legend right of the axes, where it hides nothing."""
    key = axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, title=title, handlelength=2.8)
    key.set_alignment("left")
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.set_layout_engine("none")  # the axes keep their size, and the page grows


def write(folder: Path, name: str, figure: Figure, rows: Sequence[Mapping[str, object]]) -> Path:
    """NAME.png, NAME.svg and NAME.csv, each whole or not at all; gives the PNG's path."""
    png = folder / f"{name}.png"
    with whole_file(png) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    with whole_file(folder / f"{name}.svg") as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    write_csv(folder / f"{name}.csv", rows)
    return png


def write_picture(folder: Path, name: str, picture: Image.Image, rows: Sequence[Mapping[str, object]]) -> Path:
    """The same for a picture of pixels, which the SVG holds as such."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    png = folder / f"{name}.png"
    with whole_file(png) as temporary:
        temporary.write_bytes(buffer.getvalue())
    size = f'width="{picture.width}" height="{picture.height}"'
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    write_text(
        folder / f"{name}.svg",
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {picture.width} {picture.height}">'
        f'<image {size} href="data:image/png;base64,{data}"/></svg>\n',
    )
    write_csv(folder / f"{name}.csv", rows)
    return png
