"""Whether a probability means what it says: reliability, expected calibration error, Brier score, calibration line.

All of them take one event and its probability. For several classes that is either one class against the rest, or
``top_label``: whether the most probable class is the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, Estimate, wilson
from triplenet.evaluation.statistics import Floats, Labels

Binning = Literal["width", "count"]
# Nearer to 0 or 1 than that a float32 softmax says nothing more.
_CLOSEST = 1e-7


@dataclass(frozen=True)
class Bin:
    """The patients whose probability lies in (low, high]; the first bin also has its low end."""

    low: float
    high: float
    patients: int
    predicted: float
    """Mean probability"""
    observed: Estimate
    """Share with the event, Wilson's interval"""


@dataclass(frozen=True)
class CalibrationLine:
    """logit P(event) = intercept + slope * logit(probability); perfect: 0 and 1. NaN where it is not defined."""

    slope: float
    """Below 1: too sure of itself"""
    intercept: float
    """Of the line with that slope"""
    in_the_large: float
    """The intercept with a slope of 1; above 0: the event is more frequent than predicted"""


def top_label(labels: Labels, probabilities: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """(N,) whether the most probable class is the true one, and (N,) its probability.

    :param probabilities: (N, C)
    """
    right: npt.NDArray[np.bool_] = probabilities.argmax(1) == labels
    return right, probabilities.max(1)


def reliability(
    truth: npt.ArrayLike,
    probability: npt.ArrayLike,
    *,
    bins: int = 10,
    binning: Binning = "width",
    level: float = LEVEL,
) -> tuple[Bin, ...]:
    """The reliability curve; bins without patients are left out.

    :param truth: (N,) whether the event is there
    :param probability: (N,) of it
    :param binning: ``width``: equal parts of 0 to 1; ``count``: as many patients in each as ties allow
    """
    true, p = np.asarray(truth).astype(bool), np.asarray(probability, dtype=np.float64)
    if not len(p):
        return ()
    quantiles = np.linspace(0, 1, bins + 1)
    edges = quantiles if binning == "width" else np.unique(np.quantile(p, quantiles))
    if len(edges) == 1:  # everybody has the same probability
        edges = np.repeat(edges, 2)
    place = np.searchsorted(edges[1:-1], p, side="left")
    found = []
    for number in range(len(edges) - 1):
        here = place == number
        count = int(here.sum())
        if count:
            observed = wilson(int(true[here].sum()), count, level=level)
            found.append(Bin(float(edges[number]), float(edges[number + 1]), count, float(p[here].mean()), observed))
    return tuple(found)


def expected_calibration_error(
    truth: npt.ArrayLike, probability: npt.ArrayLike, *, bins: int = 10, binning: Binning = "width"
) -> float:
    """Mean over patients of how far their bin's observed share is from its mean probability; NaN for nobody.

    It depends on the bins and is above 0 even for a perfect model of few patients, the more so the fewer there are;
    no interval is given, as resampling raises it further.
    """
    found = reliability(truth, probability, bins=bins, binning=binning)
    total = sum(one.patients for one in found)
    gaps = sum(one.patients * abs(one.observed.value - one.predicted) for one in found)
    return gaps / total if total else float("nan")


def brier(truth: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """Mean squared difference of probability and event, 0 to 1; NaN for nobody."""
    gaps = np.asarray(probability, dtype=np.float64) - np.asarray(truth).astype(bool)
    return float((gaps**2).mean()) if len(gaps) else float("nan")


def brier_multiclass(labels: Labels, probabilities: Floats) -> float:
    """Brier's original score, summed over the classes, 0 to 2; of two classes twice ``brier``."""
    gaps = probabilities - np.eye(probabilities.shape[1])[labels]
    return float((gaps**2).sum(1).mean()) if len(gaps) else float("nan")


def calibration_line(truth: npt.ArrayLike, probability: npt.ArrayLike) -> CalibrationLine:
    """Cox's calibration slope and intercept by logistic regression.

    Not defined where only one outcome is there; the slope besides where all probabilities are the same, or where they
    separate the outcomes (the likelihood then has no maximum).
    """
    from scipy.optimize import brentq, minimize
    from scipy.special import expit, logit

    true = np.asarray(truth).astype(bool)
    x = logit(np.clip(np.asarray(probability, dtype=np.float64), _CLOSEST, 1 - _CLOSEST))
    if true.all() or not true.any():
        return CalibrationLine(np.nan, np.nan, np.nan)
    bound = float(np.abs(x).max()) + 20
    large = float(brentq(lambda shift: float((expit(x + shift) - true).sum()), -bound, bound))
    separated = x[~true].max() <= x[true].min() or x[true].max() <= x[~true].min()
    if separated or np.ptp(x) < 1e-9:
        return CalibrationLine(np.nan, np.nan, large)

    def loss(line: Floats) -> tuple[float, Floats]:
        fitted = line[0] + line[1] * x
        excess = expit(fitted) - true
        value = float((np.logaddexp(0, fitted) - true * fitted).mean())
        return value, np.array([excess.mean(), (excess * x).mean()])

    best = minimize(loss, np.array([large, 1.0]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return CalibrationLine(float(best.x[1]), float(best.x[0]), large)
