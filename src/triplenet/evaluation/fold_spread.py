"""What a table says of several folds and seeds: a mean and how far the folds lie from it.

The spread over folds is the population's (ddof 0), as in the paper's tables (see
``triplenet.evaluation.published_table``). Seeds are averaged within their fold first, so that it stays a spread over
patients and not over luck; the spread over seeds is told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Spread:
    """Mean and population spread (ddof 0) over the folds; of one fold there is no spread."""

    mean: float
    spread: float


@dataclass(frozen=True)
class FoldSpread(Spread):
    """The same with what it was made of; NaN where no run has a value."""

    seed_spread: float
    """Root mean square over the folds of the population spread over a fold's seeds; NaN with one seed"""
    folds: int
    """Folds that have a value"""
    runs: int
    """Runs that have a value"""
    missing: int
    """Runs without: failed, or the metric is not defined there"""


def over_folds(values: npt.ArrayLike) -> FoldSpread:
    """Mean over seeds within each fold, then mean and spread over folds.

    :param values: (F,) or (F, S), NaN where a run has no value
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    defined = ~np.isnan(table)
    rows = [row[known] for row, known in zip(table, defined, strict=True) if known.any()]
    runs = int(defined.sum())
    if not rows:
        return FoldSpread(np.nan, np.nan, np.nan, 0, 0, table.size)
    means = np.array([row.mean() for row in rows])
    several = [row.var() for row in rows if len(row) > 1]
    return FoldSpread(
        float(means.mean()),
        float(means.std()) if len(means) > 1 else np.nan,
        float(np.sqrt(np.mean(several))) if several else np.nan,
        len(rows),
        runs,
        table.size - runs,
    )
