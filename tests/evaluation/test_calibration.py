"""Reliability, calibration error, Brier score and the calibration line."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from triplenet.evaluation.calibration import (
    calibration_statistics,
    error_by_chance,
    expected_calibration_error,
    reliability,
    top_label,
)
from triplenet.evaluation.intervals import wilson


@pytest.fixture
def honest():
    rng = np.random.default_rng(0)
    p = rng.beta(1.5, 1.5, 3000)
    return rng.random(3000) < p, p


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("count", "quantile")])
def test_the_curve_is_scikit_learns(honest, binning, strategy):
    truth, p = honest
    found = reliability(truth, p, bins=8, binning=binning)
    observed, predicted = calibration_curve(truth, p, n_bins=8, strategy=strategy)
    assert [one.observed.value for one in found] == pytest.approx(observed)
    assert [one.predicted for one in found] == pytest.approx(predicted)
    assert sum(one.patients for one in found) == 3000
    if binning == "count":
        assert {one.patients for one in found} == {375}


def test_bins_by_hand():
    first, second = reliability([0, 1, 1, 1], [0.1, 0.15, 0.9, 0.8], bins=2)
    assert (first.low, first.high, first.patients, first.predicted) == pytest.approx((0, 0.5, 2, 0.125))
    assert first.observed == wilson(1, 2)
    assert second.observed == wilson(2, 2)
    # (2 * |0.5 - 0.125| + 2 * |1 - 0.85|) / 4
    assert expected_calibration_error([0, 1, 1, 1], [0.1, 0.15, 0.9, 0.8], bins=2) == pytest.approx(0.2625)


def test_a_probability_on_an_edge_is_in_the_bin_below():
    (first, second) = reliability([0, 1, 1], [0.2, 0.5, 0.6], bins=2)
    assert (first.patients, second.patients) == (2, 1)


def test_ties_and_the_ends_of_the_scale_have_a_bin_each_patient_once():
    p = [0.0] * 5 + [1.0] * 5 + [0.5] * 10
    for binning in ("width", "count"):
        assert sum(one.patients for one in reliability([1] * 20, p, binning=binning)) == 20
    (one,) = reliability([0, 1, 1], [0.7, 0.7, 0.7], binning="count")
    assert (one.patients, one.predicted) == (3, pytest.approx(0.7))
    assert reliability([], []) == ()
    assert math.isnan(expected_calibration_error([], []))


def test_an_honest_model_has_little_error_and_a_boastful_one_much(honest):
    truth, p = honest
    boastful = p**3 / (p**3 + (1 - p) ** 3)
    assert expected_calibration_error(truth, p) < 0.03
    assert expected_calibration_error(truth, boastful) > 0.1


def of_all(truth, p):
    """The statistics of everybody counted once."""
    return SimpleNamespace(
        **{name: value[0] for name, value in calibration_statistics(truth, p)(np.ones((1, len(p)))).items()}
    )


def test_brier_scores(honest):
    truth, p = honest
    assert of_all(truth, p).brier == pytest.approx(brier_score_loss(truth, p))


def test_the_line_is_logistic_regression_on_the_logit(honest):
    truth, p = honest
    boastful = p**2 / (p**2 + (1 - p) ** 2)
    x = np.log(boastful / (1 - boastful))
    oracle = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(x[:, None], truth)
    found = of_all(truth, boastful)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(oracle.intercept_[0], abs=1e-4)
    assert found.slope == pytest.approx(0.5, abs=0.05)


def test_calibration_in_the_large_makes_the_mean_probability_the_share(honest):
    truth, p = honest
    low = p / (p + (1 - p) * math.e)  # one unit of logit too low
    found = of_all(truth, low)
    assert found.in_the_large == pytest.approx(1, abs=0.1)
    shifted = 1 / (1 + np.exp(-(np.log(low / (1 - low)) + found.in_the_large)))
    assert shifted.mean() == pytest.approx(truth.mean())


def test_a_line_that_has_no_maximum_is_not_made_up():
    assert math.isnan(of_all([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]).slope)
    assert math.isnan(of_all([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]).slope)
    assert math.isnan(of_all([1, 1], [0.1, 0.9]).in_the_large)
    flat = of_all([0, 1, 1, 1], [0.5] * 4)
    assert math.isnan(flat.slope)
    assert flat.in_the_large == pytest.approx(math.log(3))
    saturated = of_all([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0])
    assert math.isfinite(saturated.slope)


def test_statistics_under_weights_are_those_of_patients_drawn_so_often(honest):
    rng = np.random.default_rng(3)
    truth, p = (values[:80] for values in honest)
    weights = rng.multinomial(80, np.full(80, 1 / 80), size=20).astype(np.float64)
    found = calibration_statistics(truth, p)(weights)
    for row, times in enumerate(weights.astype(int)):
        line = of_all(np.repeat(truth, times), np.repeat(p, times))
        assert found["slope"][row] == pytest.approx(line.slope, abs=1e-7)
        assert found["in_the_large"][row] == pytest.approx(line.in_the_large, abs=1e-7)
        assert found["brier"][row] == pytest.approx(line.brier)


@pytest.mark.parametrize("scale", [0.2, 1.0, 12.0])
def test_the_line_is_found_from_timid_and_from_extreme_probabilities(scale):
    rng = np.random.default_rng(1)
    x = rng.normal(size=400) * scale
    p = 1 / (1 + np.exp(-x))
    truth = rng.random(400) < 1 / (1 + np.exp(-np.clip(x, -3, 3)))
    x = np.log(np.clip(p, 1e-7, 1 - 1e-7) / np.clip(1 - p, 1e-7, 1))
    oracle = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(x[:, None], truth)
    found = of_all(truth, p)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(oracle.intercept_[0], abs=1e-3)


def test_a_resample_in_which_the_outcomes_are_parted_has_no_slope():
    statistics = calibration_statistics([0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8])
    found = statistics(np.array([[1.0, 1, 1, 1], [2, 0, 0, 2], [0, 2, 0, 2]]))
    assert np.isfinite(found["slope"]).tolist() == [True, False, False]
    assert np.isfinite(found["in_the_large"]).tolist() == [True, True, False]


def test_perfect_probabilities_have_more_error_than_their_chance_says_in_one_of_twenty():
    rng = np.random.default_rng(2)
    p = rng.beta(2, 2, 120)
    bound = error_by_chance(p)
    beyond = sum(expected_calibration_error(rng.random(120) < p, p) > bound for _ in range(400))
    assert 6 <= beyond <= 38  # 5 % of 400 is 20; four binomial spreads are 17
    assert error_by_chance(rng.beta(2, 2, 4000)) < bound / 3
    assert math.isnan(error_by_chance([]))


def test_top_label_asks_whether_the_most_probable_class_is_right():
    right, p = top_label(np.array([0, 2]), np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]]))
    assert right.tolist() == [True, False]
    assert p.tolist() == [0.5, 0.7]
