"""PPV and NPV at other prevalences."""

import numpy as np
import pytest

from triplenet.errors import BadInput
from triplenet.evaluation.intervals import Estimate, wilson
from triplenet.evaluation.predictive_values import PREVALENCES, predictive_values, ratio_of

NONE = float("nan")


def test_they_follow_from_a_thousand_people_counted():
    # 100 of 1000 are ill: 90 found, 10 missed; of 900 others 180 are called ill, 720 are not.
    (found,) = predictive_values(Estimate(0.9, 0.8, 0.95), Estimate(0.8, 0.75, 0.85), [0.1])
    assert found.prevalence == 0.1
    assert found.ppv.value == pytest.approx(90 / 270)
    assert found.npv.value == pytest.approx(720 / 730)


def test_at_the_prevalence_of_the_tested_they_are_precision_and_npv():
    # 36 of 40 ill found, 12 of 60 others called ill.
    (found,) = predictive_values(wilson(36, 40), wilson(48, 60), [0.4])
    assert (found.ppv.value, found.npv.value) == pytest.approx((36 / 48, 48 / 52))


def test_the_limits_are_those_of_the_ratio():
    sensitivity, specificity = wilson(36, 40), wilson(48, 60)
    false_positive = Estimate(1 - specificity.value, 1 - specificity.high, 1 - specificity.low)
    ratio = ratio_of(false_positive, sensitivity)
    (found,) = predictive_values(sensitivity, specificity, [0.1])
    assert (found.ppv.low, found.ppv.high) == pytest.approx((1 / (1 + 9 * ratio.high), 1 / (1 + 9 * ratio.low)))
    assert found.npv.low < found.npv.value < found.npv.high
    (swapped,) = predictive_values(specificity, sensitivity, [0.9])  # of the healthy as the ill
    assert (swapped.ppv.low, swapped.ppv.high) == pytest.approx((found.npv.low, found.npv.high))


def test_a_ratio_has_the_limits_of_donner_and_zou():
    # By their formula, worked out step by step: theta 0.2 (0.1, 0.35) over 0.8 (0.7, 0.88).
    a, (l1, u1), b, (l2, u2) = 0.2, (0.1, 0.35), 0.8, (0.7, 0.88)
    found = ratio_of(Estimate(a, l1, u1), Estimate(b, l2, u2))
    low = (a * b - np.sqrt((a * b) ** 2 - l1 * u2 * (2 * a - l1) * (2 * b - u2))) / (u2 * (2 * b - u2))
    high = (a * b + np.sqrt((a * b) ** 2 - u1 * l2 * (2 * a - u1) * (2 * b - l2))) / (l2 * (2 * b - l2))
    assert (found.value, found.low, found.high) == pytest.approx((0.25, low, high))
    assert found.low < 0.25 < found.high


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = 0.9 * 0.1 / (0.9 * 0.1 + 0.2 * 0.9)
    inside = 0
    for ill, well in zip(rng.binomial(60, 0.9, 1500).tolist(), rng.binomial(90, 0.8, 1500).tolist(), strict=True):
        (found,) = predictive_values(wilson(ill, 60), wilson(well, 90), [0.1])
        inside += found.ppv.low <= truth <= found.ppv.high
    assert inside / 1500 == pytest.approx(0.95, abs=0.02)


def test_nobody_is_wrongly_called_so():
    (found,) = predictive_values(wilson(30, 40), wilson(50, 50), [0.2])
    assert (found.ppv.value, found.ppv.high) == (1, 1)
    assert 0.5 < found.ppv.low < 1
    (found,) = predictive_values(wilson(0, 40), wilson(40, 50), [0.2])  # all who are called so are wrong
    assert (found.ppv.value, found.ppv.low) == (0, 0)
    assert 0 < found.ppv.high < 0.2
    assert found.npv.low < found.npv.value < 0.8


def test_where_nobody_is_called_so_there_is_no_value():
    (found,) = predictive_values(wilson(0, 40), wilson(50, 50), [0.2])
    assert np.isnan([found.ppv.value, found.ppv.low, found.ppv.high]).all()
    assert found.npv.value == pytest.approx(0.8)


def test_without_limits_of_either_there_is_a_value_alone():
    (found,) = predictive_values(Estimate(0.9, NONE, NONE), wilson(40, 50), [0.5])
    assert found.ppv.value == pytest.approx(0.9 / 1.1)
    assert np.isnan([found.ppv.low, found.ppv.high, found.npv.low, found.npv.high]).all()


def test_the_rarer_the_disease_the_lower_the_ppv():
    found = predictive_values(wilson(36, 40), wilson(48, 60))
    assert tuple(one.prevalence for one in found) == PREVALENCES == (0.05, 0.1, 0.2, 0.5)
    assert sorted(one.ppv.value for one in found) == [one.ppv.value for one in found]
    assert sorted((one.npv.value for one in found), reverse=True) == [one.npv.value for one in found]


@pytest.mark.parametrize("wrong", [0.0, 1.0, 5.0, NONE])
def test_a_prevalence_lies_between_0_and_1(wrong):
    with pytest.raises(BadInput, match="prevalence"):
        predictive_values(wilson(36, 40), wilson(48, 60), [wrong])
