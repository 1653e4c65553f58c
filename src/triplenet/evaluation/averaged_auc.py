"""The AUC of a cross-validation in its two forms: the mean of the folds' AUCs, and one AUC of all test patients.

The mean has an interval by its influence curve (LeDell, Petersen and van der Laan 2015, as their R package cvAUC
computes it), which takes nothing but the folds' own order of their patients. The pooled one compares probabilities of
different networks, and has DeLong's interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.delong import auc_interval, interval_from_variance, placements
from triplenet.evaluation.estimation import groups_of
from triplenet.evaluation.intervals import LEVEL, UNDEFINED, Estimate, cluster_ids, without_zero_width
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.statistics import Labels


@dataclass(frozen=True)
class AveragedAuc:
    """The AUC of one method in both forms."""

    averaged: Estimate
    """Mean over the folds of means over their seeds; no limits where every fold parts its classes wholly"""
    pooled: Estimate
    """Of all folds' test patients together, seeds averaged; not defined for several classes"""


def averaged_auc(predictions: OutOfFoldPredictions, positive: int | None, *, level: float = LEVEL) -> AveragedAuc:
    """Both forms; not defined where no fold has an AUC.

    :param positive: the target of a binary task; None: the mean of each class against the rest, of those that a fold
        has patients of
    """
    return AveragedAuc(_averaged(predictions, positive, level), _pooled(predictions, positive, level))


def influence_curve(truth: npt.ArrayLike, scores: npt.ArrayLike, share: float) -> Floats:
    """(N,) what each patient adds to the AUC of one score: its mean is 0, and that of its square N times the variance.

    A positive adds (its share of negatives below it - AUC) / share, a negative (its share of positives above it -
    AUC) / (1 - share). Ties count half.

    :param truth: (N,) whether positive; there must be one of either
    :param scores: (N,)
    :param share: of positives, of all folds
    """
    true = np.asarray(truth).astype(bool)
    above, below = placements(true, np.asarray(scores, dtype=np.float64)[None])
    curve = np.zeros(len(true))
    curve[true] = (above[0] - above[0].mean()) / share
    curve[~true] = (below[0] - below[0].mean()) / (1 - share)
    return curve


def _averaged(predictions: OutOfFoldPredictions, positive: int | None, level: float) -> Estimate:
    folds = [fold for fold in predictions.finished_folds if _targets(predictions, fold, positive)]
    if not folds:
        return UNDEFINED
    kept = np.flatnonzero(np.isin(predictions.folds, folds))
    areas = []
    adds = np.zeros(len(predictions.labels))
    for fold in folds:
        rows = predictions.rows(fold)
        area, curve = _of_fold(predictions, fold, positive, predictions.labels[kept])
        areas.append(area)
        # Squared and added up: the mean over the folds of the mean square, over all patients.
        adds[rows] = curve / np.sqrt(len(kept) * len(folds) * len(rows))
    of_units = np.bincount(cluster_ids(len(kept), groups_of(predictions, kept)), adds[kept])
    variance = float((of_units**2).sum())
    return without_zero_width(interval_from_variance(float(np.mean(areas)), variance, level=level, scale="linear"))


def _of_fold(
    predictions: OutOfFoldPredictions, fold: int, positive: int | None, everybody: Labels
) -> tuple[float, Floats]:
    """The AUC of a fold and its influence curve (n,), means over seeds and targets.

    :param everybody: labels of all folds' patients, for the shares of the classes
    """
    rows = predictions.rows(fold)
    areas, curves = [], []
    for seed_index in predictions.complete(fold):
        for target in _targets(predictions, fold, positive):
            truth, scores = predictions.labels[rows] == target, predictions.probabilities[seed_index, rows, target]
            areas.append(float(placements(truth, scores[None])[0].mean()))
            curves.append(influence_curve(truth, scores, float((everybody == target).mean())))
    return float(np.mean(areas)), np.mean(curves, axis=0)


def _targets(predictions: OutOfFoldPredictions, fold: int, positive: int | None) -> list[int]:
    """The classes that are parted from the rest in a fold: those that some, and not all, of its patients have."""
    labels = predictions.labels[predictions.rows(fold)]
    asked = range(predictions.classes) if positive is None else (positive,)
    return [target for target in asked if 0 < int((labels == target).sum()) < len(labels)]


def _pooled(predictions: OutOfFoldPredictions, positive: int | None, level: float) -> Estimate:
    rows, _, probabilities = predictions.pooled()
    if positive is None or not len(rows):
        return UNDEFINED
    truth = predictions.labels[rows] == positive
    return auc_interval(truth, probabilities[:, positive], groups=groups_of(predictions, rows), level=level)
