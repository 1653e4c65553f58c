"""A threshold on a score, and a logistic probe whose penalty the validation patients choose."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from triplenet.errors import BadInput
from triplenet.evaluation.probe import INVERSE_PENALTIES, Part, fit_probe, share_as_probability, threshold_on


def test_a_threshold_parts_the_validation_patients():
    """Of 0.1, 0.3 | 0.5, 0.9 all are called rightly half way between 0.3 and 0.5."""
    assert threshold_on(np.array([0.5, 0.1, 0.9, 0.3]), np.array([1, 0, 1, 0])) == 0.4


def test_a_share_is_one_half_at_the_threshold_and_keeps_its_order():
    shares = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    assert share_as_probability(shares, 0.2) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0], abs=2e-6)
    said = share_as_probability(np.array([0.2 - 1e-12, 0.2]), 0.2)
    assert [f"{value:.9g}" for value in said] == ["0.499999", "0.500001"]  # and so the file tells who is called


@pytest.mark.parametrize(("threshold", "called"), [(0.0, [True, True]), (np.nextafter(1.0, 2.0), [False, False])])
def test_everybody_or_nobody_may_be_called(threshold, called):
    said = share_as_probability(np.array([0.0, 1.0]), threshold)
    assert (said > 0.5).tolist() == called
    assert np.isfinite(said).all() and (said >= 0).all() and (said <= 1).all()


def parts(noise):
    """Patients of three classes whose first feature tells the class, beside features that tell nothing."""
    rng = np.random.default_rng(3)
    found = []
    for count in (30, 24, 12):
        labels = np.arange(count) % 3
        features = rng.normal(size=(count, 12)) * 50
        features[:, 0] = 100 * labels + noise * rng.normal(size=count)
        found.append(Part(features, labels))
    return found


@pytest.mark.parametrize("noise", [60.0, 5.0])
def test_the_penalty_is_the_one_that_loses_least_on_validation(noise):
    """As a loop over scikit-learn's models finds it, with the training patients' mean and spread."""
    training, validation, test = parts(noise)
    probe = fit_probe(training, validation, 3)
    mean, spread = training.features.mean(0), training.features.std(0)
    losses, models = [], []
    for strength in INVERSE_PENALTIES:
        model = LogisticRegression(C=strength, max_iter=5000).fit((training.features - mean) / spread, training.labels)
        losses.append(log_loss(validation.labels, model.predict_proba((validation.features - mean) / spread)))
        models.append(model)
    best = int(np.argmin(losses))
    assert 0 < best < len(INVERSE_PENALTIES) - 1 or noise < 60
    assert probe.inverse_penalty == INVERSE_PENALTIES[best]
    assert probe.predict(test.features) == pytest.approx(models[best].predict_proba((test.features - mean) / spread))
    assert probe.parameters == 3 * 12 + 3


def test_noise_asks_for_more_penalty_than_what_is_clear():
    noisy, clear = (fit_probe(*parts(noise)[:2], 3).inverse_penalty for noise in (60.0, 1.0))
    assert noisy < clear


def test_a_class_without_training_patients_is_never_said_and_a_constant_feature_does_no_harm():
    training = Part(np.array([[0.0, 7], [1, 7], [0, 7], [1, 7]]), np.array([0, 2, 0, 2]))
    said = fit_probe(training, training, 3).predict(np.array([[0.0, 7], [1, 7]]))
    assert said[:, 1].tolist() == [0, 0]
    assert said.argmax(1).tolist() == [0, 2]
    assert said.sum(1) == pytest.approx([1, 1])


def test_one_class_alone_is_refused():
    alone = Part(np.zeros((3, 2)), np.zeros(3, dtype=np.int64))
    with pytest.raises(BadInput, match="training patients of two classes"):
        fit_probe(alone, alone, 2)
