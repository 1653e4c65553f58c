"""PPV and NPV where the disease is more or less frequent than among the test patients.

They follow from sensitivity and specificity by Bayes' rule, which takes those to be the same everywhere. PPV falls with
(1 - specificity) / sensitivity, NPV with (1 - sensitivity) / specificity, and the prevalence is a fixed number: limits
of the ratio, joined from the limits of both parts (MOVER of a ratio, Donner and Zou 2012), become limits of the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from triplenet.evaluation.intervals import UNDEFINED, Estimate, between_0_and_1

#: A screening, a casualty department, an outbreak, one in two.
PREVALENCES = (0.05, 0.10, 0.20, 0.50)


@dataclass(frozen=True)
class PredictiveValues:
    """What a call is worth at one prevalence; NaN where nobody is called so."""

    prevalence: float
    ppv: Estimate
    """Share with the disease of those called positive"""
    npv: Estimate
    """Share without it of those called negative"""


def predictive_values(
    sensitivity: Estimate, specificity: Estimate, prevalences: Sequence[float] = PREVALENCES
) -> tuple[PredictiveValues, ...]:
    """At each prevalence.

    :param sensitivity: with its limits, of other patients than the specificity
    """
    false_positive, false_negative = _rest(specificity), _rest(sensitivity)
    return tuple(
        PredictiveValues(
            prevalence,
            _share(ratio_of(false_positive, sensitivity), (1 - prevalence) / prevalence),
            _share(ratio_of(false_negative, specificity), prevalence / (1 - prevalence)),
        )
        for prevalence in check_prevalences(prevalences)
    )


def check_prevalences(prevalences: Sequence[float]) -> tuple[float, ...]:
    """:raises BadInput: one of them is not above 0 and below 1"""
    return between_0_and_1(prevalences, "a prevalence")


def ratio_of(first: Estimate, second: Estimate) -> Estimate:
    """The first over the second of two independent shares, with limits (Donner and Zou 2012); may be infinite.

    NaN for nothing of nothing, and without limits where either has none.
    """
    a, b = first, second
    if np.isnan([a.value, b.value]).any() or a.value == b.value == 0:
        return UNDEFINED
    value = a.value / b.value if b.value > 0 else np.inf
    product = a.value * b.value
    low_part = a.low * (2 * a.value - a.low)
    below = np.sqrt(max(0.0, product**2 - low_part * b.high * (2 * b.value - b.high)))
    high_part, smallest = a.high * (2 * a.value - a.high), b.low * (2 * b.value - b.low)
    above = np.sqrt(max(0.0, product**2 - high_part * smallest))
    # The paper's low limit has b.high * (2 * b.value - b.high) below the line, which may be 0: the same, turned over.
    low = low_part / (product + below) if product + below > 0 else 0.0
    high = (product + above) / smallest if smallest > 0 else np.inf
    if np.isnan([a.low, a.high, b.low, b.high]).any():
        return Estimate(float(value), np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))


def _rest(share: Estimate) -> Estimate:
    return Estimate(1 - share.value, 1 - share.high, 1 - share.low)


def _share(ratio: Estimate, odds: float) -> Estimate:
    """1 / (1 + odds * ratio), which falls with the ratio."""
    return Estimate(*(1 / (1 + odds * part) for part in (ratio.value, ratio.high, ratio.low)))
