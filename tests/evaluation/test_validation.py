"""Nothing is chosen on test patients."""

from dataclasses import replace

import numpy as np
import pytest

from toy_predictions import runs_of
from triplenet.evaluation.predictions import join, run_values
from triplenet.evaluation.thresholds import YOUDEN, choose, fixed_sensitivity
from triplenet.evaluation.validation import choose_thresholds, fit_temperatures, with_temperatures, with_thresholds
from triplenet.model.temperature import fit_temperature


@pytest.fixture
def both():
    return runs_of(0.5, seeds=(0, 1)), runs_of(0.5, seeds=(0, 1), partition="validation")


def test_poisoned_test_labels_change_no_threshold_no_call_and_no_temperature(both):
    test, validation = both
    poisoned = [replace(run, labels=1 - run.labels) for run in test]
    seen = []
    for runs in (test, poisoned):
        (predictions,) = join({"triple": runs}).values()
        thresholds = choose_thresholds(validation, YOUDEN, 1)
        temperatures = fit_temperatures(validation)
        seen.append(
            (
                thresholds,
                temperatures,
                with_thresholds(predictions, thresholds, 1).thresholded.tolist(),
                with_temperatures(predictions, temperatures).probabilities.tolist(),
                run_values(with_thresholds(predictions, thresholds, 1), 1)["accuracy"].tolist(),
            )
        )
    assert seen[0][:4] == seen[1][:4]
    assert seen[0][4] != seen[1][4]  # while what is said of the test patients does change


def test_poisoned_validation_labels_do_change_them(both):
    _, validation = both
    poisoned = [replace(run, labels=1 - run.labels) for run in validation]
    assert choose_thresholds(validation, YOUDEN, 1) != choose_thresholds(poisoned, YOUDEN, 1)
    assert fit_temperatures(validation) != fit_temperatures(poisoned)


def test_each_run_has_its_own(both):
    test, validation = both
    rule = fixed_sensitivity(0.9)
    thresholds, temperatures = choose_thresholds(validation, rule, 1), fit_temperatures(validation)
    assert len({one.value for one in thresholds.values()}) == 6
    (predictions,) = join({"triple": test}).values()
    called = with_thresholds(predictions, thresholds, 1)
    for run in validation:
        key = run.fold, run.seed
        assert thresholds[key] == choose(run.labels == 1, run.probabilities[:, 1], rule)
        assert temperatures[key] == fit_temperature(run.labels, run.probabilities)
    for run in test:
        found = called.thresholded[called.seeds.index(run.seed), called.rows(run.fold)]
        assert (found == (run.probabilities[:, 1] >= thresholds[run.fold, run.seed].value)).all()
    assert run_values(called, 1)["sensitivity"].mean() == pytest.approx(0.9, abs=0.1)


def test_validation_patients_without_a_label_choose_nothing(both):
    _, validation = both
    with_others = [
        replace(
            run,
            patients=(*run.patients, "x", "y"),
            labels=np.append(run.labels, [-1, -1]),
            probabilities=np.vstack([run.probabilities, [[0.01, 0.99], [0.02, 0.98]]]),
        )
        for run in validation
    ]
    assert choose_thresholds(with_others, YOUDEN, 1) == choose_thresholds(validation, YOUDEN, 1)
    assert fit_temperatures(with_others) == fit_temperatures(validation)


def test_the_positive_class_may_be_the_first(both):
    test, validation = both
    (predictions,) = join({"triple": test}).values()
    called = with_thresholds(predictions, choose_thresholds(validation, fixed_sensitivity(1.0), 0), 0)
    assert run_values(called, 0)["sensitivity"].mean() > 0.9


def test_a_failed_run_needs_no_threshold(both):
    test, validation = both
    (predictions,) = join({"triple": test[1:]}).values()
    thresholds = choose_thresholds(validation[1:], YOUDEN, 1)
    assert np.isnan(run_values(with_thresholds(predictions, thresholds, 1), 1)["f1"]).sum() == 1
    temperatures = fit_temperatures(validation[1:])
    assert np.isnan(with_temperatures(predictions, temperatures).probabilities[0, :60]).all()
