"""How wide an interval is, and how many test patients one of a given width would need.

An interval of a proportion is as wide as Wilson's of so many independent patients: the patients needed are Wilson's for
the width asked for, times the real patients over those whom Wilson's would have needed for the width at hand, so that
folds, seeds and groups count as they did. Any other metric between 0 and 1, an AUC above all, has a variance that falls
as 1 / N (DeLong's, the bootstrap's); its interval is taken on the logit scale, where it stays between 0 and 1. All of
it holds the networks, the shares of the classes and the value itself fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from triplenet.evaluation.estimation import PROPORTIONS
from triplenet.evaluation.intervals import LEVEL, Estimate, between_0_and_1, normal_quantile

#: Of a whole interval, from its low to its high limit.
WIDTHS = (0.10, 0.05)
BINARY = ("auc", "sensitivity", "specificity", "precision", "npv", "accuracy")
MULTICLASS = ("auc", "sensitivity", "specificity", "precision", "accuracy")


@dataclass(frozen=True)
class Width:
    """The width of one metric's interval."""

    width: float
    """From the low to the high limit; NaN without an interval"""
    patients: int
    """Tested, of all classes"""
    needed: Mapping[float, int | None]
    """Width asked for -> test patients of all classes; None where nothing can be said"""


def widths_of(
    estimates: Mapping[str, Estimate],
    patients: int,
    *,
    positive: int | None,
    widths: Sequence[float] = WIDTHS,
    level: float = LEVEL,
) -> dict[str, Width]:
    """Of a method's metrics.

    :param estimates: of ``estimation.estimates``; empty gives nothing
    :param patients: whom they are of
    :param positive: the target of a binary task
    """
    proportions = PROPORTIONS if positive is not None else PROPORTIONS[:1]
    return {
        name: Width(
            estimates[name].high - estimates[name].low,
            patients,
            {
                width: _needed(estimates[name], patients, width, name in proportions, level)
                for width in check_widths(widths)
            },
        )
        for name in (MULTICLASS if positive is None else BINARY)
        if name in estimates
    }


def check_widths(widths: Sequence[float]) -> tuple[float, ...]:
    """:raises BadInput: one of them is not above 0 and below 1"""
    return between_0_and_1(widths, "the width of an interval")


def patients_for_proportion(share: float, width: float, *, level: float = LEVEL) -> float:
    """Independent patients, not rounded, whose Wilson interval has this width at this share.

    Wilson's width 2 z / (1 + z^2 / n) * sqrt(p (1 - p) / n + z^2 / (4 n^2)), solved for n.
    """
    z2 = normal_quantile(level) ** 2
    square = width**2
    middle = 2 * z2 * square - 4 * z2 * share * (1 - share)
    last = z2**2 * (square - 1)
    return float((-middle + np.sqrt(middle**2 - 4 * square * last)) / (2 * square))


def patients_for_logit(estimate: Estimate, patients: int, width: float) -> float:
    """Patients, not rounded, at whom an interval of the logit scale has this width, if its variance falls as 1 / N.

    :param estimate: above 0 and below 1, with its limits
    """
    low, value, high = (float(np.log(x / (1 - x))) for x in (estimate.low, estimate.value, estimate.high))
    # Of v and x on the logit scale, expit(v + x) - expit(v - x) = sinh(x) / (cosh(v) + cosh(x)); u = exp(x).
    slope = width * np.cosh(value)
    u = (slope + np.sqrt(slope**2 + 1 - width**2)) / (1 - width)
    return float(patients * ((high - low) / 2 / np.log(u)) ** 2)


def _needed(estimate: Estimate, patients: int, width: float, proportion: bool, level: float) -> int | None:
    low, high = estimate.low, estimate.high
    if not 0 < high - low < 1:  # NaN too
        return None
    if proportion:
        at_hand = patients_for_proportion(estimate.value, high - low, level=level)
        needed = patients * patients_for_proportion(estimate.value, width, level=level) / at_hand
    elif low > 0 and high < 1:
        needed = patients_for_logit(estimate, patients, width)
    else:
        return None
    return ceil(needed - 1e-9)
