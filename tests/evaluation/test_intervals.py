"""Bootstrap intervals over patients."""

import numpy as np
import pytest
from sklearn import metrics as sk

from triplenet.evaluation.intervals import bootstrap, wilson
from triplenet.evaluation.statistics import binary_statistics, multiclass_statistics


def patients(n, rng, separation=1.0):
    labels = (np.arange(n) % 5 < 3).astype(np.int64)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + separation * (labels - 0.5))))
    return labels, scores.round(2), (scores >= 0.5).astype(np.int64)


def test_the_values_are_scikit_learns():
    labels, scores, predicted = patients(200, np.random.default_rng(0))
    found = bootstrap(labels, binary_statistics(labels, predicted, scores), resamples=50)
    assert found["auc"].value == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found["f"].value == pytest.approx(sk.f1_score(labels, predicted))


def test_each_resample_is_what_drawing_patients_one_by_one_gives():
    rng = np.random.default_rng(1)
    labels, scores, predicted = patients(60, rng)
    rows = rng.integers(0, 60, 60)
    weights = np.bincount(rows, minlength=60)[None].astype(float)
    found = binary_statistics(labels, predicted, scores)(weights)
    assert found["auc"][0] == pytest.approx(sk.roc_auc_score(labels[rows], scores[rows]))
    assert found["f"][0] == pytest.approx(sk.f1_score(labels[rows], predicted[rows]))


def test_macro_means_are_scikit_learns():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 150)
    predicted = np.where(rng.random(150) < 0.5, labels, rng.integers(0, 4, 150))
    found = bootstrap(labels, multiclass_statistics(labels, predicted, np.eye(4)[predicted]), resamples=50)
    assert found["f"].value == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert found["sensitivity"].value == pytest.approx(sk.balanced_accuracy_score(labels, predicted))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = 0.76  # AUC of two unit normals one apart: Phi(1 / sqrt 2) = 0.760
    covered = 0
    for seed in range(200):
        labels, scores, predicted = patients(150, np.random.default_rng(seed))
        found = bootstrap(labels, binary_statistics(labels, predicted, scores), resamples=300, seed=seed)["auc"]
        covered += found.low <= truth <= found.high
    # 95 % of 200 is 190; five binomial spreads are 15.
    assert 175 <= covered <= 200


def test_the_same_seed_gives_the_same_interval_and_more_patients_a_narrower_one():
    widths = []
    for n in (60, 600):
        labels, scores, predicted = patients(n, np.random.default_rng(3))
        one, two = (bootstrap(labels, binary_statistics(labels, predicted, scores))["auc"] for _ in range(2))
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
