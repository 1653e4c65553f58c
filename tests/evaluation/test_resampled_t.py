"""The corrected resampled t test over folds and seeds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from toy_predictions import runs_of
from triplenet.evaluation.predictions import join, run_values
from triplenet.evaluation.resampled_t import compare_runs, corrected_resampled_t
from triplenet.training.job import Job

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def predictions():
    runs = {
        "baseline": runs_of(0.5, seeds=SEEDS),
        "double": runs_of(0.5, seeds=SEEDS, noise=1),
        "triple": runs_of(1.5, seeds=SEEDS, noise=2),
    }
    return join(runs)


def trained(patients, methods=("baseline", "double", "triple")):
    return {Job(name, fold, seed): patients for name in methods for fold in (1, 2, 3) for seed in SEEDS}


def test_three_differences_by_hand():
    # Mean 0.04, variance 0.0004; 1/3 + 1/4 of it: t = 0.04 / sqrt(7/12 * 0.0004) = 2.6186, two degrees of freedom.
    found = corrected_resampled_t([0.02, 0.04, 0.06], 0.25)
    error = np.sqrt(7 / 12 * 0.0004)
    assert found.value == pytest.approx(0.04)
    # Of two degrees of freedom the distribution has a closed form: p = 1 - x / sqrt(2 + x^2).
    x = 0.04 / error
    assert found.p == pytest.approx(1 - x / np.sqrt(2 + x**2))
    assert (found.low, found.high) == pytest.approx((0.04 - 4.30265 * error, 0.04 + 4.30265 * error), rel=1e-5)
    assert corrected_resampled_t([-0.02, -0.04, -0.06], 0.25).p == pytest.approx(found.p)


def test_without_a_correction_it_is_students():
    d = np.random.default_rng(0).normal(0.3, 1, 12)
    found, student = corrected_resampled_t(d, 0.0, level=0.9), ttest_1samp(d, 0)
    between = student.confidence_interval(0.9)
    assert found.p == pytest.approx(student.pvalue)
    assert (found.low, found.high) == pytest.approx((between.low, between.high))
    assert corrected_resampled_t(d, 0.5).p > found.p


def test_what_says_nothing_of_chance_has_no_p():
    assert corrected_resampled_t([0.0, 0.0, 0.0], 0.5).p == 1
    equal = corrected_resampled_t([0.1, 0.1, 0.1], 0.5)
    assert equal.value == pytest.approx(0.1) and np.isnan([equal.low, equal.high, equal.p]).all()
    for one in (corrected_resampled_t([0.1], 0.5), corrected_resampled_t([0.1, 0.2], np.nan)):
        assert np.isfinite(one.value) and np.isnan([one.low, one.high, one.p]).all()
    assert np.isnan(corrected_resampled_t([], 0.5).value)


def test_pairs_are_runs_of_one_fold_and_seed(predictions):
    found = {
        (one.method, one.metric): one
        for one in compare_runs(predictions, "baseline", positive=1, metrics=("auc", "accuracy"), trained=trained(180))
    }
    assert set(found) == {(method, metric) for method in ("double", "triple") for metric in ("auc", "accuracy")}
    one = found["triple", "auc"]
    gaps = run_values(predictions["triple"], 1)["auc"] - run_values(predictions["baseline"], 1)["auc"]
    assert (one.runs, one.test_share) == (6, pytest.approx(60 / 180))
    error = np.sqrt((1 / 6 + 1 / 3) * gaps.var(ddof=1))
    assert one.difference.value == pytest.approx(gaps.mean())
    assert one.spread == pytest.approx(gaps.std(ddof=1))
    assert one.difference.p == pytest.approx(2 * t.sf(gaps.mean() / error, 5))
    of_folds = gaps.mean(1)
    error = np.sqrt((1 / 3 + 1 / 3) * of_folds.var(ddof=1))
    assert one.seeds_averaged == pytest.approx(2 * t.sf(of_folds.mean() / error, 2))


def test_holm_goes_over_the_methods_of_a_metric(predictions):
    found = compare_runs(predictions, "baseline", positive=1, metrics=("auc", "f1"), trained=trained(180))
    for metric in ("auc", "f1"):
        p = {one.method: one.difference.p for one in found if one.metric == metric}
        adjusted = {one.method: one.adjusted for one in found if one.metric == metric}
        assert p["triple"] < p["double"]
        assert adjusted["triple"] == pytest.approx(2 * p["triple"])
        assert adjusted["double"] == pytest.approx(max(p["double"], 2 * p["triple"]))


def test_a_pair_that_lacks_a_run_is_left_out(predictions):
    failed = predictions["triple"].probabilities.copy()
    failed[1, predictions["triple"].rows(2)] = np.nan
    lacking = predictions | {"triple": replace(predictions["triple"], probabilities=failed)}
    (one,) = [
        one
        for one in compare_runs(lacking, "baseline", positive=1, metrics=("auc",), trained=trained(180))
        if one.method == "triple"
    ]
    gaps = run_values(lacking["triple"], 1)["auc"] - run_values(lacking["baseline"], 1)["auc"]
    assert one.runs == 5
    assert one.difference.value == pytest.approx(np.nanmean(gaps))


def test_of_two_trainings_the_smaller_counts_and_who_does_not_tell_has_no_p(predictions):
    some = trained(180) | trained(90, ["triple"])
    found = {
        one.method: one for one in compare_runs(predictions, "baseline", positive=1, metrics=("auc",), trained=some)
    }
    assert found["triple"].test_share == pytest.approx(60 / 90)
    assert found["double"].test_share == pytest.approx(60 / 180)
    only = compare_runs(predictions, "baseline", positive=1, metrics=("auc",), trained=trained(90, ["triple"]))
    shares = {one.method: one.test_share for one in only}
    assert shares["triple"] == pytest.approx(60 / 90)  # a reference that learns nothing does not tell
    assert np.isnan(shares["double"])
    (unknown,) = [one for one in only if one.method == "double"]
    assert np.isfinite(unknown.difference.value) and np.isnan([unknown.difference.p, unknown.adjusted]).all()
