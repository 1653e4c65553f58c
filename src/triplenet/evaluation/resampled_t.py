"""Methods against a reference over trainings: the corrected resampled t test (Nadeau and Bengio 2003).

A pair of runs, one of each method, has the same fold and seed; what is tested is whether their differences are 0 on the
mean. The folds' training sets overlap, so that differences are less spread than those of independent trainings: their
variance is taken 1 / J + (test patients / training patients) times, J being the pairs, in place of 1 / J (Bouckaert and
Frank 2004 for repeated folds). Unlike the tests of ``comparisons`` it does not hold the networks fixed: it asks about
the way of training, with few degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, Difference
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.paired_tests import holm
from triplenet.evaluation.predictions import OutOfFoldPredictions, run_values
from triplenet.training.job import Job

UNKNOWN = Difference(np.nan, np.nan, np.nan, np.nan)
#: The differences of so many pairs have a variance.
_LEAST = 2


@dataclass(frozen=True)
class RunComparison:
    """One method against the reference in one metric, over the runs that both have."""

    method: str
    reference: str
    metric: str
    difference: Difference
    """Mean over the pairs of runs, method minus reference; neither interval nor p of a single pair"""
    spread: float
    """Of the differences, their standard deviation (ddof 1)"""
    adjusted: float
    """p after Holm over all that are compared in this metric"""
    seeds_averaged: float
    """p of the folds' mean differences, which does not count a fold's patients once a seed; NaN with one fold"""
    runs: int
    """Pairs"""
    test_share: float
    """Test patients over training patients, mean over the pairs; NaN where a run does not tell"""


def corrected_resampled_t(differences: npt.ArrayLike, test_share: float, *, level: float = LEVEL) -> Difference:
    """Mean of paired differences with the interval and two-sided p of the corrected resampled t test.

    :param differences: (J,) one a pair of runs
    :param test_share: test patients over training patients
    """
    from scipy.stats import t

    d = np.asarray(differences, dtype=np.float64)
    if len(d) < _LEAST or np.isnan(test_share):
        return replace(UNKNOWN, value=float(d.mean()) if len(d) else np.nan)
    value = float(d.mean())
    if np.ptp(d) < 1e-12:  # as with equal resamples: they say nothing of chance
        same = abs(value) < 1e-12
        return replace(UNKNOWN, value=value, p=1.0 if same else np.nan)
    error = float(np.sqrt((1 / len(d) + test_share) * d.var(ddof=1)))
    half = float(t.ppf((1 + level) / 2, len(d) - 1)) * error
    return Difference(value, value - half, value + half, float(2 * t.sf(abs(value) / error, len(d) - 1)))


def compare_runs(
    predictions: Mapping[str, OutOfFoldPredictions],
    reference: str,
    *,
    positive: int | None,
    metrics: Sequence[str],
    trained: Mapping[Job, int],
    level: float = LEVEL,
) -> tuple[RunComparison, ...]:
    """Every other method against the reference, in the folds and seeds that both have a run of.

    :param predictions: of ``predictions.join``: the same patients, folds and seeds for all
    :param metrics: names of ``statistics``
    :param trained: how many patients each run was trained on; of a pair the smaller number counts
    """
    values = {name: run_values(own, positive) for name, own in predictions.items()}
    rows = []
    for method in predictions:
        if method == reference:
            continue
        shares = _test_shares(predictions[method], method, reference, trained)
        for metric in metrics:
            nothing = np.full(shares.shape, np.nan)
            gaps = values[method].get(metric, nothing) - values[reference].get(metric, nothing)
            rows.append(_comparison(method, reference, metric, gaps, shares, level))
    adjusted = {
        metric: iter(holm([row.difference.p for row in rows if row.metric == metric]))  # in the order of the rows
        for metric in metrics
    }
    return tuple(replace(row, adjusted=next(adjusted[row.metric])) for row in rows)


def _test_shares(predictions: OutOfFoldPredictions, method: str, reference: str, trained: Mapping[Job, int]) -> Floats:
    """(F, S) test patients over training patients of a pair of runs."""
    return np.array(
        [
            [
                len(predictions.rows(fold)) / patients if patients else np.nan
                for seed in predictions.seeds
                for jobs in [(Job(method, fold, seed), Job(reference, fold, seed))]
                for patients in [min((trained[job] for job in jobs if job in trained), default=0)]
            ]
            for fold in predictions.fold_numbers
        ]
    )


def _comparison(method: str, reference: str, metric: str, gaps: Floats, shares: Floats, level: float) -> RunComparison:
    """:param gaps: (F, S) differences, NaN where either has no value"""
    there = ~np.isnan(gaps)
    d = gaps[there]
    share = float(shares[there].mean()) if len(d) else np.nan
    of_folds = [row[known].mean() for row, known in zip(gaps, there, strict=True) if known.any()]
    return RunComparison(
        method,
        reference,
        metric,
        corrected_resampled_t(d, share, level=level),
        float(d.std(ddof=1)) if len(d) >= _LEAST else np.nan,
        np.nan,
        corrected_resampled_t(of_folds, share).p,
        len(d),
        share,
    )
