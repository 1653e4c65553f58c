"""How far several readers agree beyond chance: Krippendorff's alpha.

Alpha is 1 - Do / De of the matrix of coincidences (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability): 1
is full agreement, 0 that of readers whose answers have nothing to do with the unit, below 0 they contradict each other.
Any number of readers; answers may be missing; a unit that fewer than two answered says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, RESAMPLES, UNDEFINED, Estimate, bootstrap, without_zero_width
from triplenet.evaluation.metrics import Floats

Measurement = Literal["nominal", "ordinal", "interval"]


def alpha(answers: npt.ArrayLike, measurement: Measurement) -> float:
    """Krippendorff's alpha; NaN where no unit has two answers, or where all answers are the same.

    :param answers: (units, readers) numbers, NaN where a reader gave none; of nominal ones only whether two are equal
        counts, of ordinal ones their order, of interval ones their distance
    """
    values, coincidences = _coincidences(np.asarray(answers, dtype=np.float64))
    found: Floats = _alpha(values, coincidences.sum(axis=0, keepdims=True), measurement)
    return float(found[0])


def alpha_estimate(
    answers: npt.ArrayLike,
    measurement: Measurement,
    *,
    groups: Sequence[str] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Alpha with the bootstrap's interval over units; the readers are held fixed.

    :param answers: (units, readers), as ``alpha`` takes them
    :param groups: (units,) units of one group, such as the several maps of one case, are drawn together
    """
    values, coincidences = _coincidences(np.asarray(answers, dtype=np.float64))
    units, size = len(coincidences), len(values)
    if not units or not size:
        return UNDEFINED

    def statistics(weights: Floats) -> dict[str, Floats]:
        drawn = (weights @ coincidences.reshape(units, size * size)).reshape(-1, size, size)
        return {"alpha": _alpha(values, drawn, measurement)}

    found = bootstrap(units, statistics, groups=groups, level=level, resamples=resamples, seed=seed)
    return without_zero_width(found["alpha"])


def _coincidences(answers: Floats) -> tuple[Floats, Floats]:
    """The values that occur, (V,), and each unit's pairs of them, (units, V, V); each answer counts once in all.

    A unit's ordered pairs of different readers, divided by its number of answers less one.
    """
    values = np.unique(answers[~np.isnan(answers)])
    counts = (answers[:, :, None] == values).sum(axis=1).astype(np.float64)  # (units, V)
    given = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    own = np.arange(len(values))
    pairs[:, own, own] -= counts
    pairs /= np.maximum(given - 1, 1)[:, None, None]  # of a single answer there is no pair: 0
    return values, pairs


def _alpha(values: Floats, coincidences: Floats, measurement: Measurement) -> Floats:
    """(B,) from (B, V, V)."""
    marginals = coincidences.sum(axis=2)
    difference = _squared_differences(values, marginals, measurement)
    observed = (coincidences * difference).sum(axis=(1, 2))
    expected = (marginals[:, :, None] * marginals[:, None, :] * difference).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(expected > 0, 1 - (marginals.sum(axis=1) - 1) * observed / expected, np.nan)
    return found


def _squared_differences(values: Floats, marginals: Floats, measurement: Measurement) -> Floats:
    """(B, V, V), or the same for all as (1, V, V): how far two answers are apart, squared."""
    if measurement == "nominal":
        return np.asarray(values[:, None] != values, dtype=np.float64)[None]
    if measurement == "interval":
        apart: Floats = (values[:, None] - values) ** 2
        return apart[None]
    # The answers from one to the other, half of either end: ranks' distance.
    ranks = np.cumsum(marginals, axis=1) - marginals / 2
    squared: Floats = (ranks[:, :, None] - ranks[:, None, :]) ** 2
    return squared
