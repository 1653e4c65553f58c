"""Tests of two methods on the same patients, and the correction for several of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

McNemarForm = Literal["exact", "mid-p", "chi-squared"]

#: Below so many discordant patients the chi-squared form is not trusted.
FEW_DISCORDANT = 25


@dataclass(frozen=True)
class McNemar:
    """McNemar's test that two methods are right equally often."""

    only_first: int
    """Patients whom only the first method has right"""
    only_second: int
    p: float
    form: McNemarForm


def mcnemar(
    labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, form: McNemarForm | None = None
) -> McNemar:
    """McNemar's test on predictions of the same, independent patients.

    :param labels: (N,) true classes
    :param first: (N,) predicted classes
    :param second: (N,)
    :param form: ``exact`` (binomial), ``mid-p`` (Fagerland 2013: less conservative), ``chi-squared`` (with continuity
        correction, Edwards 1948); None: exact with fewer than ``FEW_DISCORDANT`` discordant patients, else chi-squared
    """
    truth = np.asarray(labels)
    right, other = np.asarray(first) == truth, np.asarray(second) == truth
    b, c = int((right & ~other).sum()), int((~right & other).sum())
    chosen: McNemarForm = form or ("exact" if b + c < FEW_DISCORDANT else "chi-squared")
    return McNemar(b, c, mcnemar_p(b, c, chosen), chosen)


def mcnemar_p(b: int, c: int, form: McNemarForm) -> float:
    """Two-sided p of ``b`` against ``c`` discordant patients; 1 where there are none."""
    from scipy.stats import binom, binomtest, chi2

    if b + c == 0:
        return 1.0
    if form == "chi-squared":
        return float(chi2.sf(max(abs(b - c) - 1, 0) ** 2 / (b + c), 1))
    exact = float(binomtest(b, b + c, 0.5).pvalue)
    if form == "exact":
        return exact
    if b == c:
        return 1 - float(binom.pmf(b, b + c, 0.5)) / 2
    return exact - float(binom.pmf(b, b + c, 0.5))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted over a family of comparisons after Holm (1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    order = [int(row) for row in np.argsort(p, kind="stable") if not np.isnan(p[row])]
    least = 0.0
    for place, row in enumerate(order):
        least = max(least, min(1.0, (len(order) - place) * float(p[row])))
        adjusted[row] = least
    return tuple(float(value) for value in adjusted)
