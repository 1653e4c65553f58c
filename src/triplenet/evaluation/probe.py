"""Probabilities from numbers that no network of ours gave: a logistic probe of features, a threshold on one score.

Nothing here sees a test patient's label: a probe is fitted on training patients and its penalty chosen on validation
patients; a score's threshold is chosen on validation patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from triplenet.errors import BadInput
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.statistics import Labels
from triplenet.evaluation.thresholds import YOUDEN, choose

#: Inverse strengths of the squared penalty, the strongest first; features are standardised before.
INVERSE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
#: So much is kept between a threshold and the probability one half, so that nine digits tell on which side it is.
_APART = 1e-6
_LEAST = 1e-15


@dataclass(frozen=True)
class Probe:
    """A fitted logistic regression on standardised features."""

    predict: Callable[[Floats], Floats]
    """(n, D) features -> (n, C) probabilities"""
    inverse_penalty: float
    """The one of ``INVERSE_PENALTIES`` that was chosen"""
    parameters: int


@dataclass(frozen=True)
class Part:
    """Patients with a label: of training, or of validation."""

    features: Floats
    """(n, D)"""
    labels: Labels
    """(n,) 0 to C - 1"""


def fit_probe(training: Part, validation: Part, classes: int) -> Probe:
    """A multinomial logistic regression with the squared penalty that loses least on validation.

    Each feature is centred and scaled by the training patients' mean and standard deviation. Of equals the strongest
    penalty is taken. A class without training patients has probability 0.

    :raises BadInput: the training patients are of one class
    """
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(training.labels)
    if len(seen) < 2:
        raise BadInput("a probe needs training patients of two classes", do="choose another task or other folds")
    mean, spread = training.features.mean(0), training.features.std(0)
    spread = np.where(spread > 0, spread, 1.0)

    def predict_by(model: LogisticRegression, features: Floats) -> Floats:
        found = np.zeros((len(features), classes))
        found[:, seen] = model.predict_proba((features - mean) / spread)
        return found

    def lost(model: LogisticRegression) -> float:
        said = predict_by(model, validation.features)[np.arange(len(validation.labels)), validation.labels]
        return float(-np.log(np.maximum(said, _LEAST)).mean()) if len(said) else 0.0

    models = [
        LogisticRegression(C=strength, max_iter=5000).fit((training.features - mean) / spread, training.labels)
        for strength in INVERSE_PENALTIES
    ]
    best = min(models, key=lost)  # the first of equals
    return Probe(lambda features: predict_by(best, features), float(best.C), int(best.coef_.size + len(best.coef_)))


def threshold_on(score: Floats, positive: Labels) -> float:
    """The score from which validation patients are called positive: Youden's, see ``thresholds``.

    :param score: (n,) 0 to 1
    :param positive: (n,) whether
    """
    return choose(positive, score, YOUDEN).value


def share_as_probability(score: Floats, threshold: float) -> Floats:
    """A score as the probability of the positive class: in its order, and above one half from the threshold on.

    It is linear on both sides of the threshold and says who comes before whom and who is called; it is not calibrated.

    :param score: (n,) 0 to 1
    :param threshold: 0 to 1, or just above 1, where nobody is called
    """
    below = (0.5 - _APART) * score / max(threshold, _LEAST)
    above = 0.5 + _APART + (0.5 - _APART) * (score - threshold) / max(1.0 - threshold, _LEAST)
    return np.where(score < threshold, below, np.minimum(above, 1.0))
