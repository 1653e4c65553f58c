"""All metrics of one set of patients with intervals."""

import numpy as np
import pytest

from triplenet.evaluation.delong import auc_interval
from triplenet.evaluation.estimation import estimates as of_predictions
from triplenet.evaluation.intervals import bootstrap, wilson
from triplenet.evaluation.predictions import of_patients
from triplenet.evaluation.statistics import binary_statistics


def estimates(labels, predicted, probabilities, *, positive, groups=None):
    return of_predictions(of_patients(labels, predicted, probabilities, groups), positive=positive)


LABELS = np.array([1] * 6 + [0] * 4)
SPOT = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.55, 0.3, 0.1, 0.05])
PROBABILITIES = np.stack([1 - SPOT, SPOT], axis=1)
PREDICTED = (SPOT > 0.5).astype(np.int64)


def test_proportions_have_wilsons_interval_and_the_auc_delongs():
    found = estimates(LABELS, PREDICTED, PROBABILITIES, positive=1)
    assert found["accuracy"] == wilson(7, 10)
    assert found["sensitivity"] == wilson(4, 6)
    assert found["specificity"] == wilson(3, 4)
    assert found["precision"] == wilson(4, 5)
    assert found["npv"] == wilson(3, 5)
    assert found["auc"] == auc_interval(LABELS, SPOT)
    assert found["f1"].value == pytest.approx(8 / 11)
    assert found["f1"].low < 8 / 11 < found["f1"].high


def test_who_calls_everybody_the_same_has_intervals_all_the_same():
    found = estimates(LABELS, np.ones(10, dtype=np.int64), PROBABILITIES, positive=1)
    assert found["sensitivity"] == wilson(6, 6) and found["specificity"] == wilson(0, 4)
    balanced = found["balanced_accuracy"]
    # Only the sensitivity can be lower and only the specificity higher, and each is half of the mean.
    expected = (0.5 - (1 - wilson(6, 6).low) / 2, 0.5 + wilson(0, 4).high / 2)
    assert (balanced.value, balanced.low, balanced.high) == pytest.approx((0.5, *expected))
    assert found["npv"].value == 0  # nobody is called negative although somebody is
    assert np.isnan([found["npv"].low, found["npv"].high]).all()


def test_patients_without_a_label_do_not_count():
    labels = np.append(LABELS, [-1, -1, -1])
    probabilities = np.vstack([PROBABILITIES, np.full((3, 2), 0.5)])
    for positive in (1, None):
        expected = estimates(LABELS, PREDICTED, PROBABILITIES, positive=positive)
        assert estimates(labels, np.append(PREDICTED, [1, 1, 1]), probabilities, positive=positive) == expected


def test_grouped_patients_have_no_interval_that_takes_them_as_independent():
    groups = [str(row // 5) for row in range(50)]
    labels, predicted, probabilities = (np.repeat(x, 5, axis=0) for x in (LABELS, PREDICTED, PROBABILITIES))
    found = estimates(labels, predicted, probabilities, positive=1, groups=groups)
    naive = estimates(labels, predicted, probabilities, positive=1)
    for name in ("accuracy", "auc", "f1"):
        assert found[name].value == pytest.approx(naive[name].value)
        assert found[name].high - found[name].low > 1.5 * (naive[name].high - naive[name].low)


def test_a_proportion_of_grouped_patients_is_drawn_by_groups():
    groups = [None, None, None, "a", "a", "a", None, None, "b", "b"]
    found = estimates(LABELS, PREDICTED, PROBABILITIES, positive=1, groups=groups)
    drawn = bootstrap(10, binary_statistics(LABELS, PREDICTED, SPOT), groups=groups)
    for name in ("accuracy", "sensitivity", "specificity"):
        assert found[name] == drawn[name]


def test_nobody_gives_nothing():
    found = estimates(np.array([-1]), np.array([0]), np.array([[0.5, 0.5]]), positive=1)
    assert np.isnan([one.value for one in found.values()]).all()
