"""Statistics beside estimates and comparisons, put together and as tables."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from toy_predictions import runs_of
from triplenet.evaluation.averaged_auc import averaged_auc
from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.predictions import join
from triplenet.evaluation.supplement import METRICS, supplement_of
from triplenet.evaluation.supplement_tables import not_estimated, supplement_tables
from triplenet.evaluation.tables import csv_rows, markdown
from triplenet.evaluation.thresholds import FIXED_HALF
from triplenet.evaluation.variance_components import ONE_FOLD, ONE_SEED, variance_components
from triplenet.files import jsonable
from triplenet.training.job import Job

#: With a finding 180 patients are trained on; the others are not.
TRAINED = SimpleNamespace(info=SimpleNamespace(patients={"train": {"none": 100, "spot": 80, "": 20}}))


def results_of(runs, positive=1, *, reference="baseline", seeds=(0, 1), **options):
    predictions = join(runs)
    found = {name: estimates(own, positive=positive, resamples=100) for name, own in predictions.items()}
    jobs = {Job(name, run.fold, run.seed): TRAINED for name, own in runs.items() for run in own}
    rules = {FIXED_HALF: found} if positive is not None else {}
    supplement = supplement_of(predictions, found, rules, jobs, reference=reference, positive=positive, **options)
    classes = ("none", "spot") if positive is not None else ("a", "b", "c")
    return SimpleNamespace(
        supplement=supplement,
        predictions=predictions,
        estimates=found,
        positive=positive,
        seeds=seeds,
        methods=tuple(runs),
        classes=classes,
    )


@pytest.fixture(scope="module")
def binary():
    seeds = (0, 1)
    runs = {"baseline": runs_of(0.5, seeds=seeds), "triple": runs_of(1.5, seeds=seeds, noise=1), "abn": []}
    return results_of(runs, prevalences=(0.1, 0.3), widths=(0.2,))


def cells(table, row):
    return next(one for one in table.rows if one.name == row).cells


def by_name(results):
    return {table.name: table for table in supplement_tables(results)}


def test_there_is_a_table_of_each(binary):
    assert list(by_name(binary)) == ["auc", "run-comparisons", "variance", "widths", "predictive-values"]


def test_the_auc_stands_thrice_beside_each_other(binary):
    table = by_name(binary)["auc"]
    found = averaged_auc(binary.predictions["triple"], 1)
    row = cells(table, "triple")
    assert (row["averaged"].low, row["averaged"].high) == (found.averaged.low, found.averaged.high)
    assert row["pooled"].value == found.pooled.value
    assert (row["auc"].value, row["auc"].low) == pytest.approx(
        (found.averaged.value, binary.estimates["triple"]["auc"].low)
    )
    assert np.isnan([cell.value for cell in cells(table, "abn").values()]).all()
    assert [column.group for column in table.columns] == ["mean over the folds"] * 2 + ["all test patients pooled"]


def test_differences_over_trainings_count_training_patients_with_a_finding(binary):
    found = {(one.method, one.metric): one for one in binary.supplement.run_comparisons}
    assert {metric for _, metric in found} == set(METRICS)
    assert found["triple", "auc"].test_share == pytest.approx(60 / 180)
    row = cells(by_name(binary)["run-comparisons"], "triple/auc")
    one = found["triple", "auc"]
    assert (row["difference"].value, row["difference"].low) == (one.difference.value, one.difference.low)
    assert (row["p"].value, row["adjusted"].value) == (one.difference.p, one.adjusted)
    assert (row["seeds_averaged"].value, row["runs"].value, row["spread"].value) == (one.seeds_averaged, 6, one.spread)
    lost = cells(by_name(binary)["run-comparisons"], "abn/auc")
    assert np.isnan(lost["difference"].value) and lost["runs"].value == 0


def test_the_variance_is_parted_by_method_and_metric(binary):
    one = binary.supplement.components["triple"]["auc"]
    row = cells(by_name(binary)["variance"], "triple/auc")
    assert (row["patients"].value, row["seeds"].value) == (one.patients, one.seeds.value)
    assert (row["seeds"].low, row["seed_share"].value) == (one.seeds.low, one.seed_share)
    assert (row["folds"].value, row["runs"].value) == (3, 6)
    assert one.missing == ()


def test_widths_are_of_the_patients_tested(binary):
    one = binary.supplement.widths["triple"]["auc"]
    auc = binary.estimates["triple"]["auc"]
    assert (one.patients, one.width) == (180, pytest.approx(auc.high - auc.low))
    row = cells(by_name(binary)["widths"], "triple/auc")
    assert (row["patients"].value, row["width"].value, row["needed_0.2"].value) == (180, one.width, one.needed[0.2])
    assert one.needed[0.2] < 180
    assert cells(by_name(binary)["widths"], "abn") == {}


def test_predictive_values_stand_at_the_prevalences_asked_for(binary):
    table = by_name(binary)["predictive-values"]
    assert [column.group for column in table.columns] == ["prevalence 10 %"] * 2 + ["prevalence 30 %"] * 2
    found = binary.estimates["triple"]
    sensitivity, specificity = found["sensitivity"].value, found["specificity"].value
    row = cells(table, "triple/0.5")
    assert row["ppv_0.3"].value == pytest.approx(0.3 * sensitivity / (0.3 * sensitivity + 0.7 * (1 - specificity)))
    assert row["npv_0.1"].value == pytest.approx(0.9 * specificity / (0.9 * specificity + 0.1 * (1 - sensitivity)))
    assert row["npv_0.1"].low < row["npv_0.1"].value < row["npv_0.1"].high
    assert "If spot were so frequent" in table.notes[0]


def test_all_of_it_is_strict_json_with_widths_and_prevalences_as_numbers(binary):
    found = json.loads(json.dumps(jsonable(binary.supplement.as_dict()), allow_nan=False))
    (asked,) = found["interval_widths"]["triple"]["auc"]["needed"]
    assert asked == {"width": 0.2, "patients": binary.supplement.widths["triple"]["auc"].needed[0.2]}
    assert [one["prevalence"] for one in found["predictive_values"]["0.5"]["triple"]] == [0.1, 0.3]
    assert found["averaged_auc"]["abn"]["averaged"]["value"] is None
    assert found["variance_components"]["baseline"]["f1"]["runs"] == 6
    assert {one["method"] for one in found["run_comparisons"]} == {"triple", "abn"}


def test_several_classes_have_no_predictive_values_and_no_pooled_curve():
    results = results_of(
        {"baseline": runs_of(0.5, classes=3), "triple": runs_of(1.5, classes=3, noise=1)}, None, seeds=(0,)
    )
    tables = by_name(results)
    assert list(tables) == ["auc", "run-comparisons", "widths"]
    assert [column.title for column in tables["auc"].columns] == ["bootstrap", "influence curve"]
    assert {row.name for row in tables["widths"].rows} >= {"triple/auc", "triple/accuracy", "triple/sensitivity"}
    assert results.supplement.predictive_values == {}
    for table in tables.values():
        assert markdown(table) and csv_rows(table)


def test_what_one_seed_or_one_run_cannot_tell_is_said():
    several = results_of({"baseline": runs_of(0.5)}, seeds=(0,))
    assert not_estimated(several) == (f"{ONE_SEED.capitalize()}.",)
    assert several.supplement.run_comparisons == ()
    assert "variance" not in by_name(several) and "run-comparisons" not in by_name(several)
    one = results_of({"baseline": runs_of(0.5)[:1]}, seeds=(0,))
    assert not_estimated(one) == (f"{ONE_SEED.capitalize()}.", f"{ONE_FOLD.capitalize()}.")
    pair = results_of({"baseline": runs_of(0.5)[:1], "triple": runs_of(1.5, noise=1)[:1]}, seeds=(0,))
    assert "run-comparisons" not in by_name(pair)  # one pair of runs has no variance


def test_a_dash_in_the_table_of_variance_is_explained():
    results = results_of({"baseline": runs_of(0.5, seeds=(0, 1))[:2]})
    table = by_name(results)["variance"]
    assert f"A dash: {ONE_FOLD}." in table.notes
    values = [[results.estimates["baseline"]["auc"].value]]
    assert variance_components(values).missing == (ONE_SEED, ONE_FOLD)
