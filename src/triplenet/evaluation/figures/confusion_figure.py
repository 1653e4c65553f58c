"""Confusion matrices of all methods (Fig. 5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.figures.figure_style import Drawn, letters, panels, write
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.metrics import confusion
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.results import Results

ACROSS = 4


def counts(predictions: OutOfFoldPredictions) -> npt.NDArray[np.float64]:
    """(C, C) all folds' test patients, rows truth, columns prediction; the mean over each fold's seeds."""
    found = np.zeros((predictions.classes, predictions.classes))
    for fold in predictions.fold_numbers:
        rows, seeds = predictions.rows(fold), predictions.complete(fold)
        for seed_index in seeds:
            matrix = confusion(predictions.labels[rows], predictions.predicted(seed_index, rows), predictions.classes)
            found += matrix / len(seeds)
    return found


def confusion_figure(results: Results, folder: Path) -> Drawn | None:
    """A matrix a method, all test folds together."""
    names, classes = results.finished, results.classes
    if not names:
        return None
    side = 1.15 + 0.48 * len(classes)
    several = len(results.seeds) > 1
    rows: list[dict[str, object]] = []
    with letters():
        figure, every = panels(
            len(names), across=min(ACROSS, max(2, 12 // len(classes))), width_in=side, height_in=side
        )
        for number_of_panel, (axes, name) in enumerate(zip(every, names, strict=True)):
            matrix = counts(results.predictions[name])
            shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for truth, predicted in np.ndindex(*matrix.shape):
                number = matrix[truth, predicted]
                text = f"{number:.1f}".removesuffix(".0") if several else f"{number:.0f}"
                ink = "white" if shares[truth, predicted] > 0.55 else "black"
                axes.text(
                    predicted,
                    truth,
                    f"{text}\n{shares[truth, predicted]:.0%}",
                    ha="center",
                    va="center",
                    color=ink,
                    fontsize=8,
                )
                rows.append(
                    {
                        "method": name,
                        "truth": classes[truth],
                        "predicted": classes[predicted],
                        "patients": f"{number:g}",
                        "share_of_truth": f"{shares[truth, predicted]:.6g}",
                    }
                )
            axes.set_title(title_of(name))
            axes.set_xticks(range(len(classes)), classes)
            if len(classes) > 2:
                for label in axes.get_xticklabels():
                    label.set(rotation=30, ha="right", rotation_mode="anchor")
            first = number_of_panel % min(ACROSS, max(2, 12 // len(classes)), len(names)) == 0
            axes.set_yticks(range(len(classes)), classes if first else [""] * len(classes))
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        figure.supxlabel("prediction", fontsize=9)
        figure.supylabel("truth", fontsize=9)
        png = write(folder, "confusion", figure, rows)
    seeds = ", averaged over the seeds" if several else ""
    return Drawn(
        "confusion",
        "Confusion matrices",
        f"Test patients of all folds together{seeds}: rows truth, columns prediction; below each count and as its "
        "shade the share of the row. As Fig. 5 of the paper.",
        png,
    )
