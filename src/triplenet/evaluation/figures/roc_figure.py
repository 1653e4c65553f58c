"""ROC of all methods (Fig. 3)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from triplenet.evaluation.curves import MeanRoc, Roc, mean_curve, one_against_rest, roc_curve
from triplenet.evaluation.figures.figure_style import (
    QUIET,
    Drawn,
    legend_beside,
    letters,
    line_style,
    panels,
    write,
)
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.results import Results


def roc_figure(results: Results, folder: Path) -> Drawn | None:
    """The mean of the folds' curves of each method, a single run's own curve; None where no curve is defined."""
    curves = {name: found for name in results.finished if (found := _mean_roc(results, name)) is not None}
    if not curves:
        return None
    best = sorted(curves, key=lambda name: -curves[name].area)
    with letters():
        figure, (axes,) = panels(1, across=1, width_in=4.2, height_in=4.2)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
        for name in best:
            curve, (colour, dash) = curves[name], line_style(name, results.methods)
            spread = f" ± {curve.area_spread:.3f}" if curve.curves > 1 else ""
            label = f"{title_of(name)}  {curve.area:.3f}{spread}"
            axes.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=colour,
                linestyle=dash,
                linewidth=1.7,
                label=label,
            )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")
        several = any(curve.curves > 1 for curve in curves.values())
        legend_beside(axes, "AUC, mean ± spread over folds" if several else "AUC")
        rows = [
            {
                "method": name,
                "false_positive_rate": f"{x:.6g}",
                "true_positive_rate": f"{y:.6g}",
                "spread": f"{s:.6g}",
            }
            for name, curve in curves.items()
            for x, y, s in zip(curve.false_positive_rate, curve.true_positive_rate, curve.spread, strict=True)
        ]
        png = write(folder, "roc", figure, rows)
    what = (
        f"of {results.classes[results.positive]}"
        if results.positive is not None
        else "of each class against the rest, averaged"
    )
    return Drawn(
        "roc",
        "ROC curves",
        f"Sensitivity against 1 − specificity {what}{': the mean of the test folds’ curves' if several else ''}. The "
        "dotted diagonal is chance. As Fig. 3 of the paper.",
        png,
    )


def _mean_roc(results: Results, name: str) -> MeanRoc | None:
    predictions = results.predictions[name]
    folds: list[MeanRoc] = []
    for fold in predictions.fold_numbers:
        curves: list[Roc | None] = []
        for seed_index in predictions.complete(fold):
            rows = predictions.rows(fold)
            if results.positive is not None:
                truth = predictions.labels[rows] == results.positive
                curves.append(roc_curve(truth, predictions.probabilities[seed_index, rows, results.positive]))
            else:
                curves += one_against_rest(predictions.labels[rows], predictions.probabilities[seed_index, rows])
        alone = curves[0] if len(curves) == 1 and len(results.runs) == 1 else None
        mean = mean_curve(curves) if alone is None else _as_mean(alone)
        if mean is not None:
            folds.append(mean)
    if len(folds) < 2:
        return folds[0] if folds else None
    whole = mean_curve([_as_roc(mean) for mean in folds])
    if whole is None:
        return None
    # The areas of the folds themselves, which the mean curve's grid rounds.
    areas = np.array([mean.area for mean in folds])
    return replace(whole, area=float(areas.mean()), area_spread=float(areas.std()))


def _as_mean(curve: Roc) -> MeanRoc:
    """One curve with all of its points, which a grid would round."""
    x, y = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
    return MeanRoc(x, y, np.zeros(len(x)), curve.area, 0.0, 1)


def _as_roc(curve: MeanRoc) -> Roc:
    points = len(curve.false_positive_rate)
    return Roc(
        tuple(curve.false_positive_rate.tolist()), tuple(curve.true_positive_rate.tolist()), (float("nan"),) * points
    )
