"""ROC of all methods (Fig. 3), calibration, decision curves, training curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triplenet.benchmark.calibration import event
from triplenet.benchmark.figures.drawing import (
    BLUE,
    QUIET,
    VERMILION,
    Drawn,
    legend_beside,
    letters,
    look_of,
    panels,
    title_of,
    write,
)
from triplenet.benchmark.results import Results
from triplenet.evaluation.answers import Answers
from triplenet.evaluation.calibration import expected_calibration_error, reliability
from triplenet.evaluation.curves import MeanRoc, Roc, mean_curve, one_against_rest, roc_curve
from triplenet.evaluation.decision import DecisionCurve, decision_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 4
BINS = 10


def roc_figure(results: Results, folder: Path) -> Drawn | None:
    """The mean of the folds' curves of each method; None where no curve is defined."""
    curves = {name: found for name in results.finished if (found := _mean_roc(results, name)) is not None}
    if not curves:
        return None
    best = sorted(curves, key=lambda name: -curves[name].area)
    with letters():
        figure, (axes,) = panels(1, across=1, width_in=4.2, height_in=4.2)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
        for name in best:
            curve, (colour, dash) = curves[name], look_of(name)
            label = f"{title_of(name)}  {curve.area:.3f} ± {curve.area_spread:.3f}"
            axes.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=colour,
                linestyle=dash,
                linewidth=1.7,
                label=label,
            )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")
        legend_beside(axes, "AUC, mean ± spread over folds")
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
        f"Sensitivity against 1 − specificity {what}: the mean of the test folds' curves. The dotted diagonal is "
        "chance. As Fig. 3 of the paper.",
        png,
    )


def calibration_figure(results: Results, folder: Path) -> Drawn | None:
    """Observed share against mean probability in ten bins, a panel a method."""
    names = results.finished
    if not names:
        return None
    rows: list[dict[str, object]] = []
    with letters():
        figure, every = panels(len(names), across=ACROSS, width_in=2.5, height_in=2.6)
        for axes, name in zip(every, names, strict=True):
            answers = results.answers[name]
            # One seed's: the same patients once more would make the intervals too narrow.
            parts = [event(answers, results.positive, place) for place in range(len(answers.seeds))]
            place = max(range(len(parts)), key=lambda place: len(parts[place][0]))
            truth, probability = parts[place]
            bins = reliability(truth, probability, bins=BINS)
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)))
            x, y = [one.predicted for one in bins], [one.observed.value for one in bins]
            low = [max(0.0, one.observed.value - one.observed.low) for one in bins]
            high = [max(0.0, one.observed.high - one.observed.value) for one in bins]
            sizes = [12 + 130 * one.patients / len(truth) for one in bins]
            axes.errorbar(x, y, yerr=[low, high], fmt="none", ecolor=QUIET, elinewidth=0.8)
            axes.plot(x, y, color=BLUE, linewidth=1)
            axes.scatter(x, y, s=sizes, color=BLUE, zorder=3, clip_on=False)
            error = expected_calibration_error(truth, probability)
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=f"{title_of(name)}\nECE {error:.3f}")
            rows += [
                {
                    "method": name,
                    "seed": answers.seeds[place],
                    "low": one.low,
                    "high": one.high,
                    "patients": one.patients,
                    "predicted": f"{one.predicted:.6g}",
                    "observed": f"{one.observed.value:.6g}",
                    "observed_low": f"{one.observed.low:.6g}",
                    "observed_high": f"{one.observed.high:.6g}",
                }
                for one in bins
            ]
        of = "" if results.positive is None else f" of {results.classes[results.positive]}"
        figure.supxlabel(f"probability{of}" if of else "probability of the predicted class", fontsize=9)
        figure.supylabel(f"share{of}" if of else "share predicted right", fontsize=9)
        png = write(folder, "calibration", figure, rows)
    after = "after" if results.tempered else "before"
    return Drawn(
        "calibration",
        "Calibration",
        "Observed share against mean probability in ten bins of equal width, all test patients together, as the "
        f"networks of one seed say it ({after} temperature scaling). A dot's area is its share of the patients, "
        "the bars are Wilson intervals; on the diagonal a probability means what it says.",
        png,
    )


def decision_figure(results: Results, folder: Path) -> Drawn | None:
    """Net benefit of all methods; None for a task with several classes."""
    if results.positive is None or not results.finished:
        return None
    curves = {name: _decision(results.answers[name], results.positive) for name in results.finished}
    anyone = next(iter(curves.values()))
    prevalence = float((results.answers[results.finished[0]].labels == results.positive).mean())
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
            colour, dash = look_of(name)
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
    )


