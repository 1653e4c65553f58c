"""Temperature scaling."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from triplenet.model.temperature import COLDEST, HOTTEST, apply_temperature, fit_temperature


def drawn(n, temperature, seed=0):
    """Patients whose labels follow the softmax of logits / temperature; the network says the softmax of the logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * 3
    honest = softmax(logits / temperature, axis=1)
    labels = (rng.random((n, 1)) > honest.cumsum(1)).sum(1)
    return labels, softmax(logits, axis=1), honest


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature):
    labels, probabilities, honest = drawn(20_000, temperature)
    found = fit_temperature(labels, probabilities)
    assert found.value == pytest.approx(temperature, rel=0.03)
    assert not found.at_bound
    assert apply_temperature(probabilities, temperature) == pytest.approx(honest, abs=1e-6)


def test_no_temperature_has_less_loss():
    labels, probabilities, _ = drawn(300, 2)
    found = fit_temperature(labels, probabilities)
    grid = [log_loss(labels, softmax(np.log(probabilities) / t, axis=1)) for t in np.linspace(0.5, 8, 400)]
    assert found.after <= min(grid) + 1e-9
    assert found.after == pytest.approx(log_loss(labels, apply_temperature(probabilities, found)))
    assert found.before == pytest.approx(log_loss(labels, probabilities))


def test_predictions_stay_as_they_are():
    _, probabilities, _ = drawn(300, 1)
    warm = apply_temperature(probabilities, 5.0)
    assert (warm.argmax(1) == probabilities.argmax(1)).all()
    assert warm.sum(1) == pytest.approx(1)
    assert warm.max() < probabilities.max()


def test_where_there_is_no_best_temperature_the_bound_says_so():
    right = np.eye(3)[[0, 1, 2]] * 0.4 + 0.2
    cold = fit_temperature(np.array([0, 1, 2]), right)
    assert (cold.value, cold.at_bound) == (pytest.approx(COLDEST), True)
    hot = fit_temperature(np.array([1, 2, 0]), right)
    assert (hot.value, hot.at_bound) == (pytest.approx(HOTTEST), True)
    saturated = fit_temperature(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]])
    assert np.isfinite([saturated.value, saturated.after]).all()


def test_patients_without_a_label_do_not_count():
    labels, probabilities, _ = drawn(200, 2)
    more = fit_temperature(np.append(labels, [-1] * 50), np.vstack([probabilities, probabilities[:50]]))
    assert more == fit_temperature(labels, probabilities)
    assert fit_temperature(np.array([-1]), np.array([[0.5, 0.5]])).value == 1
