"""The metrics of a method with intervals over patients: of one run, of a benchmark's folds and seeds, of a stratum.

One rule for all of them. A proportion of one seed's patients who stand alone has ``intervals.proportion``; the AUC of a
binary task DeLong's interval, variances of the folds added up; everything else the bootstrap's within folds, as have
proportions that several seeds share or whose patients come in groups. Where resamples do not differ (whole folds called
one class), a proportion has ``intervals.proportion`` of its independent groups; what is no proportion has no interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triplenet.evaluation.delong import area_covariance, auc_interval, interval_from_variance
from triplenet.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    bootstrap,
    cluster_ids,
    mean_of_two,
    proportion,
    without_zero_width,
)
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.statistics import Labels, Statistics

PROPORTIONS = ("accuracy", "sensitivity", "specificity", "precision", "npv")


def estimates(
    predictions: OutOfFoldPredictions,
    *,
    positive: int | None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Means over the folds of means over their seeds, with intervals, under the names of ``statistics``.

    Empty if every run failed.

    :param positive: the target of a binary task; None: means over the classes
    """
    folds = predictions.finished_folds
    if not folds:
        return {}
    kept = np.flatnonzero(np.isin(predictions.folds, folds))
    found = bootstrap(
        len(kept),
        on_kept(predictions, positive, folds, kept),
        groups=groups_of(predictions, kept),
        folds=predictions.folds[kept],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    alone = predictions.groups is None and len(predictions.seeds) == 1
    for name, (shares, patients) in _proportions(predictions, folds, positive).items():
        if shares and (alone or not found[name].low < found[name].high):
            found[name] = proportion(shares, patients, level=level)
    if positive is not None:
        found["auc"] = _auc_estimate(predictions, folds, kept, positive, level)
        if alone or not found["balanced_accuracy"].low < found["balanced_accuracy"].high:
            found["balanced_accuracy"] = mean_of_two(found["sensitivity"], found["specificity"])
    return {name: without_zero_width(estimate) for name, estimate in found.items()}


def contrast_of_aucs(
    methods: Sequence[OutOfFoldPredictions], contrast: Sequence[float], folds: Sequence[int], positive: int
) -> tuple[float, float]:
    """The contrast of the methods' mean AUCs and its variance: folds share no patient, seeds share all of them."""
    values, variances = [], []
    for fold in folds:
        rows = methods[0].rows(fold)
        scores: list[Floats] = []
        weights: list[float] = []
        for method, share in zip(methods, contrast, strict=True):
            seeds = method.complete(fold)
            scores += [method.probabilities[seed_index, rows, positive] for seed_index in seeds]
            weights += [share / len(seeds)] * len(seeds)
        areas, covariance = area_covariance(
            methods[0].labels[rows] == positive, np.stack(scores), groups=groups_of(methods[0], rows)
        )
        weighted = np.array(weights)
        value = float(weighted @ areas)
        if not np.isnan(value):
            values.append(value)
            variances.append(float(weighted @ covariance @ weighted))
    if not values:
        return np.nan, np.nan
    return float(np.mean(values)), float(np.sum(variances)) / len(values) ** 2


def on_kept(predictions: OutOfFoldPredictions, positive: int | None, folds: Sequence[int], kept: Labels) -> Statistics:
    """The predictions' statistics as a function of the kept patients' weights."""
    statistics, everybody = predictions.statistics(positive, folds), len(predictions.labels)

    def of_weights(weights: Floats) -> dict[str, Floats]:
        spread = np.zeros((len(weights), everybody))
        spread[:, kept] = weights
        return statistics(spread)

    return of_weights


def groups_of(predictions: OutOfFoldPredictions, rows: Labels) -> list[str | None] | None:
    """(n,) the groups of some patients; None where each stands alone."""
    return None if predictions.groups is None else [predictions.groups[row] for row in rows.tolist()]


def _auc_estimate(
    predictions: OutOfFoldPredictions, folds: Sequence[int], kept: Labels, positive: int, level: float
) -> Estimate:
    value, variance = contrast_of_aucs([predictions], [1.0], folds, positive)
    if value in (0.0, 1.0):  # DeLong's variance is 0: as of one curve that parts the classes wholly
        truth = predictions.labels[kept] == positive
        apart = truth if value == 1.0 else ~truth
        return auc_interval(truth, apart, groups=groups_of(predictions, kept), level=level)
    return interval_from_variance(value, variance, level=level)


def _proportions(
    predictions: OutOfFoldPredictions, folds: Sequence[int], positive: int | None
) -> dict[str, tuple[list[float], list[float]]]:
    """Each proportion's share in each fold, and of how many independent patients (seeds averaged).

    A fold without patients of the kind is left out; where a run calls nobody so, the proportion is left out whole: its
    share of 0 is a rule, not a count.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name in PROPORTIONS if positive is not None else PROPORTIONS[:1]:
        shares: list[float] = []
        patients: list[float] = []
        for fold in folds:
            runs = [
                _proportion_of_run(predictions, seed_index, fold, name, positive)
                for seed_index in predictions.complete(fold)
            ]
            of_fold = [run for run in runs if run is not None]
            if not of_fold and name in ("sensitivity", "specificity"):
                continue
            if len(of_fold) < len(runs):
                shares, patients = [], []
                break
            share, independent = np.mean(of_fold, axis=0)
            shares.append(float(share))
            patients.append(float(independent))
        found[name] = shares, patients
    return found


def _proportion_of_run(
    predictions: OutOfFoldPredictions, seed_index: int, fold: int, name: str, positive: int | None
) -> tuple[float, float] | None:
    rows = predictions.rows(fold)
    labels, predicted = predictions.labels[rows], predictions.predicted(seed_index, rows)
    right = labels == predicted
    if positive is not None:
        right = (labels == positive) == (predicted == positive)
    whole = {
        "accuracy": np.ones(len(rows), dtype=bool),
        "sensitivity": labels == positive,
        "specificity": labels != positive,
        "precision": predicted == positive,
        "npv": predicted != positive,
    }[name]
    members = np.flatnonzero(whole)
    if not len(members):
        return None
    independent = len(np.unique(cluster_ids(len(members), groups_of(predictions, rows[members]))))
    return float(right[members].mean()), float(independent)
