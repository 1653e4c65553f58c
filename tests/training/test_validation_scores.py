import math

import numpy as np
import pytest

from triplenet.training.validation_scores import accuracy, auc


def test_accuracy_is_the_share_of_hits():
    assert accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])) == 0.75
    assert math.isnan(accuracy(np.array([], int), np.array([], int)))


def test_auc_is_the_share_of_pairs_in_the_right_order():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 40)
    scores = generator.integers(0, 8, 40) / 8  # with ties
    pairs = [
        1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
        for i in np.flatnonzero(labels == 1)
        for j in np.flatnonzero(labels == 0)
    ]
    assert auc(labels, np.stack([1 - scores, scores], 1)) == pytest.approx(np.mean(pairs))


def test_auc_of_more_classes_is_the_mean_of_each_against_the_rest():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    probabilities = generator.dirichlet([1, 1, 1], 60)
    areas = [
        auc((labels == k).astype(int), np.stack([1 - probabilities[:, k], probabilities[:, k]], 1)) for k in range(3)
    ]
    assert auc(labels, probabilities) == pytest.approx(np.mean(areas))


def test_auc_is_undefined_without_both_classes():
    assert math.isnan(auc(np.zeros(4, int), np.full((4, 2), 0.5)))
    assert math.isnan(auc(np.array([0, 1, 1]), np.full((3, 3), 1 / 3)))
