"""The AUC of a cross-validation by its influence curve and pooled."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from toy_predictions import runs_of
from triplenet.evaluation.averaged_auc import averaged_auc, influence_curve
from triplenet.evaluation.delong import auc_interval
from triplenet.evaluation.intervals import draws
from triplenet.evaluation.predictions import OutOfFoldPredictions, join


def of_folds(folds, labels, scores, groups=None):
    p = np.array(scores)
    return OutOfFoldPredictions(
        tuple(map(str, range(len(labels)))),
        np.array(labels),
        np.array(folds),
        (0,),
        np.stack([1 - p, p], axis=1)[None],
        groups,
    )


def by_pairs(predictions, positive=1):
    """Mean and standard error after LeDell 2015, patient by patient and pair by pair, as cvAUC does it."""
    labels, scores = predictions.labels == positive, predictions.probabilities[0, :, positive]
    share = labels.mean()
    areas, squares = [], []
    for fold in predictions.fold_numbers:
        rows = np.flatnonzero(predictions.folds == fold)
        area = roc_auc_score(labels[rows], scores[rows])
        curve = []
        for i in rows:
            others = [j for j in rows if labels[j] != labels[i]]
            sign = 1 if labels[i] else -1
            wins = [0.5 + 0.5 * np.sign(sign * (scores[i] - scores[j])) for j in others]
            curve.append((np.mean(wins) - area) / (share if labels[i] else 1 - share))
        areas.append(area)
        squares.append(np.mean(np.square(curve)))
    return np.mean(areas), np.sqrt(np.mean(squares) / len(labels))


# Four patients, one pair of which is the wrong way round: AUC 3 / 4.
FOUR = [1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1]


def test_the_influence_curve_of_four_patients_is_the_hand_worked_one():
    # The positives have 2 and 1 of 2 negatives below them, the negatives 1 and 2 of 2 positives above.
    assert influence_curve(*FOUR, 0.5) == pytest.approx([0.5, -0.5, -0.5, 0.5])
    # A class's share of all folds divides, not that of the fold at hand.
    assert influence_curve(*FOUR, 0.25) == pytest.approx([1, -1, -1 / 3, 1 / 3])


def test_mean_and_interval_are_those_of_every_patient_and_pair():
    rng = np.random.default_rng(3)
    folds, labels = np.repeat([1, 2, 3], [20, 31, 14]), rng.permutation(np.arange(65) % 3 == 0).astype(int)
    scores = np.round(rng.normal(size=65) * 0.1 + 0.5 + 0.08 * labels, 2)  # with ties
    predictions = of_folds(folds, labels, scores)
    found = averaged_auc(predictions, 1).averaged
    mean, error = by_pairs(predictions)
    assert found.value == pytest.approx(mean)
    half = norm.ppf(0.975) * error
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    wider = averaged_auc(predictions, 1, level=0.99).averaged
    assert wider.high - mean == pytest.approx(norm.ppf(0.995) * error)


def test_the_standard_error_is_near_the_bootstraps_within_folds():
    predictions = join({"m": runs_of(0.5, per_fold=150)})["m"]
    found = averaged_auc(predictions, 1).averaged
    statistics = predictions.statistics(1)
    drawn = np.concatenate(
        [statistics(weights)["auc"] for weights in draws(450, folds=predictions.folds, resamples=2000)]
    )
    assert (found.high - found.low) / 2 / norm.ppf(0.975) == pytest.approx(drawn.std(), rel=0.08)


def test_seeds_are_averaged_within_their_fold():
    predictions = join({"m": runs_of(0.5, seeds=(0, 1))})["m"]
    each = [replace(predictions, seeds=(0,), probabilities=predictions.probabilities[[index]]) for index in (0, 1)]
    found = averaged_auc(predictions, 1).averaged
    alone = [averaged_auc(one, 1).averaged for one in each]
    assert found.value == pytest.approx(np.mean([one.value for one in alone]))
    # The same patients once more make nothing surer; what differs between the seeds cancels out in part.
    widths = [one.high - one.low for one in alone]
    assert 0.75 * min(widths) < found.high - found.low < np.mean(widths)
    twice = replace(predictions, probabilities=predictions.probabilities[[0, 0]])
    assert averaged_auc(twice, 1).averaged.high == pytest.approx(alone[0].high)


def test_patients_of_a_group_add_up():
    predictions = of_folds([1] * 8, [1, 1, 0, 0] * 2, FOUR[1] * 2)
    # Each patient twice: the curve's sums over the groups are doubled, of a quarter as many squares' worth.
    grouped = replace(predictions, groups=("a", "b", "c", "d") * 2)
    apart, together = (averaged_auc(one, 1).averaged for one in (predictions, grouped))
    assert apart.value - apart.low == pytest.approx(norm.ppf(0.975) * np.sqrt(0.25 / 8))
    assert (apart.high, together.high) == (1, 1)  # cut off there
    assert together.value - together.low == pytest.approx(norm.ppf(0.975) * np.sqrt(0.25 / 4))


def test_several_classes_are_each_taken_against_the_rest():
    predictions = join({"m": runs_of(0.8, classes=3, per_fold=60)})["m"]
    found = averaged_auc(predictions, None)
    expected = np.mean(
        [
            roc_auc_score(predictions.labels[rows] == c, predictions.probabilities[0, rows, c])
            for rows in map(predictions.rows, (1, 2, 3))
            for c in range(3)
        ]
    )
    assert found.averaged.value == pytest.approx(expected)
    assert np.isnan(found.pooled.value)
    statistics = predictions.statistics(None)
    drawn = np.concatenate([statistics(w)["auc"] for w in draws(180, folds=predictions.folds, resamples=1000)])
    half = found.averaged.high - found.averaged.value
    assert half / norm.ppf(0.975) == pytest.approx(drawn.std(), rel=0.1)


def test_pooled_compares_probabilities_of_different_networks():
    # Either fold parts its classes wholly; the second one's network says everything 0.4 higher.
    folds, labels = [1, 1, 1, 1, 2, 2, 2, 2], [0, 0, 1, 1] * 2
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    found = averaged_auc(of_folds(folds, labels, scores), 1)
    assert found.averaged.value == 1
    assert np.isnan([found.averaged.low, found.averaged.high]).all()
    assert found.pooled == auc_interval(labels, scores)
    assert found.pooled.value == pytest.approx(12 / 16)


def test_a_fold_without_an_auc_and_one_that_failed_are_left_out():
    predictions = of_folds([1, 1, 1, 1, 2, 2], [*FOUR[0], 1, 1], [*FOUR[1], 0.2, 0.3])
    found = averaged_auc(predictions, 1).averaged
    assert (found.value, found.high - found.value) == pytest.approx((0.75, min(0.25, 1.96 * np.sqrt(0.25 / 4))))
    failed = predictions.probabilities.copy()
    failed[0, :4] = np.nan
    nothing = averaged_auc(replace(predictions, probabilities=failed), 1)
    assert np.isnan([nothing.averaged.value, nothing.pooled.value]).all()
    failed[:] = np.nan
    nothing = averaged_auc(replace(predictions, probabilities=failed), 1)
    assert np.isnan([nothing.averaged.value, nothing.pooled.value]).all()
