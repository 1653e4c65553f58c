"""Runs of several folds and seeds put together."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from toy_predictions import runs_of
from triplenet.errors import BadRun
from triplenet.evaluation.metrics import confusion, paper_columns
from triplenet.evaluation.predictions import RunPredictions, join, never_predicted, run_values


def test_a_methods_values_are_each_runs_own():
    runs = runs_of(1, seeds=(4, 7))
    (predictions,) = join({"triple": runs}).values()
    values = run_values(predictions, 1)
    assert predictions.seeds == (4, 7)
    for run in runs:
        place = run.fold - 1, predictions.seeds.index(run.seed)
        called = run.probabilities.argmax(1)
        assert values["auc"][place] == pytest.approx(sk.roc_auc_score(run.labels, run.probabilities[:, 1]))
        assert values["f1"][place] == pytest.approx(sk.f1_score(run.labels, called))
        assert values["paper_sensitivity"][place] == paper_columns(confusion(run.labels, called, 2)).sensitivity


def test_runs_may_list_their_patients_in_any_order():
    runs = runs_of(1)
    backwards = [
        replace(run, patients=run.patients[::-1], labels=run.labels[::-1], probabilities=run.probabilities[::-1])
        for run in runs
    ]
    joined = join({"a": runs, "b": backwards})
    assert (joined["a"].probabilities == joined["b"].probabilities).all()


def test_a_failed_run_is_missing_and_not_left_out():
    joined = join({"good": runs_of(1, seeds=(0, 1)), "bad": runs_of(1, seeds=(0, 1))[1:4]})
    assert joined["good"].failed == ()
    assert joined["bad"].failed == ((1, 0), (3, 0), (3, 1))
    values = run_values(joined["bad"], 1)["accuracy"]
    assert np.isnan(values).tolist() == [[True, False], [False, False], [True, True]]
    rows, _, _ = joined["bad"].pooled()
    assert len(rows) == 120
    nothing = join({"good": runs_of(1), "bad": []})["bad"]
    assert len(nothing.failed) == 3
    assert run_values(nothing, 1) == {}
    assert len(nothing.pooled()[0]) == 0


def test_statistics_are_the_mean_over_folds_of_the_mean_over_seeds():
    runs = runs_of(1, seeds=(0, 1))
    (predictions,) = join({"a": runs[:-1]}).values()
    areas = {}
    for run in runs[:-1]:
        areas.setdefault(run.fold, []).append(sk.roc_auc_score(run.labels, run.probabilities[:, 1]))
    found = predictions.statistics(1)(np.ones((1, 180)))["auc"][0]
    assert found == pytest.approx(np.mean([np.mean(fold) for fold in areas.values()]))


def test_patients_without_a_label_are_left_out():
    run = RunPredictions(1, 0, ("a", "b", "c"), np.array([0, -1, 1]), np.eye(2)[[0, 0, 1]])
    (predictions,) = join({"a": [run]}, {"a": "g", "c": None}).values()
    assert predictions.patients == ("a", "c")
    assert predictions.groups == ("g", None)


def test_runs_that_do_not_belong_together_are_refused():
    runs = runs_of(1)
    with pytest.raises(BadRun, match="labels: fold 2"):
        join({"a": runs, "b": [replace(runs[1], labels=1 - runs[1].labels)]})
    with pytest.raises(BadRun, match="two test folds"):
        join({"a": [runs[0], replace(runs[1], patients=runs[0].patients)]})
    with pytest.raises(BadRun, match="twice"):
        join({"a": [runs[0], runs[0]]})
    with pytest.raises(BadRun, match="classes"):
        join({"a": [runs[0]], "b": [replace(runs[0], probabilities=np.ones((60, 3)) / 3)]})
    with pytest.raises(BadRun, match="no run"):
        join({"a": []})


def test_pooled_answers_average_the_seeds():
    one, other = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[0.3, 0.7], [0.45, 0.55]])
    runs = [RunPredictions(1, seed, ("a", "b"), np.array([0, 1]), p) for seed, p in enumerate((one, other))]
    (predictions,) = join({"a": runs}).values()
    rows, predicted, mean = predictions.pooled()
    assert rows.tolist() == [0, 1]
    assert mean == pytest.approx((one + other) / 2)
    assert predicted.tolist() == [0, 1]


def test_a_class_that_is_never_predicted_is_named():
    labels = np.array([0, 1, 2, 2])
    run = RunPredictions(2, 5, tuple("abcd"), labels, np.eye(3)[[0, 1, 1, 0]])
    (predictions,) = join({"a": [run]}).values()
    assert never_predicted(predictions) == ((2, 5, 2),)
    assert run_values(predictions, 2)["sensitivity"][0, 0] == 0
