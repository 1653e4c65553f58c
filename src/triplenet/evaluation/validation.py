"""What each run chooses on its validation patients, thresholds and temperatures, carried over to its test patients.

Choosing takes the validation answers only and applying takes no labels, so that nothing is chosen on the test patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from triplenet.evaluation.answers import Answers, RunAnswers
from triplenet.evaluation.temperature import Temperature, apply_temperature, fit_temperature
from triplenet.evaluation.thresholds import Rule, Threshold, choose

RunKey = tuple[int, int]
"""Fold and seed of a run."""


def choose_thresholds(validation: Iterable[RunAnswers], rule: Rule, positive: int) -> dict[RunKey, Threshold]:
    """Each run's threshold by its own validation patients; those without a label do not count."""
    found = {}
    for run in validation:
        known = run.labels >= 0
        found[run.fold, run.seed] = choose(run.labels[known] == positive, run.probabilities[known, positive], rule)
    return found


def fit_temperatures(validation: Iterable[RunAnswers]) -> dict[RunKey, Temperature]:
    """Each run's temperature by its own validation patients."""
    return {(run.fold, run.seed): fit_temperature(run.labels, run.probabilities) for run in validation}


def with_thresholds(answers: Answers, thresholds: Mapping[RunKey, Threshold], positive: int) -> Answers:
    """The same binary answers, the classes called by each run's threshold.

    :raises KeyError: a run that did not fail has no threshold
    """
    calls = answers.probabilities.argmax(2)
    for fold, place, rows in answers.parts():
        called = thresholds[fold, answers.seeds[place]].apply(answers.probabilities[place, rows, positive])
        calls[place, rows] = np.where(called, positive, 1 - positive)
    return replace(answers, calls=calls)


def at_temperature(validation: Iterable[RunAnswers], temperatures: Mapping[RunKey, Temperature]) -> list[RunAnswers]:
    """What runs say of their validation patients, the probabilities at each run's temperature.

    :raises KeyError: a run has no temperature
    """
    return [
        replace(run, probabilities=apply_temperature(run.probabilities, temperatures[run.fold, run.seed]))
        for run in validation
    ]


def with_temperatures(answers: Answers, temperatures: Mapping[RunKey, Temperature]) -> Answers:
    """The same answers, the probabilities at each run's temperature; the predicted classes stay.

    :raises KeyError: a run that did not fail has no temperature
    """
    probabilities = answers.probabilities.copy()
    for fold, place, rows in answers.parts():
        temperature = temperatures[fold, answers.seeds[place]]
        probabilities[place, rows] = apply_temperature(answers.probabilities[place, rows], temperature)
    return replace(answers, probabilities=probabilities)
