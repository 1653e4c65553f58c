"""Metrics by textbook definitions, against scikit-learn and worked by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from triplenet.evaluation import confusion, paper_columns, textbook_metrics


@pytest.fixture(scope="module")
def four():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    predicted = np.where(rng.random(200) < 0.6, labels, rng.integers(0, 4, 200))
    return labels, predicted


def test_rows_are_the_truth(four):
    labels, predicted = four
    np.testing.assert_array_equal(confusion(labels, predicted, 4), sk.confusion_matrix(labels, predicted))
    assert confusion([0, 0, 1, -1], [0, 1, 1, 0], 2).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_averages_are_scikit_learns(four, average):
    labels, predicted = four
    found = getattr(textbook_metrics(confusion(labels, predicted, 4)), average)
    precision, recall, f, _ = sk.precision_recall_fscore_support(labels, predicted, average=average)
    assert (found.precision, found.sensitivity, found.f1) == pytest.approx((precision, recall, f))


def test_each_class_is_scikit_learns(four):
    labels, predicted = four
    found = textbook_metrics(confusion(labels, predicted, 4))
    precision, recall, f, support = sk.precision_recall_fscore_support(labels, predicted)
    for c, one in enumerate(found.per_class):
        assert (one.precision, one.sensitivity, one.f1, one.support) == pytest.approx(
            (precision[c], recall[c], f[c], support[c])
        )
        assert one.specificity == pytest.approx(sk.recall_score(labels != c, predicted != c))
        assert one.npv == pytest.approx(sk.precision_score(labels != c, predicted != c))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))


def test_positive_is_the_target_of_a_binary_matrix():
    # 50 negatives of which 10 are called positive, 100 positives of which 20 are missed.
    found = textbook_metrics([[40, 10], [20, 80]], target=1)
    assert found.accuracy == pytest.approx(120 / 150)
    assert found.target.sensitivity == pytest.approx(0.8)
    assert found.target.specificity == pytest.approx(0.8)
    assert found.target.precision == pytest.approx(80 / 90)
    assert found.target.npv == pytest.approx(40 / 60)
    assert found.target.f1 == pytest.approx(160 / 190)


def test_a_class_that_is_never_predicted_counts_as_0_as_in_scikit_learn():
    # One class of four is said of everybody: not 33 % but 8 %.
    labels, predicted = np.repeat(np.arange(4), [4, 3, 3, 2]), np.zeros(12, dtype=int)
    found = textbook_metrics(confusion(labels, predicted, 4))
    for average, means in (("macro", found.macro), ("weighted", found.weighted)):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            labels, predicted, average=average, zero_division=0
        )
        assert (means.precision, means.sensitivity, means.f1) == pytest.approx((precision, recall, f1))
    assert found.macro.precision == pytest.approx(1 / 12)
    assert [one.precision for one in found.per_class] == pytest.approx([4 / 12, 0, 0, 0])
    assert found.per_class[0].npv == 0  # everybody is called so, although not everybody is
    assert found.macro.precision == pytest.approx(paper_columns(confusion(labels, predicted, 4)).sensitivity)


def test_what_no_patient_could_show_is_not_a_number_and_leaves_the_mean_alone():
    absent = textbook_metrics([[5, 1, 0], [1, 4, 0], [0, 0, 0]])
    assert math.isnan(absent.per_class[2].sensitivity)
    assert math.isnan(absent.per_class[2].precision)  # nobody is so, and nobody is called so
    assert absent.macro.sensitivity == pytest.approx((5 / 6 + 4 / 5) / 2)
    assert absent.macro.precision == pytest.approx((5 / 6 + 4 / 5) / 2)
    alone = textbook_metrics([[3, 0], [0, 0]], target=0).target  # nobody else is there
    assert math.isnan(alone.specificity) and math.isnan(alone.npv) and alone.precision == 1


def test_a_class_that_is_predicted_but_that_nobody_has_is_in_no_mean():
    # 5 of 6 and 3 of 5 are right; two of the others are called the third class, which nobody has.
    found = textbook_metrics([[5, 0, 1], [1, 3, 1], [0, 0, 0]])
    assert found.per_class[2].precision == 0 and found.per_class[2].specificity == pytest.approx(9 / 11)
    assert found.macro.precision == pytest.approx((5 / 6 + 1) / 2)
    assert found.macro.specificity == pytest.approx((4 / 5 + 1) / 2)


def test_the_papers_four_class_columns_worked_by_hand():
    # Class 2 is never predicted: 0 in every column.
    matrix = [[6, 2, 0], [1, 7, 0], [2, 2, 0]]
    found = paper_columns(matrix)
    assert found.accuracy == pytest.approx(13 / 20)
    assert found.precision == pytest.approx((6 / 8 + 7 / 8 + 0) / 3)  # macro recall
    assert found.sensitivity == pytest.approx((6 / 9 + 7 / 11 + 0) / 3)  # macro precision
    assert found.specificity == pytest.approx(((13 - 6) / (20 - 9) + (13 - 7) / (20 - 11) + 0) / 3)
    assert found.f1 == pytest.approx((12 / 17 + 14 / 19 + 0) / 3)
