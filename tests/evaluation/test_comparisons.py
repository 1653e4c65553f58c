"""Methods against a reference."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from toy_predictions import auc_difference, runs_of
from triplenet.evaluation.comparisons import Comparison, compare
from triplenet.evaluation.delong import area_covariance, auc_interval
from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.fold_spread import over_folds
from triplenet.evaluation.intervals import Difference, bootstrap, wilson
from triplenet.evaluation.paired_tests import holm, mcnemar
from triplenet.evaluation.predictions import RunPredictions, join, run_values


def found_of(comparisons, method, metric):
    (one,) = (one for one in comparisons if (one.method, one.metric) == (method, metric))
    return one


def test_of_one_fold_the_tests_are_delongs_and_mcnemars():
    good, poor = runs_of(2, noise=1)[:1], runs_of(0.3, noise=2)[:1]
    predictions = join({"triple": good, "baseline": poor})
    found = compare(predictions, "baseline", positive=1, resamples=200)
    area = found_of(found, "triple", "auc")
    labels, first, second = good[0].labels, good[0].probabilities, poor[0].probabilities
    assert (area.test, area.difference) == ("DeLong", auc_difference(labels, first[:, 1], second[:, 1]))
    accuracy = found_of(found, "triple", "accuracy")
    assert accuracy.test == "McNemar"
    assert accuracy.difference.p == mcnemar(labels, first.argmax(1), second.argmax(1)).p
    assert found_of(found, "triple", "f1").test == "bootstrap"
    assert (area.folds, area.patients) == (1, 60)


def test_over_folds_and_seeds_the_difference_is_that_of_the_table():
    predictions = join({"triple": runs_of(2, seeds=(0, 1), noise=1), "baseline": runs_of(0.3, seeds=(0, 1), noise=2)})
    found = compare(predictions, "baseline", positive=1, resamples=200)
    for metric in ("accuracy", "auc", "f1"):
        expected = [over_folds(run_values(predictions[name], 1)[metric]).mean for name in ("triple", "baseline")]
        assert found_of(found, "triple", metric).difference.value == pytest.approx(expected[0] - expected[1])
    assert found_of(found, "triple", "accuracy").test == "bootstrap"  # two seeds a patient have no one answer


def test_the_variance_over_folds_is_the_sum_of_theirs():
    first, second = runs_of(1, noise=1), runs_of(0.5, noise=2)
    predictions = join({"triple": first, "baseline": second})
    found = found_of(compare(predictions, "baseline", positive=1, resamples=50), "triple", "auc").difference
    variance = 0
    for one, other in zip(first, second, strict=True):
        _, c = area_covariance(one.labels, [one.probabilities[:, 1], other.probabilities[:, 1]])
        variance += (c[0, 0] + c[1, 1] - 2 * c[0, 1]) / 9
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance))
    drawn = compare(predictions, "baseline", positive=None, resamples=2000)  # several classes: by the bootstrap
    bootstrapped = found_of(drawn, "triple", "auc")
    assert bootstrapped.test == "bootstrap"
    assert (bootstrapped.difference.low, bootstrapped.difference.high) == pytest.approx(
        (found.low, found.high), abs=0.015
    )


def test_holms_correction_is_over_the_methods_of_one_metric():
    predictions = join(
        {
            name: runs_of(skill, noise=n)
            for n, (name, skill) in enumerate({"baseline": 0.5, "abn": 0.6, "double": 0.9, "triple": 2.5}.items())
        }
    )
    found = compare(predictions, "baseline", positive=1, resamples=300)
    for metric in ("accuracy", "auc", "f1"):
        family = [one for one in found if one.metric == metric]
        assert [one.method for one in family] == ["abn", "double", "triple"]
        assert [one.adjusted for one in family] == pytest.approx(holm([one.difference.p for one in family]))
    assert found_of(found, "triple", "auc").verdict() == "better"
    assert found_of(found, "abn", "auc").verdict() is None
    worse = compare(predictions, "triple", positive=1, resamples=300)
    assert found_of(worse, "baseline", "auc").verdict() == "worse"


def test_what_does_not_outlast_the_correction_is_no_verdict():
    difference = Difference(0.1, 0.01, 0.19, 0.03)
    one = Comparison("triple", "baseline", "auc", difference, 0.09, "DeLong", 3, 180)
    assert one.verdict() is None
    assert replace(one, adjusted=0.03).verdict() == "better"
    assert replace(one, adjusted=0.03, metric="brier").verdict() == "worse"


def test_a_lower_brier_score_is_better():
    predictions = join({"triple": runs_of(3, noise=1), "baseline": runs_of(0.2, noise=2)})
    one = found_of(compare(predictions, "baseline", positive=1, metrics=("brier",), resamples=300), "triple", "brier")
    assert one.difference.value < 0
    assert one.verdict() == "better"


def test_a_method_with_failed_runs_is_compared_in_the_folds_it_has():
    full = runs_of(1, noise=1)
    predictions = join({"baseline": full, "triple": runs_of(2, noise=2)[:2], "abn": []})
    found = compare(predictions, "baseline", positive=1, resamples=100)
    one = found_of(found, "triple", "auc")
    assert (one.folds, one.patients) == (2, 120)
    expected = np.mean([sk.roc_auc_score(r.labels, r.probabilities[:, 1]) for r in runs_of(2, noise=2)[:2]])
    reference = np.mean([sk.roc_auc_score(r.labels, r.probabilities[:, 1]) for r in full[:2]])
    assert one.difference.value == pytest.approx(expected - reference)
    missing = found_of(found, "abn", "auc")
    assert missing.folds == 0 and np.isnan(missing.adjusted) and missing.verdict() is None
    assert one.adjusted == pytest.approx(one.difference.p)  # the missing one does not count in the family


def test_groups_take_the_place_of_independent_patients():
    runs = {"triple": runs_of(1.2, noise=1), "baseline": runs_of(0.5, noise=2)}
    doubled = {
        name: [
            RunPredictions(
                run.fold,
                run.seed,
                run.patients + tuple(f"{patient} again" for patient in run.patients),
                np.tile(run.labels, 2),
                np.tile(run.probabilities, (2, 1)),
            )
            for run in found
        ]
        for name, found in runs.items()
    }
    patients = [patient for run in doubled["triple"] for patient in run.patients]
    groups = {patient: patient.removesuffix(" again") for patient in patients}
    once = found_of(compare(join(runs), "baseline", positive=1, resamples=200), "triple", "auc")
    both = compare(join(doubled, groups), "baseline", positive=1, resamples=200)
    assert found_of(both, "triple", "auc").difference.p == pytest.approx(once.difference.p)
    assert found_of(both, "triple", "accuracy").test == "bootstrap"


def test_intervals_of_one_fold_are_those_of_its_patients():
    run = runs_of(1, noise=1)[0]
    (predictions,) = join({"triple": [run]}).values()
    found = estimates(predictions, positive=1, resamples=300)
    expected = auc_interval(run.labels, run.probabilities[:, 1])
    assert (found["auc"].low, found["auc"].high) == pytest.approx((expected.low, expected.high))
    accuracy = wilson(int((run.probabilities.argmax(1) == run.labels).sum()), 60)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((accuracy.low, accuracy.high), abs=0.04)


def test_what_several_seeds_say_of_the_same_patients_is_not_more_patients():
    (predictions,) = join({"triple": runs_of(1, seeds=(0, 1))}).values()
    found = estimates(predictions, positive=1, resamples=300)
    drawn = bootstrap(180, predictions.statistics(1), folds=predictions.folds, resamples=300)
    for name in ("accuracy", "sensitivity", "precision"):
        assert found[name] == drawn[name]


def test_a_proportion_of_one_has_an_interval_all_the_same():
    perfect = [replace(run, probabilities=np.eye(2)[run.labels]) for run in runs_of(1)]
    (predictions,) = join({"triple": perfect}).values()
    found = estimates(predictions, positive=1, resamples=100)
    assert found["accuracy"] == wilson(180, 180)
    assert found["precision"] == wilson(90, 90)
    assert found["auc"].value == 1 and 0.9 < found["auc"].low < 1


def degenerate(name):
    """Three folds of 8 negatives and 9 positives; ``all`` calls everybody positive, ``mixed`` nobody of the first."""
    labels = np.repeat([0, 1], [8, 9])
    runs = []
    for fold in (1, 2, 3):
        p = np.full(17, 0.2 if name == "mixed" and fold == 1 else 0.8)
        runs.append(RunPredictions(fold, 0, tuple(f"{fold}-{r}" for r in range(17)), labels, np.stack([1 - p, p], 1)))
    return runs


def test_folds_that_are_called_one_class_leave_no_interval_without_a_width():
    (predictions,) = join({"mixed": degenerate("mixed")}).values()
    found = estimates(predictions, positive=1, resamples=200)
    for name, value in {"sensitivity": 2 / 3, "specificity": 1 / 3, "balanced_accuracy": 0.5}.items():
        assert found[name].value == pytest.approx(value)
        assert found[name].low < value - 0.05 and found[name].high > value + 0.05
    assert all(one.low < one.high or np.isnan(one.low) for one in found.values())


def test_of_several_classes_an_interval_without_a_width_is_that_of_the_class_against_the_rest():
    labels = np.repeat([0, 1, 2], 6)
    run = RunPredictions(1, 0, tuple(map(str, range(18))), labels, np.eye(3)[np.zeros(18, dtype=int)])
    (predictions,) = join({"a": [run]}).values()
    found = estimates(predictions, positive=2, resamples=100)
    assert found["accuracy"].value == pytest.approx(12 / 18)  # nobody is called 2, and 12 are not
    assert found["specificity"] == wilson(12, 12) and found["sensitivity"] == wilson(0, 6)


def test_their_differences_are_tested_by_how_many_patients_differ():
    found = compare(join({"all": degenerate("all"), "mixed": degenerate("mixed")}), "mixed", positive=1, resamples=200,
                    metrics=("accuracy", "sensitivity", "specificity"))  # fmt: skip
    assert found_of(found, "all", "sensitivity").difference.p == pytest.approx(2 * 0.5**9)  # 9 positives of fold 1
    assert found_of(found, "all", "specificity").difference.p == pytest.approx(2 * 0.5**8)
    assert found_of(found, "all", "accuracy").difference.p == 1  # 9 more right, 8 more wrong
    assert np.isnan(found_of(found, "all", "sensitivity").difference.low)


def test_without_a_run_there_is_nothing_to_say():
    predictions = join({"triple": runs_of(1), "abn": []})["abn"]
    assert estimates(predictions, positive=1) == {}


def test_intervals_over_folds_cover_the_truth_about_as_often_as_they_say():
    truth, covered = 0.76025, {"auc": 0, "accuracy": 0}  # Phi(1 / sqrt 2); accuracy Phi(1 / 2) = 0.69146
    labels = np.arange(50) % 2
    for trial in range(150):
        rng = np.random.default_rng(trial)
        runs = []
        for fold in (1, 2, 3):
            p = 1 / (1 + np.exp(-(rng.normal(size=50) + labels - 0.5)))
            runs.append(
                RunPredictions(fold, 0, tuple(f"{fold}-{r}" for r in range(50)), labels, np.stack([1 - p, p], 1))
            )
        (predictions,) = join({"a": runs}).values()
        found = estimates(predictions, positive=1, resamples=200, seed=trial)
        covered["auc"] += found["auc"].low <= truth <= found["auc"].high
        covered["accuracy"] += found["accuracy"].low <= 0.69146 <= found["accuracy"].high
    # 95 % of 150 is 142.5; five binomial spreads are 13.
    assert all(129 <= count <= 150 for count in covered.values())
