"""Means and spreads over folds and seeds."""

import math

import pytest

from triplenet.evaluation.fold_spread import over_folds


def test_the_spread_over_folds_is_the_populations():
    found = over_folds([0.7, 0.8, 0.9])
    assert (found.mean, found.spread) == pytest.approx((0.8, math.sqrt(0.02 / 3)))
    assert math.isnan(found.seed_spread)
    assert (found.folds, found.runs, found.missing) == (3, 3, 0)


def test_seeds_are_averaged_within_their_fold_and_have_a_spread_of_their_own():
    # Means 0.7 and 0.9; within the folds the seeds lie 0.1 and 0.05 from them.
    found = over_folds([[0.6, 0.8], [0.85, 0.95]])
    assert (found.mean, found.spread) == pytest.approx((0.8, 0.1))
    assert found.seed_spread == pytest.approx(math.sqrt((0.01 + 0.0025) / 2))


def test_a_fold_with_fewer_seeds_weighs_as_much_as_the_others():
    found = over_folds([[0.6, math.nan], [0.9, 0.9]])
    assert (found.mean, found.spread) == pytest.approx((0.75, 0.15))
    assert (found.folds, found.runs, found.missing) == (2, 3, 1)


def test_a_failed_fold_is_counted_as_missing():
    found = over_folds([0.5, math.nan, 0.7])
    assert (found.mean, found.folds, found.missing) == (pytest.approx(0.6), 2, 1)
    nothing = over_folds([math.nan, math.nan])
    assert math.isnan(nothing.mean) and nothing.missing == 2


def test_of_one_fold_there_is_a_value_and_no_spread():
    found = over_folds([0.7, math.nan, math.nan])
    assert (found.mean, found.folds) == (0.7, 1)
    assert math.isnan(found.spread)
