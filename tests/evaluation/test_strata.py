"""Metrics by a column's values."""

import numpy as np
import pytest
from sklearn import metrics as sk

from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.predictions import of_patients
from triplenet.evaluation.strata import FEW_OF_A_CLASS, strata


@pytest.fixture
def patients():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    p = np.clip(0.5 + 0.3 * (labels - 0.5) + 0.2 * rng.normal(size=120), 0, 1)
    sites = ["Osaka"] * 60 + ["Gifu"] * 40 + ["Kobe"] * 15 + [None] * 3 + [""] * 2
    return sites, labels, np.stack([1 - p, p], axis=1)


def test_each_value_has_its_own_patients_counts_and_intervals(patients):
    sites, labels, probabilities = patients
    predicted = probabilities.argmax(1)
    found = strata(sites, labels, predicted, probabilities, positive=1, resamples=100)
    assert [(one.value, one.patients, one.classes) for one in found] == [
        ("Gifu", 40, (20, 20)),
        ("Kobe", 15, (8, 7)),
        ("Osaka", 60, (30, 30)),
        (None, 5, (2, 3)),
    ]
    rows = slice(60, 100)
    gifu = estimates(of_patients(labels[rows], predicted[rows], probabilities[rows]), positive=1, resamples=100)
    assert found[0].metrics == gifu
    assert gifu["auc"].value == pytest.approx(sk.roc_auc_score(labels[rows], probabilities[rows, 1]))
    assert [one.small for one in found] == [False, True, False, True]


def test_many_patients_of_whom_few_have_one_class_are_few(patients):
    _, labels, probabilities = patients
    sites = ["a"] * 120
    rare = np.zeros(120, dtype=np.int64)
    rare[: FEW_OF_A_CLASS - 1] = 1
    assert strata(sites, rare, rare, probabilities, positive=1, resamples=10)[0].small
    assert not strata(sites, labels, labels, probabilities, positive=1, resamples=10)[0].small


def test_few_patients_are_fewer_than_thirty_or_fewer_than_five_of_a_class(patients):
    _, labels, probabilities = patients
    sites = ["thirty"] * 30 + ["twenty-nine"] * 29 + ["five"] * 31 + ["four"] * 30
    labels[59:90] = [1] * 5 + [0] * 26
    labels[90:] = [1] * 4 + [0] * 26
    found = strata(sites, labels, labels, probabilities, positive=1, resamples=10)
    assert {one.value: one.small for one in found} == {
        "thirty": False,
        "twenty-nine": True,
        "five": False,
        "four": True,
    }


def test_patients_without_a_label_are_not_counted(patients):
    sites, labels, probabilities = patients
    labels = labels.copy()
    labels[60:100] = -1
    found = strata(sites, labels, probabilities.argmax(1), probabilities, positive=1, resamples=10)
    assert (found[0].value, found[0].patients, found[0].small) == ("Gifu", 0, True)
    assert np.isnan(found[0].metrics["accuracy"].value)
