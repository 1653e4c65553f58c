"""Metrics as functions of how often each patient counts, so that one product of matrices serves all resamples.

A ``Statistics`` takes weights (B, N), how often each of B resamples has each of N patients, and gives (B,) values by
name. Weights of one give the metric itself. Ratios without a value follow the rule of ``metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.metrics import Floats, against_rest, mean_over_classes, rates

Labels = npt.NDArray[np.int64]
Statistics = Callable[[Floats], dict[str, Floats]]


def binary_statistics(labels: Labels, predicted: Labels, scores: Floats) -> Statistics:
    """Everything that is said of a binary task, class 1 being the positive one.

    Gives accuracy, auc, sensitivity, specificity, precision, npv, f1, balanced_accuracy and brier.

    :param labels: (N,) 0 or 1
    :param predicted: (N,) 0 or 1
    :param scores: (N,) probability of class 1
    """
    truth = labels == 1
    area = area_under_roc(truth, scores)
    squares = (scores - truth) ** 2
    cells = _cells(labels, predicted, 2)

    def statistics(weights: Floats) -> dict[str, Floats]:
        tn, fp, fn, tp = (weights @ cells).T
        each, total = rates(tp, fn, fp, tn), weights.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "accuracy": (tp + tn) / total,
                "auc": area(weights),
                **each,
                "balanced_accuracy": (each["sensitivity"] + each["specificity"]) / 2,
                "brier": weights @ squares / total,
            }

    return statistics


def multiclass_statistics(labels: Labels, predicted: Labels, probabilities: Floats) -> Statistics:
    """Everything that is said of a task with several classes.

    Gives accuracy, auc (one against the rest), sensitivity, specificity, precision, npv and f1 as means over the
    classes that have patients (see ``metrics``); the same but auc weighted by support under ``weighted_``;
    balanced_accuracy, which is the mean sensitivity; and brier, summed over the classes (0 to 2).

    :param labels: (N,) 0 .. C - 1
    :param predicted: (N,)
    :param probabilities: (N, C)
    """
    classes = probabilities.shape[1]
    areas = [area_under_roc(labels == c, probabilities[:, c]) for c in range(classes)]
    squares = ((probabilities - np.eye(classes)[labels]) ** 2).sum(1)
    cells = _cells(labels, predicted, classes)

    def statistics(weights: Floats) -> dict[str, Floats]:
        matrices = (weights @ cells).reshape(-1, classes, classes)
        support, total = matrices.sum(2), weights.sum(1)
        each = rates(*against_rest(matrices))
        present = (support > 0).astype(np.float64)
        macro = {name: mean_over_classes(values, present) for name, values in each.items()}
        weighted = {f"weighted_{name}": mean_over_classes(values, support) for name, values in each.items()}
        auc = np.stack([area(weights) for area in areas], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "accuracy": np.trace(matrices, axis1=1, axis2=2) / total,
                "auc": mean_over_classes(auc, np.ones_like(auc)),
                **macro,
                "balanced_accuracy": macro["sensitivity"],
                **weighted,
                "brier": weights @ squares / total,
            }

    return statistics


def statistics_of(labels: Labels, predicted: Labels, probabilities: Floats, positive: int | None) -> Statistics:
    """Binary statistics with ``positive`` as the target, or those of several classes where it is None.

    :param probabilities: (N, C)
    """
    if positive is None:
        return multiclass_statistics(labels, predicted, probabilities)
    truth, called = ((rows == positive).astype(np.int64) for rows in (labels, predicted))
    return binary_statistics(truth, called, probabilities[:, positive])


def area_under_roc(truth: npt.NDArray[np.bool_], scores: Floats) -> Callable[[Floats], Floats]:
    """AUC as a function of weights (B, N): how often a positive scores above a negative, a tie counting half.

    :param truth: (N,)
    :param scores: (N,)
    """
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # of each run of equal scores
    rows_true = truth[order].astype(np.float64)

    def area(weights: Floats) -> Floats:
        if not len(first):
            return np.full(len(weights), np.nan)
        sorted_weights = weights[:, order]
        positive = np.add.reduceat(sorted_weights * rows_true, first, axis=1)
        negative = np.add.reduceat(sorted_weights * (1 - rows_true), first, axis=1)
        behind = negative.cumsum(1) - negative / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = (positive * behind).sum(1) / (positive.sum(1) * negative.sum(1))
        return found

    return area


def on_rows(statistics: Statistics, rows: Labels) -> Statistics:
    """Statistics of some of the patients as a function of everybody's weights.

    :param rows: (n,) which patients ``statistics`` is of, in its order
    """
    return lambda weights: statistics(weights[:, rows])


def mean_of(parts: Sequence[Statistics]) -> Statistics:
    """Mean over several (folds, seeds) of what is defined, by name."""

    def statistics(weights: Floats) -> dict[str, Floats]:
        each = [part(weights) for part in parts]
        found = {}
        for name in each[0]:
            values = np.stack([one[name] for one in each], axis=1)
            found[name] = mean_over_classes(values, np.ones_like(values))
        return found

    return statistics


def _cells(labels: Labels, predicted: Labels, classes: int) -> Floats:
    """(N, C * C) which cell of the confusion matrix, rows truth, each patient is in"""
    cells: Floats = np.eye(classes * classes)[labels * classes + predicted]
    return cells
