"""Temperature scaling (Guo et al. 2017): one number, fitted on validation patients, that makes probabilities honest.

The order of the classes, and with it every prediction, stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Beyond these there is no maximum to be found: all right (colder and colder) or no better than chance (ever warmer).
COLDEST, HOTTEST = 0.05, 20.0
# What a float32 softmax can still tell from 0.
_LEAST = 1e-12


@dataclass(frozen=True)
class Temperature:
    """Fitted on validation patients."""

    value: float
    """Above 1: the network was too sure of itself"""
    patients: int
    before: float
    """Mean negative log-likelihood of those patients, in nats"""
    after: float
    at_bound: bool
    """The likelihood has no maximum between ``COLDEST`` and ``HOTTEST``; the value is the nearer of them"""


def fit_temperature(labels: Labels, probabilities: Floats) -> Temperature:
    """The temperature with the least negative log-likelihood of these (validation) patients.

    Without a labelled patient it is 1.

    :param labels: (N,) -1 does not count
    :param probabilities: (N, C)
    """
    from scipy.optimize import minimize_scalar

    known = labels >= 0
    truth, log_p = labels[known], _logarithm(probabilities[known])
    if not len(truth):
        return Temperature(1.0, 0, np.nan, np.nan, False)

    def loss(log_temperature: float) -> float:
        fitted = _log_softmax(log_p / np.exp(log_temperature))
        return float(-fitted[np.arange(len(truth)), truth].mean())

    low, high = np.log(COLDEST), np.log(HOTTEST)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    best, least = min(((float(x), loss(float(x))) for x in (found.x, low, high)), key=lambda pair: pair[1])
    at_bound = best - low < 1e-4 or high - best < 1e-4
    return Temperature(float(np.clip(np.exp(best), COLDEST, HOTTEST)), len(truth), loss(0.0), least, at_bound)


def apply_temperature(probabilities: Floats, temperature: Temperature | float) -> Floats:
    """(N, C) probabilities at this temperature; those of other patients than it was fitted on."""
    value = temperature.value if isinstance(temperature, Temperature) else temperature
    return np.exp(_log_softmax(_logarithm(probabilities) / value))


def _logarithm(probabilities: Floats) -> Floats:
    # Logits and log-probabilities differ by a constant a patient, which the softmax does not see.
    logarithm: Floats = np.log(np.maximum(probabilities, _LEAST))
    return logarithm


def _log_softmax(values: Floats) -> Floats:
    from scipy.special import log_softmax

    found: Floats = log_softmax(values, axis=1)
    return found
