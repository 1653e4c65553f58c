"""ROC curves of folds and classes."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from triplenet.evaluation.curves import mean_curve, one_against_rest, roc_curve


@pytest.fixture
def three_folds():
    rng = np.random.default_rng(0)
    truth, folds = np.arange(150) % 2 == 0, np.arange(150) // 50 + 1
    return truth, rng.normal(size=150) + truth, folds


def curves_of(truth, scores, folds):
    return [roc_curve(truth[folds == fold], scores[folds == fold]) for fold in (1, 2, 3)]


def test_a_curves_area_is_scikit_learns(three_folds):
    truth, scores, _ = three_folds
    assert roc_curve(truth, scores).area == pytest.approx(roc_auc_score(truth, scores))
    assert roc_curve([1, 1], [0.1, 0.2]) is None


def test_the_mean_curve_by_hand():
    first = roc_curve([0, 1], [0.1, 0.9])  # up, then right
    second = roc_curve([1, 0], [0.5, 0.5])  # the diagonal
    found = mean_curve([first, second, None], np.array([0, 0.5, 1.0]))
    assert found.true_positive_rate == pytest.approx([0, 0.75, 1])
    assert found.spread == pytest.approx([0, 0.25, 0])
    assert (found.area, found.area_spread, found.curves) == pytest.approx((0.75, 0.25, 2))
    assert mean_curve([None]) is None


def test_the_mean_of_folds_has_their_mean_area(three_folds):
    truth, scores, folds = three_folds
    found = mean_curve(curves_of(truth, scores, folds))
    areas = [roc_auc_score(truth[folds == fold], scores[folds == fold]) for fold in (1, 2, 3)]
    assert found.area == pytest.approx(np.mean(areas))
    assert found.area_spread == pytest.approx(np.std(areas))
    assert np.trapezoid(found.true_positive_rate, found.false_positive_rate) == pytest.approx(found.area, abs=0.01)


def test_folds_that_speak_on_different_scales_are_hurt_by_pooling(three_folds):
    truth, scores, folds = three_folds
    shifted = scores + 3 * folds
    found = mean_curve(curves_of(truth, shifted, folds))
    assert roc_curve(truth, shifted).area < found.area - 0.05


def test_one_against_the_rest():
    labels = np.array([0, 1, 1, 0, 1])
    probabilities = np.random.default_rng(1).dirichlet(np.ones(3), 5)
    found = one_against_rest(labels, probabilities)
    assert found[2] is None
    assert found[1].area == pytest.approx(roc_auc_score(labels == 1, probabilities[:, 1]))
