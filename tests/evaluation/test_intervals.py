"""Bootstrap intervals over patients."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from toy_predictions import auc_difference
from triplenet.evaluation.intervals import bootstrap, draws, mean_of_two, paired_bootstrap, proportion, wilson
from triplenet.evaluation.statistics import binary_statistics, multiclass_statistics


def patients(n, rng, separation=1.0):
    labels = (np.arange(n) % 5 < 3).astype(np.int64)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + separation * (labels - 0.5))))
    return labels, scores.round(2), (scores >= 0.5).astype(np.int64)


def test_the_values_are_scikit_learns():
    labels, scores, predicted = patients(200, np.random.default_rng(0))
    found = bootstrap(len(labels), binary_statistics(labels, predicted, scores), resamples=50)
    assert found["auc"].value == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found["f1"].value == pytest.approx(sk.f1_score(labels, predicted))


def test_each_resample_is_what_drawing_patients_one_by_one_gives():
    rng = np.random.default_rng(1)
    labels, scores, predicted = patients(60, rng)
    rows = rng.integers(0, 60, 60)
    weights = np.bincount(rows, minlength=60)[None].astype(float)
    found = binary_statistics(labels, predicted, scores)(weights)
    assert found["auc"][0] == pytest.approx(sk.roc_auc_score(labels[rows], scores[rows]))
    assert found["f1"][0] == pytest.approx(sk.f1_score(labels[rows], predicted[rows]))


def test_macro_means_are_scikit_learns():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 150)
    predicted = np.where(rng.random(150) < 0.5, labels, rng.integers(0, 4, 150))
    found = bootstrap(len(labels), multiclass_statistics(labels, predicted, np.eye(4)[predicted]), resamples=50)
    assert found["f1"].value == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert found["sensitivity"].value == pytest.approx(sk.balanced_accuracy_score(labels, predicted))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = 0.76  # AUC of two unit normals one apart: Phi(1 / sqrt 2) = 0.760
    covered = 0
    for seed in range(200):
        labels, scores, predicted = patients(150, np.random.default_rng(seed))
        found = bootstrap(len(labels), binary_statistics(labels, predicted, scores), resamples=300, seed=seed)["auc"]
        covered += found.low <= truth <= found.high
    # 95 % of 200 is 190; five binomial spreads are 15.
    assert 175 <= covered <= 200


def test_the_same_seed_gives_the_same_interval_and_more_patients_a_narrower_one():
    widths = []
    for n in (60, 600):
        labels, scores, predicted = patients(n, np.random.default_rng(3))
        one, two = (bootstrap(len(labels), binary_statistics(labels, predicted, scores))["auc"] for _ in range(2))
        assert one == two
        widths.append(one.high - one.low)
    assert widths[1] < widths[0] / 2


def test_wilsons_interval_as_worked_by_hand():
    # 7 of 10, z = 1.96: centre (0.7 + z2/20) / (1 + z2/10), half-width z / (1 + z2/10) sqrt(0.7 0.3 / 10 + z2/400).
    found = wilson(7, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.3968, 0.8922), abs=1e-4)
    assert wilson(0, 5).low == 0 and wilson(0, 5).high == pytest.approx(0.4345, abs=1e-4)
    assert wilson(5, 5).high == 1 and wilson(5, 5).low < 0.6
    assert np.isnan(wilson(0, 0).value)


def test_the_mean_of_two_proportions_has_zou_and_donners_interval():
    # Balanced accuracy: 8 of 10 positives, 30 of 40 negatives. Distances to scipy's Wilson limits add up in squares.
    (p, one), (q, other) = ((k / n, binomtest(k, n).proportion_ci(method="wilson")) for k, n in ((8, 10), (30, 40)))
    found = mean_of_two(wilson(8, 10), wilson(30, 40))
    assert found.value == pytest.approx(0.775)
    assert found.low == pytest.approx(0.775 - np.sqrt((p - one.low) ** 2 + (q - other.low) ** 2) / 2)
    assert found.high == pytest.approx(0.775 + np.sqrt((one.high - p) ** 2 + (other.high - q) ** 2) / 2)


def test_a_groups_patients_are_drawn_together_and_a_folds_size_stays():
    groups = ["a", "a", "a", "b", "b", "b", None, None, None, None]
    folds = np.array([1] * 6 + [2] * 4)
    weights = np.concatenate(list(draws(10, groups=groups, folds=folds, resamples=300)))
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, 6] != weights[:, 8]).any()
    assert (weights[:, :6].sum(1) == 6).all()
    assert (weights[:, 6:].sum(1) == 4).all()
    assert set(weights[:, 0]) == {0, 1, 2}


def test_groups_widen_an_interval_as_the_number_of_independent_patients_says():
    rng = np.random.default_rng(4)
    labels, scores, predicted = patients(100, rng)
    four = [np.repeat(values, 4) for values in (labels, scores, predicted)]
    groups = [str(row // 4) for row in range(400)]
    once = bootstrap(len(labels), binary_statistics(labels, predicted, scores))["f1"]
    grouped = bootstrap(len(four[0]), binary_statistics(four[0], four[2], four[1]), groups=groups)["f1"]
    naive = bootstrap(len(four[0]), binary_statistics(four[0], four[2], four[1]))["f1"]
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)
    assert naive.high - naive.low == pytest.approx((once.high - once.low) / 2, rel=0.15)


def test_a_difference_of_paired_methods_is_narrower_than_of_separate_ones():
    rng = np.random.default_rng(5)
    labels = (np.arange(200) % 2).astype(np.int64)
    shared = rng.normal(size=200) + labels
    first, second = shared + 0.2 * rng.normal(size=200), shared + 0.2 * rng.normal(size=200)
    one, other = (binary_statistics(labels, (s > 0.5).astype(np.int64), s) for s in (first, second))
    paired = paired_bootstrap(len(labels), one, other)["auc"]
    alone = bootstrap(len(labels), one)["auc"]
    assert paired.value == pytest.approx(sk.roc_auc_score(labels, first) - sk.roc_auc_score(labels, second))
    assert paired.high - paired.low < alone.high - alone.low
    against = auc_difference(labels, first, second)
    assert (paired.low, paired.high) == pytest.approx((against.low, against.high), abs=0.006)
    assert paired.p == pytest.approx(against.p, abs=0.1)


def test_a_method_against_itself_and_against_a_hopeless_one():
    labels, scores, predicted = patients(100, np.random.default_rng(6), separation=4)
    good = binary_statistics(labels, predicted, scores)
    bad = binary_statistics(labels, 1 - predicted, 1 - scores)
    for found in paired_bootstrap(len(labels), good, good, resamples=200).values():
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    found = paired_bootstrap(len(labels), good, bad, resamples=199)
    assert found["f1"].p == pytest.approx(2 / 200)
    assert found["f1"].low > 0


def test_paired_intervals_cover_the_true_difference_about_as_often_as_they_say():
    # Accuracies of thresholds at 0: Phi(0.5) = 0.691 and Phi(0.2) = 0.579.
    truth, covered = 0.69146 - 0.57926, 0
    labels = (np.arange(120) % 2).astype(np.int64)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=120)
        called = [
            ((shared + rng.normal(size=120)) / np.sqrt(2) + shift * (2 * labels - 1) > 0).astype(np.int64)
            for shift in (0.5, 0.2)
        ]
        one, other = (binary_statistics(labels, c, c.astype(float)) for c in called)
        found = paired_bootstrap(len(labels), one, other, resamples=300, seed=seed)["accuracy"]
        covered += found.low <= truth <= found.high
    assert 175 <= covered <= 200


def test_an_accuracys_interval_is_about_wilsons_also_where_one_class_is_all_that_is_predicted():
    labels = np.repeat([0, 1], [50, 150])
    everybody = binary_statistics(labels, np.ones(200, dtype=np.int64), np.full(200, 0.6))
    found, expected = bootstrap(200, everybody)["accuracy"], wilson(150, 200)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, expected.low, expected.high), abs=0.01)


def test_the_proportion_is_wilsons_of_one_and_has_a_width_where_all_are_0_or_1():
    one, expected = proportion([0.7], [10]), wilson(7, 10)
    assert (one.value, one.low, one.high) == pytest.approx((expected.value, expected.low, expected.high))
    mixed = proportion([1.0, 1.0, 0.0], [8, 8, 8])
    assert mixed.value == pytest.approx(2 / 3)
    # The lower limits are 1 - 0.324 twice and 0: sqrt(2) * 0.324 / 3 below; above only the fold at 0 can move.
    distance = 1 - wilson(8, 8).low
    assert (mixed.low, mixed.high) == pytest.approx((2 / 3 - np.sqrt(2) * distance / 3, 2 / 3 + distance / 3))
    assert np.isnan(proportion([], []).value)
    # Folds that are all 1 are as many patients as they have together.
    assert proportion([1.0, 1.0, 1.0], [8, 8, 9]) == wilson(25, 25)
    assert proportion([0.0, 0.0], [8, 9]) == wilson(0, 17)


def test_the_proportion_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(8)
    for shares in ((0.5, 0.7, 0.9), (0.02, 0.5, 0.98)):
        found = [proportion(rng.binomial(25, shares) / 25, [25] * 3) for _ in range(1000)]
        covered = sum(one.low <= np.mean(shares) <= one.high for one in found)
        assert 920 <= covered <= 990


def test_resamples_that_do_not_differ_say_nothing_of_a_difference():
    labels = np.repeat([0, 1], 20)
    calls_all, calls_none = (binary_statistics(labels, np.full(40, c), np.full(40, float(c))) for c in (1, 0))
    found = paired_bootstrap(40, calls_all, calls_none, resamples=100)["sensitivity"]
    assert found.value == 1
    assert np.isnan([found.low, found.high, found.p]).all()


def test_wilsons_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    for share in (0.5, 0.9, 0.97):
        found = [wilson(int(part), 40) for part in rng.binomial(40, share, 1000)]
        covered = sum(one.low <= share <= one.high for one in found)
        assert 920 <= covered <= 990


def test_blocks_of_resamples_make_no_more_and_no_fewer():
    blocks = list(draws(3_000, resamples=1_500))
    assert len(blocks) > 1
    assert sum(len(block) for block in blocks) == 1_500
    assert all((block.sum(1) == 3_000).all() for block in blocks)
