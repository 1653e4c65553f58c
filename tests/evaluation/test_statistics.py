"""Metrics as functions of weights are the metrics."""

import numpy as np
import pytest
from sklearn import metrics as sk

from triplenet.evaluation.metrics import RATES, confusion, textbook_metrics
from triplenet.evaluation.statistics import binary_statistics, mean_of, multiclass_statistics, on_rows, statistics_of


@pytest.fixture
def four():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 120)
    probabilities = rng.dirichlet(np.ones(4), 120) + 0.4 * np.eye(4)[labels]
    probabilities /= probabilities.sum(1, keepdims=True)
    return labels, probabilities.argmax(1), probabilities


def ones(n):
    return np.ones((1, n))


def test_with_weights_of_one_they_are_the_matrixs_metrics_and_scikit_learns(four):
    labels, predicted, probabilities = four
    found = {
        name: values[0] for name, values in multiclass_statistics(labels, predicted, probabilities)(ones(120)).items()
    }
    matrix = textbook_metrics(confusion(labels, predicted, 4))
    for name in RATES:
        assert found[name] == pytest.approx(getattr(matrix.macro, name))
        assert found[f"weighted_{name}"] == pytest.approx(getattr(matrix.weighted, name))
    assert found["accuracy"] == pytest.approx(matrix.accuracy)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, probabilities, scale_by_half=False))


def test_binary_ones_too():
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 80), rng.random(80).round(1)
    predicted = (scores > 0.5).astype(np.int64)
    found = {name: values[0] for name, values in binary_statistics(labels, predicted, scores)(ones(80)).items()}
    target = textbook_metrics(confusion(labels, predicted, 2), target=1).target
    for name in RATES:
        assert found[name] == pytest.approx(getattr(target, name))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, scores))


def test_a_weight_is_how_often_a_patient_is_there(four):
    labels, predicted, probabilities = four
    rows = np.random.default_rng(2).integers(0, 120, 120)
    weighted = multiclass_statistics(labels, predicted, probabilities)(
        np.bincount(rows, minlength=120)[None].astype(float)
    )
    repeated = multiclass_statistics(labels[rows], predicted[rows], probabilities[rows])(ones(120))
    for name in weighted:
        assert weighted[name] == pytest.approx(repeated[name])


def test_a_class_nobody_has_leaves_the_means_alone():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    found = multiclass_statistics(labels, predicted, np.eye(3)[predicted])(ones(4))
    assert found["sensitivity"][0] == pytest.approx(0.75)
    assert found["auc"][0] == pytest.approx(0.75)


def test_the_target_may_be_either_class():
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    assert statistics_of(labels, predicted, probabilities, 0)(ones(4))["sensitivity"][0] == pytest.approx(2 / 3)
    assert statistics_of(labels, predicted, probabilities, 1)(ones(4))["sensitivity"][0] == 1
    assert "weighted_f1" in statistics_of(labels, predicted, probabilities, None)(ones(4))


def test_the_auc_and_brier_score_of_either_class_are_of_its_own_probability():
    labels, probabilities = (
        np.array([0, 0, 1, 2]),
        np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.2, 0.1, 0.7]]),
    )
    for target in range(3):
        found = statistics_of(labels, probabilities.argmax(1), probabilities, target)(ones(4))
        assert found["auc"][0] == pytest.approx(sk.roc_auc_score(labels == target, probabilities[:, target]))
        assert found["brier"][0] == pytest.approx(sk.brier_score_loss(labels == target, probabilities[:, target]))


def test_means_over_parts_leave_out_what_is_not_defined():
    labels, predicted, scores = (
        np.array([1, 1, 0, 0, 0]),
        np.array([1, 0, 0, 0, 1]),
        np.array([0.9, 0.2, 0.1, 0.3, 0.8]),
    )
    parts = [
        on_rows(binary_statistics(labels[rows], predicted[rows], scores[rows]), np.array(rows))
        for rows in ([0, 2], [1, 3], [4])
    ]
    found = mean_of(parts)(ones(5))
    assert found["sensitivity"][0] == pytest.approx((1 + 0) / 2)
    assert found["accuracy"][0] == pytest.approx((1 + 0.5 + 0) / 3)
