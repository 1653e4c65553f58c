"""Thresholds are chosen on validation patients."""

import inspect
import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from triplenet.evaluation.thresholds import FIXED_HALF, YOUDEN, choose, fixed_sensitivity


@pytest.fixture
def validation():
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3 == 0
    return truth, np.clip(0.3 + 0.3 * truth + 0.2 * rng.normal(size=60), 0, 1).round(2)


def test_youdens_is_the_best_of_scikit_learns_roc(validation):
    truth, p = validation
    false, true, _ = roc_curve(truth, p)
    found = choose(truth, p, YOUDEN)
    assert found.sensitivity + found.specificity - 1 == pytest.approx((true - false).max())


@pytest.mark.parametrize("sensitivity", [0.5, 0.8, 0.9, 1.0])
def test_a_fixed_sensitivity_is_reached_with_the_best_specificity(validation, sensitivity):
    truth, p = validation
    false, true, _ = roc_curve(truth, p, drop_intermediate=False)
    found = choose(truth, p, fixed_sensitivity(sensitivity))
    assert found.sensitivity >= sensitivity
    assert found.specificity == pytest.approx(1 - false[true >= sensitivity - 1e-12].min())


def test_nine_of_ten_are_ninety_per_cent():
    p = np.arange(1, 11) / 20
    assert choose([1] * 10, p, fixed_sensitivity(0.9)).value == pytest.approx(0.075)


def test_ninety_per_cent_of_eleven_are_ten():
    p = np.arange(1, 12) / 20
    found = choose([1] * 11, p, fixed_sensitivity(0.9))
    assert found.sensitivity == pytest.approx(10 / 11)
    assert found.value == pytest.approx(0.075)


def test_what_was_said_of_validation_is_what_the_threshold_does_there(validation):
    truth, p = validation
    for rule in (FIXED_HALF, YOUDEN, fixed_sensitivity(0.9)):
        found = choose(truth, p, rule)
        called = found.apply(p)
        assert found.sensitivity == pytest.approx(called[truth].mean())
        assert found.specificity == pytest.approx((~called[~truth]).mean())
        if rule is not FIXED_HALF:
            assert found.value not in p


def test_of_equally_good_thresholds_youdens_takes_the_most_sensitive():
    # After 0.8: 1 of 2 and 0 of 2; after 0.4: 2 of 2 and 1 of 2.
    found = choose([1, 0, 1, 0], [0.8, 0.6, 0.4, 0.2], YOUDEN)
    assert found.sensitivity == 1
    assert found.value == pytest.approx(0.3)


def test_ties_are_called_all_or_none():
    found = choose([1, 1, 0, 0], [0.6] * 4, fixed_sensitivity(0.5))
    assert (found.sensitivity, found.specificity) == (1, 0)
    reversed_scores = choose([1, 0], [0.2, 0.8], YOUDEN)
    assert reversed_scores.sensitivity in (0, 1)


def test_saturated_probabilities_are_parted():
    found = choose([1, 1, 0, 0], [1.0, 1.0, 1.0, 0.0], YOUDEN)
    assert (found.sensitivity, found.specificity) == (1, 0.5)
    nobody = choose([0, 0, 0, 1], [1.0, 1.0, 1.0, 0.0], YOUDEN)
    assert np.isfinite(nobody.value)
    close = np.nextafter(0.5, 1)
    assert choose([0, 1], [0.5, close], YOUDEN).apply([0.5, close]).tolist() == [False, True]


def test_without_positives_or_negatives_it_is_a_half_and_says_why():
    for rule in (YOUDEN, fixed_sensitivity(0.9)):
        found = choose([0, 0], [0.1, 0.2], rule)
        assert found.value == 0.5
        assert "positive" in found.fallback
        assert math.isnan(found.sensitivity)
    assert "negative" in choose([1, 1], [0.1, 0.2], YOUDEN).fallback
    only_positives = choose([1, 1], [0.1, 0.2], fixed_sensitivity(1.0))
    assert only_positives.fallback is None and only_positives.value <= 0.1
    assert choose([], [], YOUDEN).value == 0.5


def test_a_sensitivity_of_nothing_is_refused():
    for wrong in (0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="sensitivity"):
            fixed_sensitivity(wrong)


def test_choosing_has_no_way_in_for_test_patients():
    assert list(inspect.signature(choose).parameters) == ["truth", "probability", "rule"]
