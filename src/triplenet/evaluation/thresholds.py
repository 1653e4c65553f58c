"""From which probability a patient is called positive: 0.5, or chosen on validation patients for others.

Choosing takes validation patients only; the test patients' labels have no way in. A chosen threshold lies half way
between two probabilities that were seen, so that no patient stands on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.metrics import Floats

HALF = 0.5


@dataclass(frozen=True)
class Rule:
    """How a threshold is found."""

    name: str
    sensitivity: float | None = None
    """Of ``sensitivity``: the least that is asked for on validation, 0 to 1"""

    @property
    def title(self) -> str:
        if self.sensitivity is not None:
            return f"sensitivity {self.sensitivity:.0%} on validation"
        return {"half": "0.5", "youden": "Youden on validation"}[self.name]


FIXED_HALF = Rule("half")
YOUDEN = Rule("youden")


def fixed_sensitivity(sensitivity: float) -> Rule:
    """At least this sensitivity on validation, with the best specificity that it allows.

    :raises ValueError: not above 0 and at most 1
    """
    if not 0 < sensitivity <= 1:
        raise ValueError(f"a sensitivity is above 0 and at most 1, not {sensitivity}")
    return Rule("sensitivity", sensitivity)


RULES = (FIXED_HALF, YOUDEN, fixed_sensitivity(0.9))


@dataclass(frozen=True)
class Threshold:
    """A patient with this probability or more is called positive."""

    value: float
    """May lie just above 1: nobody is called positive"""
    rule: Rule
    patients: int
    """Of validation"""
    sensitivity: float
    """On validation; NaN without positives"""
    specificity: float
    """On validation; NaN without negatives"""
    fallback: str | None = None
    """Why it is 0.5 although the rule would choose"""

    def apply(self, probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(N,) who is called positive."""
        called: npt.NDArray[np.bool_] = np.asarray(probability, dtype=np.float64) >= self.value
        return called


def choose(truth: npt.ArrayLike, probability: npt.ArrayLike, rule: Rule) -> Threshold:
    """The threshold of validation patients by a rule.

    Youden's is where sensitivity + specificity is largest; of several such, the one with the highest sensitivity. A
    fixed sensitivity is the highest threshold that reaches it; of ties in probability all or none are called. 0.5 takes
    the place of what cannot be chosen: Youden's without positives or without negatives, a fixed sensitivity without
    positives. (At exactly 0.5 a patient is called positive, whereas the most probable class is then the first one.)

    :param truth: (N,) whether positive
    :param probability: (N,)
    """
    true, p = np.asarray(truth).astype(bool), np.asarray(probability, dtype=np.float64)
    positives, negatives = int(true.sum()), int((~true).sum())
    fallback = None
    value = HALF
    if rule.name != "half":
        if positives == 0:
            fallback = "no validation patient is positive"
        elif rule.name == "youden" and negatives == 0:
            fallback = "no validation patient is negative"
        else:
            value = _chosen(true, p, rule)
    called = p >= value
    return Threshold(
        value,
        rule,
        len(p),
        float((called & true).sum() / positives) if positives else np.nan,
        float((~called & ~true).sum() / negatives) if negatives else np.nan,
        fallback,
    )


def _chosen(true: npt.NDArray[np.bool_], p: Floats, rule: Rule) -> float:
    cuts = _between(np.unique(p))  # rising
    called = p >= cuts[:, None]
    hits = (called & true).sum(1)
    if rule.sensitivity is not None:
        # Counts, not shares: 9 of 10 must be 90 % whatever the rounding.
        needed = int(np.ceil(rule.sensitivity * true.sum() - 1e-9))
        return float(cuts[hits >= needed].max())
    false = (called & ~true).sum(1)
    # In whole numbers, so that equal values are equal: sensitivity - (1 - specificity) times both counts.
    index = hits * (~true).sum() - false * true.sum()
    return float(cuts[int(index.argmax())])  # the first is the lowest, which calls the most


def _between(seen: Floats) -> Floats:
    """Thresholds that part the probabilities seen: below all, between each two, above all."""
    below, above = np.concatenate([[0.0], seen]), np.concatenate([seen, [1.0]])
    middle: Floats = (below + above) / 2
    # Two neighbouring floats have no middle, and nothing lies between the last one and 1 if it is 1.
    crowded = middle <= below
    middle[crowded] = above[crowded]
    if middle[-1] <= seen[-1]:
        middle[-1] = np.nextafter(seen[-1], 2.0)
    return middle
