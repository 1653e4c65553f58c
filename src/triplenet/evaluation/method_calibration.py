"""Whether a method's probabilities mean what they say, over the test patients of all folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triplenet.evaluation.calibration import (
    calibration_statistics,
    error_by_chance,
    expected_calibration_error,
    top_label,
)
from triplenet.evaluation.intervals import RESAMPLES, UNDEFINED, Estimate, bootstrap
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.statistics import Labels, mean_of, on_rows


@dataclass(frozen=True)
class Calibration:
    """Of one method; means over the seeds of what all folds' test patients give together. NaN without a run."""

    error: float
    """Expected calibration error"""
    error_by_chance: float
    """Which perfect probabilities stay below with 95 % chance"""
    brier: Estimate
    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate


def event(predictions: OutOfFoldPredictions, positive: int | None, seed_index: int) -> tuple[Floats, Floats]:
    """What calibration is about, for the patients whom one seed speaks of: (n,) 1 or 0, and (n,) its
    probability: the positive class, or with several classes that the most probable one is right.
    """
    rows = _rows_of_seed(predictions, seed_index)
    labels, probabilities = predictions.labels[rows], predictions.probabilities[seed_index, rows]
    if positive is not None:
        return (labels == positive).astype(np.float64), probabilities[:, positive]
    right, probability = top_label(labels, probabilities)
    return right.astype(np.float64), probability


def _rows_of_seed(predictions: OutOfFoldPredictions, seed_index: int) -> Labels:
    """(n,) rows that one seed speaks of."""
    rows: Labels = np.flatnonzero(np.isfinite(predictions.probabilities[seed_index]).all(1))
    return rows


def calibration_of(
    predictions: OutOfFoldPredictions, positive: int | None, *, resamples: int = RESAMPLES
) -> Calibration:
    """Calibration with intervals over patients.

    :param positive: the target of a binary task; None: of the most probable class
    """
    seeds = [seed_index for seed_index in range(len(predictions.seeds)) if len(_rows_of_seed(predictions, seed_index))]
    if not seeds:
        return Calibration(np.nan, np.nan, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED)
    events = [event(predictions, positive, seed_index) for seed_index in seeds]
    found = bootstrap(
        len(predictions.labels),
        mean_of(
            [
                on_rows(calibration_statistics(*one), _rows_of_seed(predictions, seed_index))
                for seed_index, one in zip(seeds, events, strict=True)
            ]
        ),
        groups=predictions.groups,
        folds=predictions.folds,
        resamples=resamples,
    )
    return Calibration(
        float(np.mean([expected_calibration_error(*one) for one in events])),
        float(np.mean([error_by_chance(probability) for _, probability in events])),
        **found,
    )