def training_figure(results: Results, folder: Path) -> Drawn | None:
    """Loss and accuracies against the epoch, a column a method, a thin line a run."""
    names = results.finished
    if not names:
        return None
    rows: list[dict[str, object]] = []
    with letters():
        from matplotlib.figure import Figure

        columns = min(ACROSS, len(names))
        blocks = -(-len(names) // columns)
        figure = Figure(figsize=(2.5 * columns, 3.4 * blocks + 0.4), layout="constrained")
        for place, name in enumerate(names):
            block, column = divmod(place, columns)
            loss = figure.add_subplot(2 * blocks, columns, 2 * block * columns + column + 1)
            score = figure.add_subplot(2 * blocks, columns, (2 * block + 1) * columns + column + 1, sharex=loss)
            histories = _histories(results, name)
            for (fold, seed), history in histories.items():
                rows += [{"method": name, "fold": fold, "seed": seed} | _cells(row) for row in history]
            _training_panel(loss, score, list(histories.values()))
            loss.set_title(title_of(name))
            loss.tick_params(labelbottom=False)
            if column == 0:
                loss.set_ylabel("loss")
                score.set_ylabel("accuracy")
            if block == blocks - 1 or place + columns >= len(names):
                score.set_xlabel("epoch")
        handles, labels = score.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, handlelength=2.8)
        png = write(folder, "training", figure, rows)
    return Drawn(
        "training",
        "Training curves",
        "Above the loss that is minimised, below the accuracies on the augmented training images and on the validation "
        "patients; thin a run, thick the mean over folds and seeds. Losses of methods with other terms cannot be "
        "compared.",
        png,
    )


def _mean_roc(results: Results, name: str) -> MeanRoc | None:
    answers = results.answers[name]
    curves: list[Roc | MeanRoc | None] = []
    found: list[Roc | None] = []
    for fold in answers.fold_numbers:
        of_fold: list[Roc | None] = []
        for place in answers.complete(fold):
            rows = answers.rows(fold)
            if results.positive is not None:
                truth = answers.labels[rows] == results.positive
                of_fold.append(roc_curve(truth, answers.probabilities[place, rows, results.positive]))
            else:
                of_fold += one_against_rest(answers.labels[rows], answers.probabilities[place, rows])
        mean = mean_curve(of_fold)
        if mean is not None:
            curves.append(mean)
            found.append(_as_roc(mean))
    whole = mean_curve(found)
    if whole is None:
        return None
    # The areas of the folds themselves, which the mean curve's grid rounds.
    areas = np.array([curve.area for curve in curves if curve is not None])
    return MeanRoc(
        whole.false_positive_rate,
        whole.true_positive_rate,
        whole.spread,
        float(areas.mean()),
        float(areas.std()),
        whole.curves,
    )


def _as_roc(curve: MeanRoc) -> Roc:
    points = len(curve.false_positive_rate)
    return Roc(
        tuple(curve.false_positive_rate.tolist()), tuple(curve.true_positive_rate.tolist()), (float("nan"),) * points
    )


def _decision(answers: Answers, positive: int) -> DecisionCurve:
    rows, _, probabilities = answers.pooled()
    groups = None if answers.groups is None else [answers.groups[row] for row in rows.tolist()]
    return decision_curve(answers.labels[rows] == positive, probabilities[:, positive], groups=groups, resamples=500)


def _histories(results: Results, name: str) -> dict[tuple[int, int], list[dict[str, float | None]]]:
    return {(job.fold, job.seed): run.history() for job, run in results.benchmark.runs.items() if job.method == name}


def _training_panel(loss: Axes, score: Axes, histories: list[list[dict[str, float | None]]]) -> None:
    from triplenet.benchmark.figures.drawing import plain

    for axes, column, colour, dash, label in (
        (loss, "loss_total", VERMILION, "-", None),
        (score, "training_accuracy", VERMILION, (0, (5, 2)), "training (augmented)"),
        (score, "validation_accuracy", BLUE, "-", "validation"),
    ):
        lines = [np.array([row.get(column) for row in history], dtype=np.float64) for history in histories]
        longest = max(map(len, lines))
        whole = np.full((len(lines), longest), np.nan)
        for place, line in enumerate(lines):
            whole[place, : len(line)] = line
            axes.plot(np.arange(len(line)), line, color=colour, linewidth=0.5, alpha=0.5)
        mean = np.where(np.isfinite(whole).any(0), np.nansum(whole, 0) / np.isfinite(whole).sum(0).clip(1), np.nan)
        marker = "o" if longest == 1 else None  # a single point has no line
        axes.plot(np.arange(longest), mean, color=colour, linestyle=dash, linewidth=1.7, label=label, marker=marker)
        plain(axes)
    score.set_ylim(-0.02, 1.02)


def _cells(row: Mapping[str, float | None]) -> dict[str, object]:
    kept = ("epoch", "loss_total", "training_accuracy", "validation_loss", "validation_accuracy", "validation_auc")
    return {name: "" if row.get(name) is None else row[name] for name in kept}
