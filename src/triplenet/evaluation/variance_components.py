"""The variance of a metric over runs, parted: which patients train and test, and the seed of the training.

Runs of one fold have the same patients and differ in nothing but their seed. A one-way analysis of variance with random
effects (Searle, Casella and McCulloch 1992, chapter 3) over folds parts the two: the mean square within the folds is
the seeds' variance, and what the folds' means vary beyond it is the patients'. Folds count as independent, although
their training sets overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import LEVEL, UNDEFINED, Estimate, without_zero_width

ONE_SEED = "one seed: what another training of the same patients would give is not told apart from the patients"
ONE_FOLD = "one fold: what other patients would give over trainings is not estimated"
NO_RUN = "no run has a value"


@dataclass(frozen=True)
class VarianceComponents:
    """Standard deviations of one run of one fold; NaN where they cannot be estimated."""

    patients: float
    """Between folds, of the patients trained on and tested; 0 where the folds differ no more than the seeds explain"""
    seeds: Estimate
    """Between trainings of the same patients, with the interval of a normal distribution's"""
    seed_share: float
    """Of the seeds in the variance of a run, 0 to 1"""
    standard_error: float
    """Of the mean over folds and seeds, both parts together"""
    folds: int
    runs: int
    missing: tuple[str, ...]
    """What cannot be estimated, and why"""


def variance_components(values: npt.ArrayLike, *, level: float = LEVEL) -> VarianceComponents:
    """Of one metric.

    :param values: (F, S) by fold and seed, NaN where a run has none
    """
    rows = [row[~np.isnan(row)] for row in np.atleast_2d(np.asarray(values, dtype=np.float64))]
    rows = [row for row in rows if len(row)]
    counts = np.array([len(row) for row in rows])
    runs, folds = int(counts.sum()), len(rows)
    repeats = runs - folds
    missing = [NO_RUN] * (not runs) + [ONE_SEED] * (0 < runs == folds) + [ONE_FOLD] * (folds == 1)
    nothing = VarianceComponents(np.nan, UNDEFINED, np.nan, np.nan, folds, runs, tuple(missing))
    if not runs:
        return nothing
    means = np.array([row.mean() for row in rows])
    if not repeats:
        error = float(means.std(ddof=1) / np.sqrt(folds)) if folds > 1 else np.nan
        return VarianceComponents(np.nan, UNDEFINED, np.nan, error, folds, runs, tuple(missing))
    within = float(sum(((row - row.mean()) ** 2).sum() for row in rows)) / repeats
    seeds = _with_interval(within, repeats, level)
    if folds == 1:
        return VarianceComponents(np.nan, seeds, np.nan, np.nan, folds, runs, tuple(missing))
    whole = float((counts * means).sum() / runs)
    between = float((counts * (means - whole) ** 2).sum()) / (folds - 1)
    # Runs a fold, where folds have unequally many: as many as make the expectation right.
    each = (runs - float((counts**2).sum()) / runs) / (folds - 1)
    patients = max(0.0, (between - within) / each)
    total = patients + within
    error = float(np.sqrt(patients / folds + within * (1 / counts).sum() / folds**2))
    share = within / total if total > 0 else np.nan
    return VarianceComponents(float(np.sqrt(patients)), seeds, share, error, folds, runs, ())


def _with_interval(within: float, freedom: int, level: float) -> Estimate:
    """The square root of a mean square with that of its chi-squared interval."""
    from scipy.stats import chi2

    low, high = (freedom * within / float(chi2.ppf(part, freedom)) for part in ((1 + level) / 2, (1 - level) / 2))
    return without_zero_width(Estimate(float(np.sqrt(within)), float(np.sqrt(low)), float(np.sqrt(high))))
