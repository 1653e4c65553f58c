"""Scores of explanations over patients: means with intervals, paired comparisons, ranks, and how measures agree.

A score is a patient's, the mean over the seeds of a method's runs. Intervals are of the patient bootstrap, within the
test folds; two maps are compared on the patients of whom both have the score. All of it holds the trained networks
fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    UNDEFINED,
    Difference,
    Estimate,
    Groups,
    bootstrap,
    draws,
    paired_bootstrap,
)
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.paired_tests import holm
from triplenet.evaluation.statistics import Statistics

NOT_COMPARED = Difference(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class MapValues:
    """One measure of several maps on the same patients."""

    measure: str
    values: Mapping[str, Floats]
    """Map -> (N,), NaN where it is not defined"""
    folds: npt.NDArray[np.int64]
    """(N,)"""
    groups: Groups | None = None
    """(N,) patients of one group are not independent"""
    higher_is_better: bool = True

    def patients(self, name: str) -> int:
        """Of whom the score of a map is known."""
        return int(np.isfinite(self.values[name]).sum())


@dataclass(frozen=True)
class MapComparison:
    """A map against another on the patients that both have the score of."""

    name: str
    other: str
    difference: Difference
    """First minus other; p before any correction"""
    patients: int
    adjusted: float = np.nan
    """p after Holm over the maps compared with the reference; NaN for what is not part of that family"""

    def exceeds(self, higher_is_better: bool = True) -> bool:
        """Whether the whole interval says that it is better."""
        low, high = self.difference.low, self.difference.high
        return bool(low > 0 if higher_is_better else high < 0)


def mean_over_seeds(rows: Mapping[tuple[str, int], float | None], patients: Sequence[str]) -> Floats:
    """(N,) a patient's mean; NaN without any.

    :param rows: (patient, seed) -> the score
    """
    of: dict[str, list[float]] = {}
    for (patient, _), value in rows.items():
        if value is not None:
            of.setdefault(patient, []).append(value)
    return np.array([float(np.mean(of[name])) if name in of else np.nan for name in patients])


def map_estimates(
    scored: MapValues, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Map -> mean over patients; undefined for one without a score."""
    found = {}
    for name, values in scored.values.items():
        there = np.flatnonzero(np.isfinite(values))
        if not there.size:
            found[name] = UNDEFINED
            continue
        drawn = bootstrap(
            len(there),
            _mean(values[there]),
            groups=_of(scored.groups, there),
            folds=scored.folds[there],
            level=level,
            resamples=resamples,
            seed=seed,
        )
        found[name] = drawn["mean"]
    return found


def compare_maps(
    scored: MapValues,
    methods: Sequence[str],
    reference: str,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, MapComparison]:
    """Each method's map against the reference's, p adjusted after Holm over them all.

    :param methods: names of maps, the reference among them or not
    """
    others = [name for name in methods if name != reference and name in scored.values]
    if reference not in scored.values:
        return {}
    found = [_compare(scored, name, reference, level, resamples, seed) for name in others]
    adjusted = holm([one.difference.p for one in found])
    return {
        one.name: MapComparison(one.name, one.other, one.difference, one.patients, p)
        for one, p in zip(found, adjusted, strict=True)
    }


def against_best(
    scored: MapValues,
    methods: Sequence[str],
    baselines: Sequence[str],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, MapComparison]:
    """Each method's map against the best of the maps that see nothing of a network."""
    best = best_of(scored, baselines)
    if best is None:
        return {}
    return {name: _compare(scored, name, best, level, resamples, seed) for name in methods if name in scored.values}


def best_of(scored: MapValues, names: Sequence[str]) -> str | None:
    """Of the best mean, the first on a tie; None where none has a value."""
    means = {
        name: float(np.nanmean(scored.values[name])) for name in names if name in scored.values and _any(scored, name)
    }
    if not means:
        return None
    choose = max if scored.higher_is_better else min
    return choose(means, key=lambda name: means[name])


