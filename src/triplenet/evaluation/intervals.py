"""Confidence intervals over patients: Wilson's for proportions, the bootstrap for everything else.

Proportions of few patients are often 0 or 1, where a bootstrap has no width; Wilson's interval is honest there. For
F, AUC and means over classes patients are drawn with replacement within each true class, as the cohort's mix of
findings is given and not a result. Percentile intervals; a resample in which a ratio is not defined is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def wilson(part: int, whole: int, *, level: float = 0.95) -> Estimate:
    """``part / whole`` with Wilson's score interval; NaN for nothing of nothing."""
    from scipy.stats import binomtest

    if whole == 0:
        return Estimate(np.nan, np.nan, np.nan)
    interval = binomtest(part, whole).proportion_ci(level, method="wilson")
    return Estimate(part / whole, float(interval.low), float(interval.high))


def bootstrap(
    labels: npt.NDArray[np.int64],
    statistics: Callable[[Floats], dict[str, Floats]],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Intervals of several statistics from the same resamples.

    :param labels: (N,) true class of each patient
    :param statistics: from weights (B, N), how often each resample has each patient, to values (B,) by name
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(labels)))
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=resamples)
    drawn = statistics(weights)
    whole = statistics(np.ones((1, len(labels))))
    tails = 100 * (1 - level) / 2, 100 * (1 + level) / 2
    found = {}
    for name, values in drawn.items():
        defined = values[~np.isnan(values)]
        low, high = np.percentile(defined, tails) if len(defined) else (np.nan, np.nan)
        found[name] = Estimate(float(whole[name][0]), float(low), float(high))
    return found


def binary_statistics(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], scores: Floats
) -> Callable[[Floats], dict[str, Floats]]:
    """F and AUC of a binary task as weights (B, N) see them.

    :param labels: (N,) 0 or 1
    :param predicted: (N,) 0 or 1
    :param scores: (N,) probability of class 1
    """
    true, called = labels == 1, predicted == 1
    # How often each positive scores above each negative; a tie counts half (Mann-Whitney).
    ahead = np.sign(scores[true][:, None] - scores[~true][None, :]) / 2 + 0.5

    def statistics(weights: Floats) -> dict[str, Floats]:
        tp, fn = weights[:, true & called].sum(1), weights[:, true & ~called].sum(1)
        fp = weights[:, ~true & called].sum(1)
        positive, negative = weights[:, true], weights[:, ~true]
        with np.errstate(invalid="ignore", divide="ignore"):
            pairs = positive.sum(1) * negative.sum(1)
            return {
                "f": 2 * tp / (2 * tp + fp + fn),
                "auc": ((positive @ ahead) * negative).sum(1) / pairs,
            }

    return statistics


def multiclass_statistics(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> Callable[[Floats], dict[str, Floats]]:
    """Macro precision, sensitivity, specificity and F, over the classes that have patients."""
    present = [c for c in range(classes) if (labels == c).any()]

    def statistics(weights: Floats) -> dict[str, Floats]:
        columns: dict[str, list[Floats]] = {"precision": [], "sensitivity": [], "specificity": [], "f": []}
        for c in present:
            true, called = labels == c, predicted == c
            tp, fn = weights[:, true & called].sum(1), weights[:, true & ~called].sum(1)
            fp, tn = weights[:, ~true & called].sum(1), weights[:, ~true & ~called].sum(1)
            with np.errstate(invalid="ignore", divide="ignore"):
                columns["precision"].append(tp / (tp + fp))
                columns["sensitivity"].append(tp / (tp + fn))
                columns["specificity"].append(tn / (tn + fp))
                columns["f"].append(2 * tp / (2 * tp + fp + fn))
        return {name: _mean_of_defined(np.stack(values)) for name, values in columns.items()}

    return statistics


def _mean_of_defined(values: Floats) -> Floats:
    """(B,) mean over the first axis of (C, B), leaving out what is not defined."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(defined, values, 0.0).sum(0) / defined.sum(0)
    return mean
