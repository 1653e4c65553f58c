"""McNemar's test and Holm's correction."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, chi2

from triplenet.evaluation.paired_tests import holm, mcnemar, mcnemar_p


def test_discordant_patients_are_counted_by_hand():
    labels = [0, 0, 1, 1, 2, 2]
    found = mcnemar(labels, [0, 0, 1, 0, 2, 1], [0, 1, 0, 1, 2, 0])
    # Second and third only by the first, fourth only by the second; the last by neither.
    assert (found.only_first, found.only_second, found.form) == (2, 1, "exact")
    assert found.p == pytest.approx(1.0)


def test_the_exact_form_is_the_binomial_test():
    for b, c in ((1, 9), (0, 6), (12, 4), (5, 5)):
        assert mcnemar_p(b, c, "exact") == pytest.approx(binomtest(b, b + c).pvalue)
        assert mcnemar_p(b, c, "exact") == mcnemar_p(c, b, "exact")


def test_mid_p_counts_half_of_what_was_seen():
    tail = sum(math.comb(10, k) for k in range(2)) / 2**10
    assert mcnemar_p(1, 9, "mid-p") == pytest.approx(2 * (tail - math.comb(10, 1) / 2**10 / 2))
    assert mcnemar_p(5, 5, "mid-p") == pytest.approx(1 - binom.pmf(5, 10, 0.5) / 2)


def test_the_chi_squared_form_by_hand():
    # (|40 - 22| - 1)^2 / 62 = 4.661
    assert mcnemar_p(40, 22, "chi-squared") == pytest.approx(chi2.sf(289 / 62, 1))
    assert mcnemar_p(30, 30, "chi-squared") == 1


def test_the_form_follows_the_number_of_discordant_patients_unless_asked_for():
    labels = np.zeros(60, dtype=int)
    few, many = np.zeros(60, dtype=int), np.zeros(60, dtype=int)
    few[:24] = 1
    many[:25] = 1
    assert mcnemar(labels, labels, few).form == "exact"
    assert mcnemar(labels, labels, many).form == "chi-squared"
    assert mcnemar(labels, labels, many, "mid-p").form == "mid-p"
    assert mcnemar(labels, few, few).p == 1


def test_holms_correction_by_hand():
    # In order 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def test_an_undefined_comparison_does_not_count_in_the_family():
    found = holm([0.02, math.nan, 0.04])
    assert found[0] == pytest.approx(0.04) and found[2] == pytest.approx(0.04)
    assert math.isnan(found[1])


def test_holm_keeps_false_alarms_of_a_family_at_the_level():
    rng = np.random.default_rng(0)
    alarms = sum(min(holm(rng.random(9))) < 0.05 for _ in range(2000))
    assert 55 <= alarms <= 150