def map_ranks(
    scored: MapValues,
    methods: Sequence[str],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Method -> its rank by the measure, 1 the best, ties shared; of the patients that all of them have a score of."""
    from scipy.stats import rankdata

    names = [name for name in methods if name in scored.values and _any(scored, name)]
    if len(names) < 2:
        return {}
    table = np.stack([scored.values[name] for name in names])
    kept = np.flatnonzero(np.isfinite(table).all(axis=0))
    if not kept.size:
        return dict.fromkeys(names, UNDEFINED)
    towards = -1.0 if scored.higher_is_better else 1.0

    def ranks(weights: Floats) -> dict[str, Floats]:
        means = weights @ table[:, kept].T / weights.sum(axis=1, keepdims=True)
        # Equal up to the rounding of a mean is a tie.
        placed = rankdata(np.round(towards * means, 12), axis=1)
        return {name: placed[:, column] for column, name in enumerate(names)}

    return bootstrap(
        len(kept),
        ranks,
        groups=_of(scored.groups, kept),
        folds=scored.folds[kept],
        level=level,
        resamples=resamples,
        seed=seed,
    )


def measures_agree(
    scored: Sequence[MapValues],
    methods: Sequence[str],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[tuple[str, str], Estimate]:
    """Kendall's tau-b between two measures' orders of the methods, better first, for each pair of measures.

    A resample draws patients for all measures at once. NaN where a measure does not tell the methods apart, and for two
    measures of which fewer than two methods have both.

    :param scored: measures on the same patients
    """
    names = [name for name in methods if any(name in one.values and _any(one, name) for one in scored)]
    if len(names) < 2 or len(scored) < 2:
        return {}
    weights = np.concatenate(
        [
            np.ones((1, len(scored[0].folds))),
            *draws(
                len(scored[0].folds), groups=scored[0].groups, folds=scored[0].folds, resamples=resamples, seed=seed
            ),
        ]
    )
    signs = [_signs(one, names, weights) for one in scored]
    found = {}
    for place, first in enumerate(scored):
        for other in range(place + 1, len(scored)):
            taus = _tau(signs[place], signs[other])
            drawn = taus[1:][np.isfinite(taus[1:])]
            low, high = np.percentile(drawn, (50 * (1 - level), 50 * (1 + level))) if drawn.size else (np.nan, np.nan)
            found[first.measure, scored[other].measure] = Estimate(float(taus[0]), float(low), float(high))
    return found


def _signs(scored: MapValues, names: Sequence[str], weights: Floats) -> Floats:
    """(B, pairs) whether the first method of each pair is better (1), worse (-1), or neither, in each resample."""
    nothing = np.full(len(scored.folds), np.nan)
    table = np.stack([scored.values.get(name, nothing) for name in names])
    known = np.isfinite(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = weights @ np.where(known, table, 0.0).T / (weights @ known.T)
    first, second = np.triu_indices(len(names), 1)
    signs: Floats = np.sign(np.round(means[:, first] - means[:, second], 12))
    return signs if scored.higher_is_better else -signs


def _tau(first: Floats, second: Floats) -> Floats:
    """(B,) of the pairs of methods that both measures compare."""
    both = np.isfinite(first) & np.isfinite(second)
    first, second = np.where(both, first, 0.0), np.where(both, second, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau: Floats = (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return tau


def _compare(scored: MapValues, name: str, other: str, level: float, resamples: int, seed: int) -> MapComparison:
    first, second = scored.values[name], scored.values[other]
    both = np.flatnonzero(np.isfinite(first) & np.isfinite(second))
    if not both.size:
        return MapComparison(name, other, NOT_COMPARED, 0)
    drawn = paired_bootstrap(
        len(both),
        _mean(first[both]),
        _mean(second[both]),
        groups=_of(scored.groups, both),
        folds=scored.folds[both],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    return MapComparison(name, other, drawn["mean"], len(both))


def _mean(values: Floats) -> Statistics:
    """Under each resample's weights."""
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def _any(scored: MapValues, name: str) -> bool:
    return bool(np.isfinite(scored.values[name]).any())


def _of(groups: Groups | None, rows: npt.NDArray[np.intp]) -> Groups | None:
    return None if groups is None else [groups[row] for row in rows.tolist()]
