"""What each run chooses on its validation patients, thresholds and temperatures, carried over to its test patients.

Choosing takes the validation patients' predictions only and applying takes no labels, so that nothing is chosen on the
test patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from triplenet.evaluation.predictions import OutOfFoldPredictions, RunPredictions
from triplenet.evaluation.thresholds import Rule, Threshold, choose
from triplenet.model.temperature import Temperature, apply_temperature, fit_temperature

RunKey = tuple[int, int]
"""Fold and seed of a run."""


def choose_thresholds(validation: Iterable[RunPredictions], rule: Rule, positive: int) -> dict[RunKey, Threshold]:
    """Each run's threshold by its own validation patients; those without a label do not count."""
    found = {}
    for run in validation:
        known = run.labels >= 0
        found[run.fold, run.seed] = choose(run.labels[known] == positive, run.probabilities[known, positive], rule)
    return found


def fit_temperatures(validation: Iterable[RunPredictions]) -> dict[RunKey, Temperature]:
    """Each run's temperature by its own validation patients."""
    return {(run.fold, run.seed): fit_temperature(run.labels, run.probabilities) for run in validation}


def with_thresholds(
    predictions: OutOfFoldPredictions, thresholds: Mapping[RunKey, Threshold], positive: int
) -> OutOfFoldPredictions:
    """The same binary predictions, the classes called by each run's threshold.

    :raises KeyError: a run that did not fail has no threshold
    """
    thresholded = predictions.probabilities.argmax(2)
    for fold, seed_index, rows in predictions.runs():
        called = thresholds[fold, predictions.seeds[seed_index]].apply(
            predictions.probabilities[seed_index, rows, positive]
        )
        thresholded[seed_index, rows] = np.where(called, positive, 1 - positive)
    return replace(predictions, thresholded=thresholded)


def at_temperature(
    validation: Iterable[RunPredictions], temperatures: Mapping[RunKey, Temperature]
) -> list[RunPredictions]:
    """What runs say of their validation patients, the probabilities at each run's temperature.

    :raises KeyError: a run has no temperature
    """
    return [
        replace(run, probabilities=apply_temperature(run.probabilities, temperatures[run.fold, run.seed]))
        for run in validation
    ]


def with_temperatures(
    predictions: OutOfFoldPredictions, temperatures: Mapping[RunKey, Temperature]
) -> OutOfFoldPredictions:
    """The same predictions, the probabilities at each run's temperature; the predicted classes stay.

    :raises KeyError: a run that did not fail has no temperature
    """
    probabilities = predictions.probabilities.copy()
    for fold, seed_index, rows in predictions.runs():
        temperature = temperatures[fold, predictions.seeds[seed_index]]
        probabilities[seed_index, rows] = apply_temperature(predictions.probabilities[seed_index, rows], temperature)
    return replace(predictions, probabilities=probabilities)
