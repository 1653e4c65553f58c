"""Decision curves (Vickers and Elkin 2006): what acting on a probability is worth, against treating all or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, RESAMPLES, Groups, bootstrap
from triplenet.evaluation.metrics import Floats

#: 1 % to 99 %, in steps of 1 %
THRESHOLDS: Floats = np.arange(1, 100) / 100


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit in true positives a patient; treating none has 0 everywhere. All (T,)."""

    thresholds: Floats
    """The probability from which a patient is treated"""
    model: Floats
    treat_all: Floats
    low: Floats
    """Of the model's, bootstrap"""
    high: Floats


def decision_curve(
    truth: npt.ArrayLike,
    probability: npt.ArrayLike,
    *,
    thresholds: npt.ArrayLike = THRESHOLDS,
    groups: Groups | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> DecisionCurve:
    """Net benefit TP / N - FP / N * t / (1 - t) at each threshold t.

    :param truth: (N,) whether positive
    :param probability: (N,)
    :param thresholds: (T,) below 1
    :param resamples: 0 leaves the interval out (NaN)
    """
    true, p = np.asarray(truth).astype(bool), np.asarray(probability, dtype=np.float64)
    cuts = np.asarray(thresholds, dtype=np.float64)
    odds = cuts / (1 - cuts)
    called = p[:, None] >= cuts  # (N, T)
    worth = np.where(true[:, None], 1.0, -odds)
    gain = called * worth

    def statistics(weights: Floats) -> dict[str, Floats]:
        benefit = weights @ gain / weights.sum(1, keepdims=True)
        return {str(column): benefit[:, column] for column in range(len(cuts))}

    low = high = np.full(len(cuts), np.nan)
    if resamples and len(true):
        found = bootstrap(len(true), statistics, groups=groups, level=level, resamples=resamples, seed=seed).values()
        low, high = np.array([one.low for one in found]), np.array([one.high for one in found])
    nobody = np.full(len(cuts), np.nan)
    return DecisionCurve(cuts, gain.mean(0) if len(true) else nobody, worth.mean(0) if len(true) else nobody, low, high)
