"""The figures of runs: ROC, features, confusion, heat maps, training, calibration, probabilities, decisions.

A single run's are a benchmark's of one method.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from triplenet.evaluation.figures.calibration_figure import calibration_figure
from triplenet.evaluation.figures.confusion_figure import confusion_figure
from triplenet.evaluation.figures.decision_figure import decision_figure
from triplenet.evaluation.figures.embedding_figure import embedding_figure
from triplenet.evaluation.figures.figure_style import FOLDER, Drawn
from triplenet.evaluation.figures.heatmap_figures import PARTS, heatmap_figures
from triplenet.evaluation.figures.map_scores_figure import map_scores_figure, road_figure
from triplenet.evaluation.figures.probabilities_figure import probabilities_figure
from triplenet.evaluation.figures.roc_figure import roc_figure
from triplenet.evaluation.figures.training_figure import training_figure
from triplenet.evaluation.map_results import MapResults
from triplenet.evaluation.results import Results
from triplenet.prepare.store import PreparedSet

__all__ = ["FOLDER", "Drawn", "draw_figures", "remove_figures"]


def draw_figures(
    results: Results,
    folder: Path,
    prepared: PreparedSet | None = None,
    *,
    maps: MapResults | None = None,
    device: str = "cpu",
) -> tuple[Drawn, ...]:
    """Draw all that can be drawn into ``folder``, in the order of the paper, replacing earlier ones.

    The features' UMAP is left out where umap-learn is not installed.

    :param prepared: without it, features and heat maps are left out: they need the images
    :param maps: what the maps score; without it those figures are left out
    :raises OutputFailed: no room, no permission
    """
    drawn = [roc_figure(results, folder)]
    if prepared is not None:
        drawn.append(embedding_figure(results, folder, prepared, device=device))
    drawn.append(confusion_figure(results, folder))
    if prepared is not None:
        drawn += heatmap_figures(results, folder, prepared, device=device)
    if maps is not None:
        drawn += [map_scores_figure(maps, folder), road_figure(maps, folder)]
    drawn += [
        training_figure(results, folder),
        calibration_figure(results, folder),
        probabilities_figure(results, folder),
        decision_figure(results, folder),
    ]
    found = tuple(figure for figure in drawn if figure is not None)
    remove_figures(folder, but=[name for figure in found for name in (figure.name, *figure.also)])
    return found


def remove_figures(folder: Path, but: Sequence[str] = ()) -> None:
    """Remove an earlier call's figures, which do not show what was found now."""
    for old in folder.glob("*.*"):
        if old.stem not in but:
            old.unlink()
    for parts in folder.glob(PARTS):
        if parts.is_dir() and parts.name not in but:
            shutil.rmtree(parts)
