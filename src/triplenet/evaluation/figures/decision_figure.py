"""Decision curves: what acting on a probability is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from triplenet.evaluation.decision import DecisionCurve, decision_curve
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
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.results import Results


def decision_figure(results: Results, folder: Path) -> Drawn | None:
    """Net benefit of all methods; None for a task with several classes."""
    if results.positive is None or not results.finished:
        return None
    curves = {name: _decision(results.predictions[name], results.positive) for name in results.finished}
    anyone = next(iter(curves.values()))
    prevalence = float((results.predictions[results.finished[0]].labels == results.positive).mean())
    rows = [
        {
            "method": name,
            "threshold": f"{t:.2f}",
            "net_benefit": f"{m:.6g}",
            "treat_all": f"{a:.6g}",
            "low": f"{low:.6g}",
            "high": f"{high:.6g}",
        }
        for name, curve in curves.items()
        for t, m, a, low, high in zip(
            curve.thresholds, curve.model, curve.treat_all, curve.low, curve.high, strict=True
        )
    ]
    with letters():
        figure, (axes,) = panels(1, across=1, width_in=4.8, height_in=3.8)
        axes.plot(anyone.thresholds, anyone.treat_all, color=QUIET, linewidth=1, label="all taken for positive")
        axes.axhline(0, color=QUIET, linewidth=1, linestyle=(0, (1, 2)), label="nobody taken for positive")
        for name, curve in curves.items():
            colour, dash = line_style(name, results.methods)
            axes.plot(curve.thresholds, curve.model, color=colour, linestyle=dash, linewidth=1.7, label=title_of(name))
        axes.set(
            xlim=(0, 1),
            ylim=(-0.12, prevalence * 1.08),
            xlabel="probability from which a patient is taken for positive",
            ylabel="net benefit, true positives a patient",
        )
        legend_beside(axes)
        png = write(folder, "decision", figure, rows)
    return Drawn(
        "decision",
        "Decision curves",
        "What acting on a method's probability is worth at each threshold, in true positives a patient after taking "
        "off the false ones at the threshold's odds (Vickers and Elkin 2006); seeds averaged. A useful method lies "
        "above both grey lines. Intervals are in the CSV.",
        png,
        answer=_answer(results, curves),
    )


def _answer(results: Results, curves: Mapping[str, DecisionCurve]) -> str:
    """At how many thresholds acting on the method of the highest AUC beats doing the same to all."""
    areas = {name: results.estimates[name]["auc"].value for name in curves}
    ranked = [name for name in curves if not np.isnan(areas[name])]
    if not ranked:
        return ""
    name = max(ranked, key=areas.__getitem__)
    curve = curves[name]
    useful = np.flatnonzero(curve.model > np.maximum(curve.treat_all, 0) + 1e-12)
    if not len(useful):
        return f"Acting on {title_of(name)}'s probability is worth no more than taking all or nobody for positive."
    low, high = curve.thresholds[useful[0]], curve.thresholds[useful[-1]]
    return (
        f"Acting on {title_of(name)}'s probability is worth more than taking all or nobody for positive at "
        f"{len(useful)} of {len(curve.thresholds)} thresholds between {low:.0%} and {high:.0%}.".replace("%", " %")
    )


def _decision(predictions: OutOfFoldPredictions, positive: int) -> DecisionCurve:
    rows, _, probabilities = predictions.pooled()
    groups = None if predictions.groups is None else [predictions.groups[row] for row in rows.tolist()]
    return decision_curve(
        predictions.labels[rows] == positive, probabilities[:, positive], groups=groups, resamples=500
    )
