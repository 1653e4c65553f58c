"""Whether a method's probabilities mean what they say, over the test patients of all folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triplenet.evaluation.answers import Answers
from triplenet.evaluation.calibration import (
    calibration_statistics,
    error_by_chance,
    expected_calibration_error,
    top_label,
)
from triplenet.evaluation.intervals import RESAMPLES, Estimate, bootstrap
from triplenet.evaluation.statistics import Floats, Labels, mean_of, on_rows


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


def event(answers: Answers, positive: int | None, place: int) -> tuple[Floats, Floats]:
    """What calibration is about, for the patients whom the seed at ``place`` answers: (n,) 1 or 0, and (n,) its
    probability: the positive class, or with several classes that the most probable one is right.
    """
    rows = _answered(answers, place)
    labels, probabilities = answers.labels[rows], answers.probabilities[place, rows]
    if positive is not None:
        return (labels == positive).astype(np.float64), probabilities[:, positive]
    right, probability = top_label(labels, probabilities)
    return right.astype(np.float64), probability


def _answered(answers: Answers, place: int) -> Labels:
    """(n,) rows that the seed at ``place`` answers."""
    rows: Labels = np.flatnonzero(np.isfinite(answers.probabilities[place]).all(1))
    return rows


def calibration_of(answers: Answers, positive: int | None, *, resamples: int = RESAMPLES) -> Calibration:
    """Calibration with intervals over patients.

    :param positive: the target of a binary task; None: of the most probable class
    """
    seeds = [place for place in range(len(answers.seeds)) if len(_answered(answers, place))]
    if not seeds:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return Calibration(np.nan, np.nan, nothing, nothing, nothing, nothing)
    events = [event(answers, positive, place) for place in seeds]
    found = bootstrap(
        len(answers.labels),
        mean_of(
            [
                on_rows(calibration_statistics(*one), _answered(answers, place))
                for place, one in zip(seeds, events, strict=True)
            ]
        ),
        groups=answers.groups,
        folds=answers.folds,
        resamples=resamples,
    )
    return Calibration(
        float(np.mean([expected_calibration_error(*one) for one in events])),
        float(np.mean([error_by_chance(probability) for _, probability in events])),
        **found,
    )
