"""The AUC's variance, interval and paired test after DeLong, DeLong and Clarke-Pearson (1988).

Computed from midranks (Sun and Xu 2014) in O(N log N). Patients who belong together are allowed for after Obuchowski
(1997), whose variance is DeLong's where every patient stands alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, Difference, Estimate, Groups, cluster_ids, normal_quantile
from triplenet.evaluation.metrics import Floats

Scale = Literal["logit", "linear"]


def area_covariance(
    truth: npt.ArrayLike, scores: npt.ArrayLike, *, groups: Groups | None = None
) -> tuple[Floats, Floats]:
    """AUCs (M,) of M scores of the same patients, and their covariance (M, M).

    NaN areas without a positive or a negative; NaN covariance with fewer than two units (patients, or groups) of
    either kind.

    :param truth: (N,) whether positive
    :param scores: (M, N), the higher the more positive
    :param groups: (N,) patients of one group are not independent; None is a group of its own
    """
    true = np.asarray(truth).astype(bool)
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    count, m, n = len(values), int(true.sum()), int((~true).sum())
    undefined = np.full((count, count), np.nan)
    if m == 0 or n == 0:
        return np.full(count, np.nan), undefined
    above, below = placements(true, values)
    areas = above.mean(1)
    unit = cluster_ids(len(true), groups)
    units = int(unit.max()) + 1
    of_positives = np.zeros((count, units))
    of_negatives = np.zeros((count, units))
    for row in range(count):
        of_positives[row] = np.bincount(unit[true], above[row] - areas[row], units)
        of_negatives[row] = np.bincount(unit[~true], below[row] - areas[row], units)
    i10, i01 = len(np.unique(unit[true])), len(np.unique(unit[~true]))
    if i10 < 2 or i01 < 2:
        return areas, undefined
    cross = of_positives @ of_negatives.T * units / (units - 1) / (m * n)
    covariance: Floats = (
        of_positives @ of_positives.T * i10 / (i10 - 1) / m**2
        + of_negatives @ of_negatives.T * i01 / (i01 - 1) / n**2
        + cross
        + cross.T
    )
    return areas, covariance


def placements(true: npt.NDArray[np.bool_], values: Floats) -> tuple[Floats, Floats]:
    """Of each positive the share of negatives below it (M, m), of each negative the share of positives above it (M, n).

    Ties count half; the mean of either is the AUC.

    :param true: (N,), of which m are positive and n are not
    :param values: (M, N)
    """
    from scipy.stats import rankdata

    ranks, m, n = rankdata(values, axis=1), int(true.sum()), int((~true).sum())
    above: Floats = (ranks[:, true] - rankdata(values[:, true], axis=1)) / n
    below: Floats = 1 - (ranks[:, ~true] - rankdata(values[:, ~true], axis=1)) / m
    return above, below


def auc_interval(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    groups: Groups | None = None,
    level: float = LEVEL,
    scale: Scale = "logit",
) -> Estimate:
    """AUC of one score (N,) with its interval.

    Where positives and negatives do not overlap DeLong's variance is 0, whatever the number of patients; the interval
    is then Newcombe's (2006, method 5).

    :param scale: ``logit`` stays within 0 and 1 and covers better near them; ``linear`` is cut off there
    """
    true = np.asarray(truth).astype(bool)
    areas, covariance = area_covariance(true, scores, groups=groups)
    if areas[0] in (0.0, 1.0):
        unit = cluster_ids(len(true), groups)
        return _separated_interval(
            float(areas[0]), len(np.unique(unit[true])), len(np.unique(unit[~true])), level=level
        )
    return interval_from_variance(float(areas[0]), float(covariance[0, 0]), level=level, scale=scale)


def interval_from_variance(area: float, variance: float, *, level: float = LEVEL, scale: Scale = "logit") -> Estimate:
    """The interval of an AUC whose variance is known, such as a mean over folds."""
    if np.isnan(area) or np.isnan(variance):
        return Estimate(area, np.nan, np.nan)
    half = normal_quantile(level) * np.sqrt(max(variance, 0.0))
    if scale == "linear" or area in (0.0, 1.0):
        return Estimate(area, max(0.0, float(area - half)), min(1.0, float(area + half)))
    centre, width = np.log(area / (1 - area)), half / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-(centre - width))), 1 / (1 + np.exp(-(centre + width)))
    return Estimate(area, float(low), float(high))


def difference_from_variance(value: float, variance: float, *, level: float = LEVEL) -> Difference:
    """Interval and two-sided test of a difference by the normal distribution.

    Without any variance p is 1 where there is no difference either, and not defined otherwise.
    """
    from scipy.stats import norm

    if np.isnan(value) or np.isnan(variance):
        return Difference(value, np.nan, np.nan, np.nan)
    if variance < 1e-15:  # equal rankings: what is left is rounding
        same = abs(value) < 1e-12
        return Difference(value, value if same else np.nan, value if same else np.nan, 1.0 if same else np.nan)
    spread = float(np.sqrt(variance))
    half = normal_quantile(level) * spread
    return Difference(value, value - half, value + half, float(2 * norm.sf(abs(value) / spread)))


def _separated_interval(area: float, positives: int, negatives: int, *, level: float = LEVEL) -> Estimate:
    """The interval of an AUC of 0 or 1 after Newcombe (2006, method 5).

    Its end is the area from which the observed one lies just within Hanley and McNeil's variance.
    """
    from scipy.optimize import brentq

    z, star = normal_quantile(level), (positives + negatives) / 2 - 1

    def excess(value: float) -> float:
        shape = 1 + star * (1 - value) / (2 - value) + star * value / (1 + value)
        spread = float(np.sqrt(value * (1 - value) * shape / (positives * negatives)))
        return abs(area - value) - z * spread

    end = float(brentq(excess, 1e-9, 1 - 1e-9))
    return Estimate(1.0, end, 1.0) if area == 1.0 else Estimate(0.0, 0.0, end)
