"""The pictures of one run: its ROC, its confusion matrix and its history. Matplotlib without pyplot, no display.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart, and no line differs by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.metrics import Matrix
from triplenet.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 3)), "-")
DPI = 150


def roc_figure(false_positive_rate: Sequence[float], true_positive_rate: Sequence[float], title: str) -> Figure:
    """A receiver operating characteristic beside the diagonal of chance."""
    figure, (axes,) = _figure(4.6, 4.6, 1)
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    axes.plot(false_positive_rate, true_positive_rate, color=COLOURS[0], linewidth=2)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="1 - specificity", ylabel="sensitivity", title=title)
    axes.set_aspect("equal")
    return figure


def confusion_figure(matrix: Matrix, classes: Sequence[str], title: str) -> Figure:
    """Counts, each shaded by its share of the row: the patients truly of that class."""
    figure, (axes,) = _figure(1.9 + 0.95 * len(classes), 1.6 + 0.8 * len(classes), 1)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        ink = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink)
    places = range(len(classes))
    axes.set_xticks(places, classes)
    axes.set_yticks(places, classes)
    axes.set(xlabel="prediction", ylabel="truth", title=title)
    axes.grid(visible=False)
    return figure


def history_figure(history: Sequence[Mapping[str, float | None]], kept: int | None, title: str) -> Figure:
    """Losses, and below them lambda, the accuracies and the validation AUC, against the epoch.

    :param history: the lines of ``history.csv``; loss terms are drawn before their weights
    :param kept: the epoch whose weights were kept
    """
    names = [name for name in history[0] if name.startswith("loss_") and name != "loss_total"] if history else []
    figure, (above, below) = _figure(7.2, 5.6, 2)
    _lines(above, history, {**{name: name.removeprefix("loss_") for name in names}, "loss_total": "total, minimised"})
    scores = {
        "validation_accuracy": "validation accuracy",
        "validation_auc": "validation AUC",
        "training_accuracy": "training accuracy (augmented)",
        "lambda": "lambda",
    }
    _lines(below, history, scores)
    above.set(ylabel="loss", title=title)
    below.set(xlabel="epoch", ylim=(-0.02, 1.02))
    if kept is not None:
        for axes in (above, below):
            axes.axvline(kept, color="0.4", linewidth=1, zorder=0)
        below.annotate("kept", (kept, 0), xytext=(3, 3), textcoords="offset points", color="0.3", fontsize=8)
    for axes in (above, below):
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return figure


def write_figure(path: Path, figure: Figure) -> None:
    """Write a PNG, whole or not at all; the same figure is the same bytes."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def _lines(axes: Axes, history: Sequence[Mapping[str, float | None]], names: Mapping[str, str]) -> None:
    styles = zip(COLOURS, DASHES, strict=True)
    epochs = _column(history, "epoch")
    for name, label in names.items():
        values = _column(history, name)
        if np.isnan(values).all():
            continue
        colour, dashes = next(styles)
        marker = "o" if len(epochs) == 1 else None  # a single point has no line
        axes.plot(epochs, values, color=colour, linestyle=dashes, marker=marker, label=label, linewidth=1.5)


def _column(history: Sequence[Mapping[str, float | None]], name: str) -> npt.NDArray[np.float64]:
    """(epochs,) NaN where a value is not defined"""
    return np.array([row.get(name) for row in history], dtype=np.float64)


def _figure(width_in: float, height_in: float, rows: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(rows, 1, sharex=rows > 1)))
    for one in axes:
        one.grid(color="0.9")
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
        one.title.set_fontsize(10)
    return figure, axes
