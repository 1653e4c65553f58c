"""The figures of a benchmark: ROC, features, confusion matrices, heat maps, training, calibration, decisions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triplenet.benchmark.figures.confusion import confusion_figure
from triplenet.benchmark.figures.curves import calibration_figure, decision_figure, roc_figure, training_figure
from triplenet.benchmark.figures.drawing import FOLDER, Drawn
from triplenet.benchmark.figures.embedding import embedding_figure
from triplenet.benchmark.figures.looks import look_figures
from triplenet.benchmark.results import Results

__all__ = ["Drawn", "draw_figures", "remove_figures"]


def draw_figures(results: Results, *, device: str = "cpu") -> tuple[Drawn, ...]:
    """Draw all that can be drawn into ``figures/``, in the order of the paper, replacing earlier ones.

    The features' UMAP is left out where umap-learn is not installed.

    :raises OutputFailed: no room, no permission
    """
    folder = results.benchmark.folder / FOLDER
    drawn = [
        roc_figure(results, folder),
        embedding_figure(results, folder, device=device),
        confusion_figure(results, folder),
        *look_figures(results, folder, device=device),
        training_figure(results, folder),
        calibration_figure(results, folder),
        decision_figure(results, folder),
    ]
    found = tuple(one for one in drawn if one is not None)
    remove_figures(results.benchmark.folder, but=[one.name for one in found])
    return found


def remove_figures(benchmark: Path, but: Sequence[str] = ()) -> None:
    """Remove an earlier call's figures, which do not show what was found now."""
    for old in (benchmark / FOLDER).glob("*.*"):
        if old.stem not in but:
            old.unlink()
