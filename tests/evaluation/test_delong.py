"""DeLong's variance, interval and test."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from toy_predictions import auc_difference
from triplenet.evaluation.delong import area_covariance, auc_interval

# DeLong, DeLong and Clarke-Pearson (1988): 49 patients with ovarian cancer, of whom 43 have all three tests and are
# used in SAS/STAT's worked example of the method. Albumin, total protein, K-G score, whether surgery was of benefit.
OVARIAN = np.array(
    [
        "3.0",
        "5.8",
        "10",
        "0",
        "3.2",
        "6.3",
        "5",
        "1",
        "3.9",
        "6.8",
        "3",
        "1",
        "2.8",
        "4.8",
        "6",
        "0",
        "3.2",
        "5.8",
        "3",
        "1",
        "0.9",
        "4.0",
        "5",
        "0",
        "2.5",
        "5.7",
        "8",
        "0",
        "1.6",
        "5.6",
        "5",
        "1",
        "3.8",
        "5.7",
        "5",
        "1",
        "3.7",
        "6.7",
        "6",
        "1",
        "3.2",
        "5.4",
        "4",
        "1",
        "3.8",
        "6.6",
        "6",
        "1",
        "4.1",
        "6.6",
        "5",
        "1",
        "3.6",
        "5.7",
        "5",
        "1",
        "4.3",
        "7.0",
        "4",
        "1",
        "3.6",
        "6.7",
        "4",
        "0",
        "2.3",
        "4.4",
        "6",
        "1",
        "4.2",
        "7.6",
        "4",
        "0",
        "4.0",
        "6.6",
        "6",
        "0",
        "3.5",
        "5.8",
        "6",
        "1",
        "3.8",
        "6.8",
        "7",
        "1",
        "3.0",
        "4.7",
        "8",
        "0",
        "4.5",
        "7.4",
        "5",
        "1",
        "3.7",
        "7.4",
        "5",
        "1",
        "3.1",
        "6.6",
        "6",
        "1",
        "4.1",
        "8.2",
        "6",
        "1",
        "4.3",
        "7.0",
        "5",
        "1",
        "4.3",
        "6.5",
        "4",
        "1",
        "3.2",
        "5.1",
        "5",
        "1",
        "2.6",
        "4.7",
        "6",
        "1",
        "3.3",
        "6.8",
        "6",
        "0",
        "1.7",
        "4.0",
        "7",
        "0",
        "3.7",
        "6.1",
        "5",
        "1",
        "3.3",
        "6.3",
        "7",
        "1",
        "4.2",
        "7.7",
        "6",
        "1",
        "3.5",
        "6.2",
        "5",
        "1",
        "2.9",
        "5.7",
        "9",
        "0",
        "2.1",
        "4.8",
        "7",
        "1",
        "2.8",
        "6.2",
        "8",
        "0",
        "4.0",
        "7.0",
        "7",
        "1",
        "3.3",
        "5.7",
        "6",
        "1",
        "3.7",
        "6.9",
        "5",
        "1",
        "3.6",
        "6.6",
        "5",
        "1",
    ],
    dtype=float,
).reshape(-1, 4)
TRUTH = OVARIAN[:, 3]
ALBUMIN, PROTEIN, KG = OVARIAN[:, 0], OVARIAN[:, 1], 10 - OVARIAN[:, 2]


def test_the_published_example_comes_out():
    areas, covariance = area_covariance(TRUTH, [ALBUMIN, KG, PROTEIN])
    assert areas == pytest.approx([0.7366, 0.7258, 0.6478], abs=5e-5)
    assert np.sqrt(np.diag(covariance)) == pytest.approx([0.0927, 0.1028, 0.1000], abs=5e-5)
    albumin, protein = auc_difference(TRUTH, ALBUMIN, KG), auc_difference(TRUTH, PROTEIN, KG)
    assert (albumin.value, albumin.low, albumin.high) == pytest.approx((0.0108, -0.1761, 0.1976), abs=5e-5)
    assert albumin.p == pytest.approx(0.9102, abs=5e-5)
    assert (protein.value, protein.low, protein.high) == pytest.approx((-0.0780, -0.2830, 0.1271), abs=5e-5)
    assert protein.p == pytest.approx(0.4561, abs=5e-5)
    linear = auc_interval(TRUTH, ALBUMIN, scale="linear")
    assert (linear.low, linear.high) == pytest.approx((0.5549, 0.9182), abs=5e-5)


def placements(truth, scores):
    """AUC and DeLong's components by comparing every positive with every negative."""
    positives = [s for s, t in zip(scores, truth, strict=True) if t]
    negatives = [s for s, t in zip(scores, truth, strict=True) if not t]

    def psi(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    v10 = [sum(psi(x, y) for y in negatives) / len(negatives) for x in positives]
    v01 = [sum(psi(x, y) for x in positives) / len(positives) for y in negatives]
    return sum(v10) / len(v10), np.array(v10), np.array(v01)


@pytest.fixture
def two_methods():
    rng = np.random.default_rng(5)
    truth = np.arange(90) % 5 < 3
    shared = rng.normal(size=90)
    # Rounded, so that there are ties.
    first = (shared + rng.normal(size=90) + 1.5 * truth).round(1)
    second = (shared + rng.normal(size=90) + 0.8 * truth).round(1)
    return truth, first, second


def test_covariance_is_that_of_explicit_placements(two_methods):
    truth, first, second = two_methods
    areas, covariance = area_covariance(truth, [first, second])
    (area_1, v10_1, v01_1), (area_2, v10_2, v01_2) = placements(truth, first), placements(truth, second)
    assert areas == pytest.approx([area_1, area_2])
    assert areas[0] == pytest.approx(roc_auc_score(truth, first))
    expected = np.cov(v10_1, v10_2) / len(v10_1) + np.cov(v01_1, v01_2) / len(v01_1)
    assert covariance == pytest.approx(expected)


def test_grouped_variance_is_obuchowskis_by_explicit_sums():
    rng = np.random.default_rng(6)
    truth, scores = np.arange(30) % 2 == 0, rng.normal(size=30).round(1)
    scores = scores + truth
    groups = [f"g{row // 3}" if row < 18 else None for row in range(30)]
    area, v10, v01 = placements(truth, scores)
    parts = {}
    places = {True: iter(v10), False: iter(v01)}
    for row, name in enumerate(groups):
        tens, ones = parts.setdefault(name or f"row {row}", ([], []))
        (tens if truth[row] else ones).append(next(places[bool(truth[row])]))
    m = n = 15
    x = np.array([sum(tens) - len(tens) * area for tens, _ in parts.values()])
    y = np.array([sum(ones) - len(ones) * area for _, ones in parts.values()])
    i10 = sum(bool(tens) for tens, _ in parts.values())
    i01 = sum(bool(ones) for _, ones in parts.values())
    s10, s01 = i10 / ((i10 - 1) * m) * (x**2).sum(), i01 / ((i01 - 1) * n) * (y**2).sum()
    s11 = len(parts) / (len(parts) - 1) * (x * y).sum()
    _, covariance = area_covariance(truth, scores, groups=groups)
    assert covariance[0, 0] == pytest.approx(s10 / m + s01 / n + 2 * s11 / (m * n))
    alone = area_covariance(truth, scores, groups=[str(row) for row in range(30)])[1]
    assert alone == pytest.approx(area_covariance(truth, scores)[1])


def test_every_patient_counted_twice_tells_no_more_when_the_pairs_are_grouped(two_methods):
    truth, first, _ = two_methods
    groups = [str(row) for row in range(90)] * 2
    one = auc_interval(truth, first)
    doubled = auc_interval(np.tile(truth, 2), np.tile(first, 2), groups=groups)
    naive = auc_interval(np.tile(truth, 2), np.tile(first, 2))
    assert (doubled.low, doubled.high) == pytest.approx((one.low, one.high), abs=1e-9)
    assert naive.high - naive.low < 0.8 * (one.high - one.low)


def test_the_standard_error_is_that_of_a_large_bootstrap(two_methods):
    truth, first, second = two_methods
    rng = np.random.default_rng(7)
    rows_1, rows_0 = np.flatnonzero(truth), np.flatnonzero(~truth)
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([rng.choice(rows_1, len(rows_1)), rng.choice(rows_0, len(rows_0))])
        drawn.append(area_covariance(truth[rows], [first[rows], second[rows]])[0])
    expected = np.cov(np.array(drawn).T)
    assert area_covariance(truth, [first, second])[1] == pytest.approx(expected, rel=0.12)


def test_the_intervals_cover_the_truth_about_as_often_as_they_say():
    # AUC of unit normals 2 apart is Phi(sqrt 2) = 0.921; 20 of each kind, where the linear scale is known to be short.
    truth, area = np.arange(40) % 2 == 0, 0.9214
    rng = np.random.default_rng(8)
    covered = {"logit": 0, "linear": 0}
    for _ in range(1000):
        scores = rng.normal(size=40) + 2 * truth
        for scale in covered:
            found = auc_interval(truth, scores, scale=scale)
            assert 0 <= found.low <= found.high <= 1
            covered[scale] += found.low <= area <= found.high
    # Five binomial spreads of 950 of 1000 are 34.
    assert 925 <= covered["logit"] <= 984
    assert covered["linear"] < covered["logit"]


def test_the_test_rejects_as_often_as_it_says_where_there_is_no_difference():
    truth = np.arange(100) % 2 == 0
    rng = np.random.default_rng(9)
    rejected = 0
    for _ in range(1000):
        shared = rng.normal(size=100) + truth
        first, second = shared + rng.normal(size=100), shared + rng.normal(size=100)
        rejected += auc_difference(truth, first, second).p < 0.05
    assert 22 <= rejected <= 80


def test_degenerate_cases_are_said_and_not_made_up():
    perfect = auc_interval([0] * 10 + [1] * 10, np.arange(20))
    assert (perfect.value, perfect.high) == (1, 1)
    assert 0.75 < perfect.low < 1
    more = auc_interval([0] * 100 + [1] * 100, np.arange(200))
    assert perfect.low < more.low < 1
    worst = auc_interval([1] * 10 + [0] * 10, np.arange(20))
    assert (worst.low, worst.high) == pytest.approx((0, 1 - perfect.low))
    assert math.isnan(auc_interval([1, 1, 1], [0.1, 0.2, 0.3]).value)
    lonely = auc_interval([1, 0, 0], [0.2, 0.1, 0.3])
    assert lonely.value == 0.5 and math.isnan(lonely.low)
    same = auc_difference([0, 0, 1, 1, 0, 1], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6])
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_exchanging_the_methods_changes_the_sign_only(two_methods):
    truth, first, second = two_methods
    one, other = auc_difference(truth, first, second), auc_difference(truth, second, first)
    assert (one.value, one.low, one.high, one.p) == pytest.approx((-other.value, -other.high, -other.low, other.p))
    assert one.value > 0 and one.p < 0.5
