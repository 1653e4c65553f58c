"""How predicted probabilities are distributed within each true class (Van Calster et al. 2025)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triplenet.evaluation.figures.figure_style import CLASS_COLOURS, QUIET, Drawn, letters, panels, write
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 4
BINS = 20
#: Half of a class's line of the figure that its fullest bin takes.
_FULLEST = 0.42


def probabilities_figure(results: Results, folder: Path) -> Drawn | None:
    """A panel a method, a shape a true class: as wide at a probability as the class's patients are many there."""
    names = results.finished
    if not names:
        return None
    edges = np.linspace(0, 1, BINS + 1)
    classes = len(results.classes)
    rows: list[dict[str, object]] = []
    with letters():
        figure, every = panels(len(names), across=ACROSS, width_in=2.7, height_in=0.8 + 0.6 * classes)
        for number, (axes, name) in enumerate(zip(every, names, strict=True)):
            of_class = [class_probabilities(results.predictions[name], c, results.positive) for c in range(classes)]
            shares = [np.histogram(found, edges)[0] / max(1, len(found)) for found in of_class]
            fullest = max(1e-9, *(float(share.max()) for share in shares))
            for c, (found, share) in enumerate(zip(of_class, shares, strict=True)):
                _draw(axes, c, found, share * _FULLEST / fullest, edges)
                rows += _numbers(name, results.classes[c], found, share, edges)
            shown = results.classes if number % ACROSS == 0 else [""] * classes
            axes.set_yticks(range(classes), shown)
            axes.set(xlim=(-0.02, 1.02), ylim=(classes - 0.5, -0.5), title=title_of(name))
        of = "the true class" if results.positive is None else results.classes[results.positive]
        figure.supxlabel(f"probability of {of}", fontsize=9)
        png = write(folder, "probabilities", figure, rows)
    seeds = ", every seed's network for itself" if len(results.seeds) > 1 else ""
    after = "after" if results.tempered else "before"
    return Drawn(
        "probabilities",
        "Predicted probabilities of each class",
        f"How the probability of {of} is distributed within each true class, all test patients together{seeds} "
        f"({after} temperature scaling): a shape is as thick as the share of the class's patients in each of {BINS} "
        "bins, one scale for a panel; the dot is the median, the line spans the middle half. As Van Calster et al. "
        "2025 ask for.",
        png,
    )


def class_probabilities(predictions: OutOfFoldPredictions, label: int, positive: int | None) -> Floats:
    """(n,) what the patients of one true class are given, once a seed.

    :param positive: the class whose probability it is; None: the true class's own
    """
    given = predictions.probabilities[:, predictions.labels == label, label if positive is None else positive]
    known: Floats = given[np.isfinite(given)]
    return known


def _draw(axes: Axes, row: int, probabilities: Floats, half: Floats, edges: Floats) -> None:
    colour = CLASS_COLOURS[row % len(CLASS_COLOURS)]
    axes.stairs(row - half, edges, baseline=row + half, fill=True, color=colour, alpha=0.55, linewidth=0)
    axes.axhline(row, color=QUIET, linewidth=0.4)
    if len(probabilities):
        first, middle, third = np.quantile(probabilities, (0.25, 0.5, 0.75))
        axes.plot([first, third], [row, row], color="black", linewidth=1.4, solid_capstyle="butt")
        axes.plot([middle], [row], marker="o", markersize=4, color="black", markerfacecolor="white", clip_on=False)


def _numbers(
    method: str, class_name: str, probabilities: Floats, share: Floats, edges: Floats
) -> list[dict[str, object]]:
    quartiles = np.quantile(probabilities, (0.25, 0.5, 0.75)) if len(probabilities) else np.full(3, np.nan)
    return [
        {
            "method": method,
            "class": class_name,
            "low": f"{low:.2f}",
            "high": f"{high:.2f}",
            "share": f"{value:.6g}",
            "predictions": len(probabilities),
            "first_quartile": f"{quartiles[0]:.6g}",
            "median": f"{quartiles[1]:.6g}",
            "third_quartile": f"{quartiles[2]:.6g}",
        }
        for low, high, value in zip(edges[:-1], edges[1:], share, strict=True)
    ]
