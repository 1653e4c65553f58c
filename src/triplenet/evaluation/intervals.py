"""Confidence intervals over patients: Wilson's for proportions, the bootstrap for everything else.

Proportions of few patients are often 0 or 1, where a bootstrap has no width; Wilson's interval is honest there. The
bootstrap draws patients with replacement, within each test fold where folds are given; how many of a class a resample
has is left to chance, as with Wilson's interval. Patients of one group are drawn together. Percentile intervals; a
resample in which a ratio is not defined is left out. All of them hold the trained networks fixed: they say how far
the choice of test patients carries, not how far another training would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.statistics import Statistics

RESAMPLES = 2000
LEVEL = 0.95
Groups = Sequence[str | None]
# Weights held at a time: 16 MB, and some multiples of it in the statistics.
_AT_A_TIME = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Difference:
    """The first minus the second of two methods on the same patients; NaN where it is not defined."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, of no difference, before any correction"""


def wilson(part: int, whole: int, *, level: float = LEVEL) -> Estimate:
    """``part / whole`` with Wilson's score interval; NaN for nothing of nothing."""
    return proportion((part / whole,), (whole,), level=level) if whole else UNDEFINED


def cluster_ids(patients: int, groups: Groups | None) -> npt.NDArray[np.int64]:
    """(N,) the number, from 0, of what each patient is one with: its group, or itself."""
    if groups is None:
        return np.arange(patients)
    numbers: dict[object, int] = {}
    keys = [row if name is None else ("group", name) for row, name in enumerate(groups)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def between_0_and_1(values: Sequence[float], what: str) -> tuple[float, ...]:
    """Each value once.

    :param what: a value is, for the message
    :raises BadInput: one of them is not above 0 and below 1
    """
    for value in values:
        if not 0 < value < 1:
            raise BadInput(f"{what} is above 0 and below 1", where=f"{value:g}")
    return tuple(dict.fromkeys(values))


def normal_quantile(level: float) -> float:
    """Half the width of an interval of this level, in standard deviations."""
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2))


def without_zero_width(estimate: Estimate) -> Estimate:
    """Without limits where they have no width: resamples that do not differ say nothing of how sure a value is."""
    return estimate if estimate.low < estimate.high else Estimate(estimate.value, np.nan, np.nan)


def proportion(shares: Sequence[float], patients: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """A proportion of independent patients, or the mean of several folds': the one interval that proportions have.

    Of one fold it is Wilson's. Of several, the distances of their Wilson limits add up as variances do (MOVER, Zou and
    Donner 2008); where all are 0, or all 1, it is Wilson's of all patients together. NaN without any.

    :param shares: each 0 to 1
    :param patients: of how many independent ones each is; need not be whole (a mean over seeds)
    """
    if not len(shares):
        return UNDEFINED
    p, n = np.asarray(shares, dtype=np.float64), np.asarray(patients, dtype=np.float64)
    if len(p) > 1 and set(shares) in ({0.0}, {1.0}):
        p, n = p[:1], n.sum(keepdims=True)
    z2 = normal_quantile(level) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2) / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
    below, above = (float(np.sqrt((gap**2).sum())) / len(p) for gap in (p - (centre - half), centre + half - p))
    mean = float(p.mean())
    # At 0 and 1 a limit is the value itself, which rounding would miss.
    return Estimate(mean, max(0.0, mean - below) if mean > 0 else 0.0, min(1.0, mean + above) if mean < 1 else 1.0)


def mean_of_two(first: Estimate, second: Estimate) -> Estimate:
    """Of independent estimates, as ``proportion`` adds up their limits."""
    value = (first.value + second.value) / 2
    below, above = (
        float(np.hypot(one, other)) / 2
        for one, other in (
            (first.value - first.low, second.value - second.low),
            (first.high - first.value, second.high - second.value),
        )
    )
    return Estimate(value, max(0.0, value - below), min(1.0, value + above))


def bootstrap(
    patients: int,
    statistics: Statistics,
    *,
    groups: Groups | None = None,
    folds: npt.ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Intervals of several statistics from the same resamples.

    :param patients: how many there are, N
    :param statistics: from weights (B, N), how often each resample has each patient, to values (B,) by name
    :param groups: (N,) patients of one group are drawn together; None is a group of its own
    :param folds: (N,) the test fold of each patient, whose size then stays
    """
    drawn = _drawn(patients, statistics, groups, folds, resamples, seed)
    whole = statistics(np.ones((1, patients)))
    return {name: Estimate(float(whole[name][0]), *_percentiles(values, level)) for name, values in drawn.items()}


def paired_bootstrap(
    patients: int,
    first: Statistics,
    second: Statistics,
    *,
    groups: Groups | None = None,
    folds: npt.ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Differences, first minus second, of two methods on the same patients: both see the same resamples.

    p is the level at which the percentile interval would just touch 0, with one resample added to either side so that
    it is never 0: at least 2 / (resamples + 1). Where all resamples have one and the same difference that is not 0
    (methods that call whole folds one class), they say nothing of its chance: neither interval nor p are defined.
    Arguments are those of ``bootstrap``.
    """

    def both(weights: Floats) -> dict[str, Floats]:
        one, other = first(weights), second(weights)
        return {name: one[name] - other[name] for name in one}

    drawn = _drawn(patients, both, groups, folds, resamples, seed)
    whole = both(np.ones((1, patients)))
    found = {}
    for name, values in drawn.items():
        value = float(whole[name][0])
        defined = values[~np.isnan(values)]
        if len(defined) and value != 0 and np.ptp(defined) < 1e-12:
            found[name] = Difference(value, np.nan, np.nan, np.nan)
            continue
        beyond = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
        p = min(1.0, 2 * (beyond + 1) / (len(defined) + 1)) if len(defined) and not np.isnan(value) else np.nan
        found[name] = Difference(value, *_percentiles(values, level), p)
    return found


def draws(
    patients: int,
    *,
    groups: Groups | None = None,
    folds: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Iterator[Floats]:
    """Weights (B, N) in blocks, ``resamples`` in all: how often each resample has each patient.

    A group with patients in several folds is drawn among the groups with patients in those same folds.
    """
    unit = cluster_ids(patients, groups)
    strata = _strata(unit, np.zeros(patients) if folds is None else np.asarray(folds))
    rng = np.random.default_rng(seed)
    block = max(1, _AT_A_TIME // max(1, patients))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        weights = np.zeros((size, int(unit.max()) + 1))
        for members in strata:
            weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=size)
        yield weights[:, unit]


def _strata(unit: npt.NDArray[np.int64], folds: npt.NDArray[np.generic]) -> list[list[int]]:
    """The units that are drawn among each other: those with patients in the same folds."""
    members: dict[int, set[object]] = {}
    for number, fold in zip(unit.tolist(), folds.tolist(), strict=True):
        members.setdefault(number, set()).add(fold)
    strata: dict[frozenset[object], list[int]] = {}
    for number, within in members.items():
        strata.setdefault(frozenset(within), []).append(number)
    return list(strata.values())


def _drawn(
    patients: int,
    statistics: Callable[[Floats], dict[str, Floats]],
    groups: Groups | None,
    folds: npt.ArrayLike | None,
    resamples: int,
    seed: int,
) -> dict[str, Floats]:
    blocks = [statistics(w) for w in draws(patients, groups=groups, folds=folds, resamples=resamples, seed=seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _percentiles(values: Floats, level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.percentile(defined, (100 * (1 - level) / 2, 100 * (1 + level) / 2))
    return float(low), float(high)
