"""Whether a probability means what it says: reliability, expected calibration error, Brier score, calibration line.

All of them take one event and its probability. For several classes that is either one class against the rest, or
``top_label``: whether the most probable class is the true one. ``calibration_statistics`` gives them under weights, for
intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, Estimate, wilson
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.statistics import Labels, Statistics

Binning = Literal["width", "count"]
# Nearer to 0 or 1 than that a float32 softmax says nothing more.
_CLOSEST = 1e-7
# Newton's steps of the calibration line; ten nearly always do.
_STEPS = 50
_BINS = 10


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
    bins: int = _BINS,
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
    truth: npt.ArrayLike, probability: npt.ArrayLike, *, bins: int = _BINS, binning: Binning = "width"
) -> float:
    """Mean over patients of how far their bin's observed share is from its mean probability; NaN for nobody.

    It depends on the bins and is above 0 even for perfect probabilities, the more so the fewer patients there are; no
    interval is given, as resampling raises it further. ``error_by_chance`` says what to compare it with.
    """
    found = reliability(truth, probability, bins=bins, binning=binning)
    total = sum(one.patients for one in found)
    gaps = sum(one.patients * abs(one.observed.value - one.predicted) for one in found)
    return gaps / total if total else float("nan")


def error_by_chance(
    probability: npt.ArrayLike, *, share: float = 0.95, draws: int = 1000, bins: int = _BINS, seed: int = 0
) -> float:
    """The expected calibration error that perfect probabilities stay below with this chance; NaN for nobody.

    Events are drawn as the probabilities say, each patient's by itself (consistency resampling, Bröcker and Smith
    2007); bins of equal width.

    :param probability: (N,)
    :param share: that chance
    """
    p = np.asarray(probability, dtype=np.float64)
    if not len(p):
        return float("nan")
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], p, side="left")
    members = np.eye(bins)[place]
    gaps = (np.random.default_rng(seed).random((draws, len(p))) < p) - p
    return float(np.quantile(np.abs(gaps @ members).sum(1) / len(p), share))


def calibration_statistics(truth: npt.ArrayLike, probability: npt.ArrayLike) -> Statistics:
    """``brier``, ``slope``, ``intercept`` and ``in_the_large`` as functions of weights (B, N).

    Brier's score is the mean squared difference of probability and event. Slope and intercept are Cox's, of logit
    P(event) = intercept + slope * logit(probability) by logistic regression: 1 and 0 are perfect, a slope below 1 is
    too sure of itself. In the large is the intercept with a slope of 1: above 0 the event is more frequent than
    predicted. Not defined where only one outcome is there; slope and intercept besides where all probabilities are the
    same, or where they separate the outcomes (the likelihood then has no maximum).

    :param truth: (N,) whether the event is there
    :param probability: (N,) of it
    """
    true, x = np.asarray(truth).astype(bool), _logit(probability)
    squares = (np.asarray(probability, dtype=np.float64) - true) ** 2

    def statistics(weights: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore", divide="ignore"):
            score = weights @ squares / weights.sum(1)
        slope, intercept = _line(true, x, weights)
        return {
            "brier": score,
            "slope": slope,
            "intercept": intercept,
            "in_the_large": _in_the_large(true, x, weights),
        }

    return statistics


def _logit(probability: npt.ArrayLike) -> Floats:
    from scipy.special import logit

    found: Floats = logit(np.clip(np.asarray(probability, dtype=np.float64), _CLOSEST, 1 - _CLOSEST))
    return found


def _in_the_large(true: npt.NDArray[np.bool_], x: Floats, weights: Floats) -> Floats:
    """(B,) the shift that makes the mean probability the share of events; NaN without events or without others."""
    from scipy.special import expit

    wanted, total = weights @ true, weights.sum(1)
    defined = (wanted > 0) & (wanted < total)
    shift = np.zeros(len(weights))
    for _ in range(_STEPS):
        fitted = expit(x + shift[:, None])
        excess = (weights * fitted).sum(1) - wanted
        curve = (weights * fitted * (1 - fitted)).sum(1)
        step = np.where(defined, excess / np.maximum(curve, 1e-12), 0.0).clip(-1, 1)
        shift -= step
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    return np.where(defined, shift, np.nan)


def _line(true: npt.NDArray[np.bool_], x: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """(B,) slopes and (B,) intercepts of the likeliest lines, by Newton's method with halved steps; NaN without one.

    Ours, because an interval needs the line of a thousand weighted resamples at once: ``sklearn`` and
    ``statsmodels`` fit one at a time.
    """
    there = weights > 0

    def ends(chosen: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        inside = there & chosen
        return np.where(inside, x, np.inf).min(1, initial=np.inf), np.where(inside, x, -np.inf).max(1, initial=-np.inf)

    (low_true, high_true), (low_false, high_false) = ends(true), ends(~true)
    # Neither outcome wholly above the other, in which case the steeper line is always the likelier one.
    defined = (high_false > low_true) & (high_true > low_false)
    share = (weights @ true) / np.maximum(weights.sum(1), 1)
    with np.errstate(divide="ignore"):
        start = np.where(defined, np.log(share) - np.log1p(-share), 0.0)
    line = np.stack([start, np.zeros(len(weights))], axis=1)
    loss = _line_loss(line, true, x, weights)
    for _ in range(_STEPS):
        step = np.where(defined[:, None], _newton_step(line, true, x, weights), 0.0)
        for _ in range(_STEPS):
            tried = _line_loss(line - step, true, x, weights)
            worse = tried > loss + 1e-12 * np.abs(loss)
            if not worse.any():
                break
            step[worse] /= 2
        line, loss = line - step, np.minimum(loss, tried)
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    return np.where(defined, line[:, 1], np.nan), np.where(defined, line[:, 0], np.nan)


def _line_loss(line: Floats, true: npt.NDArray[np.bool_], x: Floats, weights: Floats) -> Floats:
    """(B,) negative log-likelihood of lines (B, 2): intercept, slope."""
    fitted = line[:, :1] + line[:, 1:] * x
    found: Floats = (weights * (np.logaddexp(0, fitted) - true * fitted)).sum(1)
    return found


def _newton_step(line: Floats, true: npt.NDArray[np.bool_], x: Floats, weights: Floats) -> Floats:
    """(B, 2) the inverse Hessian times the gradient of ``_line_loss``."""
    from scipy.special import expit

    fitted = expit(line[:, :1] + line[:, 1:] * x)
    excess, curve = weights * (fitted - true), weights * fitted * (1 - fitted)
    g0, g1 = excess.sum(1), excess @ x
    h00, h01, h11 = curve.sum(1), curve @ x, curve @ x**2
    determinant = np.maximum(h00 * h11 - h01**2, 1e-12)
    step: Floats = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0], axis=1) / determinant[:, None]
    return step
