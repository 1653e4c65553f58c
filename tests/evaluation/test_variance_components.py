"""Variance over runs, parted into patients and seeds."""

import numpy as np
import pytest
from scipy.stats import chi2, f_oneway

from triplenet.evaluation.variance_components import NO_RUN, ONE_FOLD, ONE_SEED, variance_components

NAN = np.nan


def test_two_folds_of_two_seeds_by_hand():
    # Within: (0.1^2 + 0.1^2) / 2 twice over 2 degrees = 0.01... squares 2 * 0.05^2 + 2 * 0.05^2 = 0.01, over 2: 0.005.
    # Means 0.65 and 0.85; between: 2 * 2 * 0.1^2 / 1 = 0.04. Patients: (0.04 - 0.005) / 2 = 0.0175.
    found = variance_components([[0.6, 0.7], [0.8, 0.9]])
    assert found.seeds.value == pytest.approx(np.sqrt(0.005))
    assert found.patients == pytest.approx(np.sqrt(0.0175))
    assert found.seed_share == pytest.approx(0.005 / 0.0225)
    assert found.standard_error == pytest.approx(np.sqrt(0.0175 / 2 + 0.005 / 4))
    assert found.standard_error == pytest.approx(np.std([0.65, 0.85], ddof=1) / np.sqrt(2))
    assert (found.folds, found.runs, found.missing) == (2, 4, ())


def test_the_mean_squares_are_those_of_an_analysis_of_variance():
    values = np.random.default_rng(4).normal(size=(4, 5)) + np.arange(4)[:, None]
    found = variance_components(values)
    within = found.seeds.value**2
    between = within + 5 * found.patients**2
    assert between / within == pytest.approx(f_oneway(*values).statistic)
    limits = 16 * within / chi2.ppf([0.975, 0.025], 16)
    assert (found.seeds.low**2, found.seeds.high**2) == pytest.approx(tuple(limits))


def test_components_are_found_again_on_the_mean_also_where_runs_are_missing():
    rng = np.random.default_rng(5)
    patients, seeds = [], []
    for _ in range(3000):
        values = rng.normal(0, 2, (6, 1)) + rng.normal(0, 1, (6, 3))
        values[0, 1:] = NAN
        values[1, 2] = NAN
        found = variance_components(values)
        patients.append(found.patients**2)
        seeds.append(found.seeds.value**2)
    assert np.mean(seeds) == pytest.approx(1, rel=0.05)
    assert np.mean(patients) == pytest.approx(4, rel=0.07)
    assert found.runs == 15


def test_the_error_of_a_mean_over_unequal_folds_weighs_each_fold_alike():
    found = variance_components([[0.6, 0.7], [0.9, NAN], [0.5, 0.6]])
    expected = found.patients**2 / 3 + found.seeds.value**2 * (1 / 2 + 1 + 1 / 2) / 9
    assert found.standard_error == pytest.approx(np.sqrt(expected))


def test_folds_that_differ_less_than_seeds_explain_have_no_part():
    found = variance_components([[0.5, 0.9], [0.9, 0.5]])
    assert (found.patients, found.seed_share) == (0, 1)
    assert found.standard_error == pytest.approx(found.seeds.value / 2)


def test_with_one_seed_the_parts_are_not_told():
    found = variance_components([[0.6], [0.8], [0.7]])
    assert found.missing == (ONE_SEED,)
    assert np.isnan([found.patients, found.seeds.value, found.seed_share]).all()
    assert found.standard_error == pytest.approx(0.1 / np.sqrt(3))


def test_with_one_fold_only_the_seeds_are_told():
    found = variance_components([[0.6, 0.8]])
    assert found.missing == (ONE_FOLD,)
    assert found.seeds.value == pytest.approx(np.sqrt(0.02))
    assert np.isnan([found.patients, found.seed_share, found.standard_error]).all()


def test_one_run_tells_neither_and_none_nothing():
    assert variance_components([[0.6]]).missing == (ONE_SEED, ONE_FOLD)
    nothing = variance_components([[NAN, NAN]])
    assert (nothing.missing, nothing.runs) == ((NO_RUN,), 0)
    assert np.isnan(nothing.standard_error)


def test_seeds_that_agree_wholly_have_no_interval():
    found = variance_components([[0.5, 0.5], [0.75, 0.75]])
    assert (found.seeds.value, found.seed_share) == (0, 0)
    assert np.isnan([found.seeds.low, found.seeds.high]).all()
    same = variance_components([[0.5, 0.5], [0.5, 0.5]])
    assert same.patients == 0 and np.isnan(same.seed_share)
