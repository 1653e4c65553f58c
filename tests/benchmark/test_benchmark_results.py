"""What finished runs say together: tables, statistics, cautions. Nothing is chosen on the test patients."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from toy_benchmark import made_benchmark
from toy_prepared import TASK, write_toy
from triplenet.benchmark import Job, NotRun, make_plan
from triplenet.benchmark.benchmark_files import write_results
from triplenet.benchmark.benchmark_results import check_choices, summarise
from triplenet.benchmark.benchmark_tables import AT_TEMPERATURE, tables
from triplenet.benchmark.cautions import caution_table, cautions, leading, run_cautions
from triplenet.errors import BadInput, UnknownName
from triplenet.evaluation.single_run import assess
from triplenet.evaluation.tables import csv_rows, latex, markdown
from triplenet.model import read_card
from triplenet.training import load_recipe, train_recipe

METHODS = ("baseline", "double", "triple")
FEW = 200


def answer(job, patient, label):
    """The baseline knows nothing; Double Net errs in every fourth patient; Triple Net is always right."""
    number = int(patient[1:])
    right = {"baseline": 0.5 + 0.4 * np.sin(7.0 * number), "double": 0.8 if number % 4 else 0.3, "triple": 0.9}
    p = right[job.method] - 0.001 * number - 0.01 * job.seed
    return float(p if label == 1 or job.method == "baseline" else 1 - p)


@pytest.fixture(scope="module")
def plan(toy):
    return toy.plan(METHODS, folds=(1, 2, 3))


@pytest.fixture(scope="module")
def results(plan, tmp_path_factory):
    return summarise(made_benchmark(plan, tmp_path_factory.mktemp("made"), answer), resamples=FEW)


def read(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_patient_is_predicted_once_a_method_by_a_run_that_did_not_train_on_it(plan, results):
    write_results(results)
    rows = read(results.benchmark.folder / "predictions.csv")
    finding_of = {patient.patient: patient.finding for patient in plan.prepared.patients}
    tested = {name for number in plan.folds for name in plan.prepared.fold(number).test}
    for method in METHODS:
        own = [row for row in rows if row["method"] == method and row["partition"] == "test"]
        assert sorted(row["patient"] for row in own) == sorted(tested)
    for row in rows:
        assert row["patient"] not in plan.prepared.fold(int(row["fold"])).train
        assert row["label"] == finding_of[row["patient"]]
        p = answer(Job(row["method"], int(row["fold"]), 0), row["patient"], int(row["label"] == "spot"))
        assert float(row["p_spot"]) == pytest.approx(p, abs=1e-8)
        assert row["predicted"] == ("spot" if p > 0.5 else "none")


def test_the_first_table_holds_the_means_over_the_folds(plan, results):
    table = next(table for table in tables(results) if table.name == "table2")
    for method in METHODS:
        accuracies = []
        for number in plan.folds:
            test = plan.prepared.fold(number).test
            labels = plan.prepared.labels(TASK)[plan.prepared.rows(test)]
            right = [(answer(Job(method, number, 0), p, c) > 0.5) == c for p, c in zip(test, labels, strict=True)]
            accuracies.append(np.mean(right))
        cell = next(row for row in table.rows if row.name == method).cells["accuracy"]
        assert cell.value == pytest.approx(np.mean(accuracies))
        assert cell.spread == pytest.approx(np.std(accuracies))
    assert next(row for row in table.rows if row.name == "triple").cells["accuracy"].value == 1
    assert next(row for row in table.rows if row.name == "triple").cells["accuracy"].mark == "better"


def test_statistics_are_strict_json_and_name_every_comparison(results):
    write_results(results)

    def refuse(name):
        raise AssertionError(name)

    text = (results.benchmark.folder / "statistics.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    assert found["reference"] == "baseline"
    assert {(one["method"], one["metric"]) for one in found["comparisons"]} >= {
        (method, metric) for method in ("double", "triple") for metric in ("accuracy", "auc", "f1")
    }
    assert set(found["intervals"]) == set(METHODS)
    (row,) = [one for one in found["comparisons"] if (one["method"], one["metric"]) == ("triple", "accuracy")]
    assert row["test"] == "McNemar"
    assert row["adjusted"] >= row["difference"]["p"]


def test_classes_thresholds_and_calibration_have_intervals_over_patients(results):
    written = results.as_dict()
    for row in written["class_intervals"]["double"].values():
        assert row["f1"]["low"] < row["f1"]["value"] < row["f1"]["high"]
    assert set(written["threshold_intervals"]) == {rule.title for rule in results.thresholds}
    by_name = {table.name: table for table in tables(results)}
    for name in ("classes", "thresholds"):
        cell = next(row for row in by_name[name].rows if row.name.startswith("double/")).cells["f1"]
        assert cell.low < cell.value < cell.high
        assert cell.spread is not None
    calibration = next(row for row in by_name["calibration"].rows if row.name == "double").cells
    unlike = results.calibration["baseline"]  # of the others an outcome's probabilities may lie wholly above
    assert unlike.slope.low < unlike.slope.value < unlike.slope.high
    assert calibration["brier"].low < calibration["brier"].value < calibration["brier"].high
    assert 0 < calibration["by_chance"].value < 1
    before, after = results.calibration["double"], results.scaled["double"]
    assert before.error != after.error
    assert (calibration["error"].value, calibration["scaled_error"].value) == (before.error, after.error)
    assert (calibration["brier"].value, calibration["scaled_brier"].value) == (before.brier.value, after.brier.value)
    spots = results.class_estimates["double"][1]
    assert spots["sensitivity"] == results.estimates["double"]["sensitivity"]


def test_with_temperature_every_probability_is_at_its_runs_and_no_class_changes(plan, results, tmp_path):
    made = made_benchmark(plan, tmp_path, answer)
    hot = summarise(made, temperature=True, resamples=FEW)
    write_results(hot)
    assert hot.temperatures == results.temperatures
    for row in read(tmp_path / "predictions.csv"):
        job = Job(row["method"], int(row["fold"]), 0)
        p = answer(job, row["patient"], int(row["label"] == "spot"))
        fitted = hot.temperatures[job.method][job.fold, 0].value
        assert float(row["temperature"]) == pytest.approx(fitted, rel=1e-5)
        odds = (p / (1 - p)) ** (1 / fitted)
        assert float(row["p_spot"]) == pytest.approx(odds / (1 + odds), abs=1e-6)
        assert row["predicted"] == ("spot" if p > 0.5 else "none")
    for method in METHODS:
        for metric in ("accuracy", "auc", "f1"):
            assert hot.estimates[method][metric].value == pytest.approx(results.estimates[method][metric].value)
        assert str(hot.calibration[method]) == str(results.calibration[method])  # before stays before; NaN is there
        assert hot.estimates[method]["brier"].value == pytest.approx(
            brier_over_folds(hot.predictions[method]), abs=1e-9
        )
    assert hot.estimates["triple"]["brier"].value < results.estimates["triple"]["brier"].value
    for rule, each in hot.thresholds.items():  # thresholds are on the scale of the probabilities that they part
        for method, chosen in each.items():
            for key, one in chosen.items():
                plain = results.thresholds[rule][method][key]
                assert (one.sensitivity, one.specificity) == (plain.sensitivity, plain.specificity)
    for table in tables(hot):
        assert (AT_TEMPERATURE in table.notes) == (table.name != "calibration")
    assert json.loads((tmp_path / "statistics.json").read_text())["temperature_scaled"] is True
    assert results.as_dict()["temperature_scaled"] is False


def brier_over_folds(predictions):
    folds = [np.flatnonzero(predictions.folds == fold) for fold in predictions.fold_numbers]
    return np.mean([((predictions.probabilities[0, rows, 1] - predictions.labels[rows]) ** 2).mean() for rows in folds])


def test_a_failed_run_and_a_method_that_did_not_run_stand_in_every_table(toy, tmp_path):
    found = made_benchmark(
        toy.plan(METHODS, folds=(1, 2)),
        tmp_path,
        answer,
        failed=[Job("double", 2, 0), Job("triple", 1, 0), Job("triple", 2, 0)],
        not_run=[NotRun("covnet", "needs frames")],
    )
    results = summarise(found, resamples=FEW)
    for table in tables(results):
        for text in (markdown(table), latex(table)):
            text = text.replace("\\", "")
            assert "CovNet" in text, table.name
            assert "needs frames" in text, table.name
            assert "TRAINING_DIVERGED" in text, table.name
        remarks = {row["title"]: row["remark"] for row in csv_rows(table)}
        assert all(
            "1 of 2 runs failed" in remark for title, remark in remarks.items() if title.startswith("Double Net")
        )
        assert all(remark == "failed" for title, remark in remarks.items() if title.startswith("Triple Net"))
        assert not any(row.rated for row in table.rows if row.name.startswith(("double", "triple"))), table.name
    named = tables(results)[0]
    assert {row.name for row in named.rows} == {*METHODS, "covnet"}
    assert {row.name for row in named.rows if row.rated} == {"baseline"}
    assert any("failed" in text for text in cautions(found, results))


def test_a_fold_that_failed_for_every_method_is_not_forgotten(toy, tmp_path):
    failed = [Job(method, 2, 0) for method in METHODS]
    results = summarise(made_benchmark(toy.plan(METHODS, folds=(1, 2)), tmp_path, answer, failed=failed), resamples=FEW)
    for row in tables(results)[0].rows:
        assert row.remark == "1 of 2 runs failed"


def test_poisoned_test_labels_change_no_threshold_and_no_temperature(toy, plan, results, tmp_path):
    """Only the labels of the test patients differ; what runs choose on validation stays, what is measured changes."""
    fold = toy.prepared.fold(1)
    clean = made_benchmark(toy.plan(METHODS), tmp_path / "clean", answer)
    poisoned = dict(clean.runs)
    for job, run in clean.runs.items():
        text = (run.folder / "predictions.csv").read_text().splitlines()
        changed = [line.replace(",test,none,", ",test,SPOT,").replace(",test,spot,", ",test,none,") for line in text]
        (run.folder / "predictions.csv").write_text("\n".join(changed).replace("SPOT", "spot") + "\n")
        poisoned[job] = run
    before = summarise(made_benchmark(toy.plan(METHODS), tmp_path / "again", answer), resamples=FEW)
    after = summarise(replace(clean, runs=poisoned), resamples=FEW)
    assert len(fold.test) == len(after.predictions["triple"].labels)
    assert after.thresholds == before.thresholds
    assert after.temperatures == before.temperatures
    for rule in before.thresholds:
        one, other = (found.at_thresholds(rule, 1)["double"] for found in (before, after))
        assert np.array_equal(one.thresholded, other.thresholded)
    assert after.estimates["triple"]["accuracy"].value == pytest.approx(
        1 - before.estimates["triple"]["accuracy"].value
    )


def test_poisoned_test_labels_change_neither_training_nor_the_weights_that_are_kept(tmp_path):
    findings = ("none", "spot") * 9
    clean = write_toy(tmp_path / "clean", findings, size=40, frames=4)
    test = {clean.patients.index(patient) for patient in clean.patients if patient.patient in clean.fold(1).test}
    other = {"none": "spot", "spot": "none"}
    poisoned = write_toy(
        tmp_path / "poisoned", findings, size=40, frames=4, labels=lambda row, f: other[f] if row in test else f
    )
    recipe = load_recipe(
        "quick",
        method="decovnet",
        settings=[
            "encoder.weights=none",
            "augmentation.crop=32",
            "training.batch=4",
            "training.epochs=3",
            "network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]",
        ],
    )
    runs = [
        train_recipe(one, TASK, 1, recipe, tmp_path / f"run-{n}", device="cpu")
        for n, one in enumerate((clean, poisoned))
    ]
    first, second = (run.predictions() for run in runs)
    assert not np.array_equal(first.of("test").labels, second.of("test").labels)
    assert np.array_equal(first.of("validation").labels, second.of("validation").labels)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert read_card(runs[0].model).tensors_sha256 == read_card(runs[1].model).tensors_sha256
    assert runs[0].info.best_epoch == runs[1].info.best_epoch
    assert runs[0].info.validation == runs[1].info.validation

    def lines(run):
        return [{name: value for name, value in row.items() if name != "seconds"} for row in run.history()]

    assert lines(runs[0]) == lines(runs[1])


def test_cautions_name_leakage_small_folds_and_classes_never_predicted(toy, plan, tmp_path):
    leaking = replace(plan.prepared, info=plan.prepared.info.model_copy(update={"leakage": (("p000", "p001"),)}))

    def never(job, patient, label):
        return 0.2

    found = made_benchmark(replace(toy.plan(("baseline",)), prepared=leaking), tmp_path, never)
    text = "\n".join(cautions(found, summarise(found, resamples=FEW)))
    assert "1 pair of patients with nearly the same image" in text
    assert "Fold 1 is small" in text
    assert "Baseline ResNet18 never predicts the class spot in 1 run (fold 1, seed 0)." in text
    assert "random weights" in text
    assert "One seed" in text


@pytest.mark.parametrize(("patients", "tested"), [(132, 30), (131, 29)])
def test_a_fold_is_small_with_fewer_than_thirty_patients(tmp_path, patients, tested):
    prepared = write_toy(tmp_path / "set", (("none", "spot") * 66)[:patients], size=40)
    plan = make_plan(prepared, TASK, ("baseline",), folds=(2,), settings=["encoder.weights=none"])
    assert len(prepared.fold(2).test) == tested
    text = "\n".join(cautions(made_benchmark(plan, tmp_path / "out", lambda _job, _patient, _label: 0.4), None))
    few = "29 test patients and " if tested < 30 else ""
    assert f"Fold 2 is small: {few}14 validation patients." in text


def test_what_speaks_against_single_runs_is_a_table_of_methods_by_kinds_with_their_folds(toy, tmp_path):
    def never_in(folds):
        return lambda job, patient, label: 0.2 if job.method == "double" and job.fold in folds else 0.2 + 0.6 * label

    plan = toy.plan(METHODS, folds=(1, 2, 3))
    cells = {}
    for folds in ((1, 3), (1, 2, 3)):
        found = made_benchmark(
            plan, tmp_path / str(len(folds)), never_in(folds), failed=[Job("triple", 2, 0)], not_run=()
        )
        results = summarise(found, resamples=FEW)
        table = caution_table(found, results)
        assert [row.name for row in table.rows] == list(METHODS)
        of = {(row.name, column.title): row.cells.get(column.name) for row in table.rows for column in table.columns}
        cells[folds] = of["double", "spot"].text
        assert of["baseline", "spot"] is None
        assert of["triple", "failed: TRAINING_DIVERGED"].text == "2"
        assert of["double", "under 10 epochs"].text == "all folds"
        assert of["triple", "under 10 epochs"].text == "1, 3"
        shown = leading(found, run_cautions(found, results))
        assert len(shown) <= 7
        assert any(f"In {len(folds)} of 8 runs a class is never predicted (Double Net)" in text for text in shown)
        assert table.name in {one.name for one in tables(results)}
    assert cells == {(1, 3): "1, 3", (1, 2, 3): "all folds"}


def test_of_several_seeds_the_table_names_those_in_which_it_is_so(toy, tmp_path):
    def answer_of_seed(job, patient, label):
        return 0.2 if job.seed == 4 else 0.2 + 0.6 * label

    found = made_benchmark(toy.plan(("baseline",), folds=(1, 2), seeds=(0, 4)), tmp_path, answer_of_seed)
    table = caution_table(found, summarise(found, resamples=FEW))
    column = next(column for column in table.columns if column.title == "spot")
    assert table.rows[0].cells[column.name].text == "1 (seed 4), 2 (seed 4)"


def test_runs_that_were_stopped_while_they_learnt_are_told(plan, tmp_path):
    found = made_benchmark(plan, tmp_path, answer)
    job, other = list(found.runs)[:2]

    def with_info(job, **more):
        run = found.runs[job]
        return replace(run, info=run.info.model_copy(update=more))

    long = {each: with_info(each, epochs=20, best_epoch=12) for each in found.runs}
    assert "learning" not in "\n".join(cautions(replace(found, runs=long), None))
    last = {**long, job: with_info(job, epochs=20, best_epoch=19), other: with_info(other, epochs=9, best_epoch=3)}
    text = "\n".join(cautions(replace(found, runs=last), None))
    assert "1 of 9 runs were best on validation in their last epoch: they may not have finished learning." in text
    assert "1 of 9 runs trained for fewer than 10 epochs" in text


def test_patients_are_parted_by_a_column_of_the_cohort(toy, plan, tmp_path):
    patients = tuple(
        replace(patient, extra={"scanner": "A" if number % 2 else "B"})
        for number, patient in enumerate(plan.prepared.patients)
    )
    prepared = replace(plan.prepared, patients=patients)
    found = made_benchmark(replace(plan, prepared=prepared), tmp_path, answer)
    results = summarise(found, columns=["scanner"], resamples=FEW)
    scanner_of = {patient.patient: patient.extra["scanner"] for patient in patients}
    for one in results.strata["scanner"]["double"]:
        tested = [name for number in (1, 2, 3) for name in prepared.fold(number).test if scanner_of[name] == one.value]
        assert one.patients == len(tested)
    (by_scanner,) = [table for table in tables(results) if table.name.startswith("strata")]
    assert [row.title.partition(", ")[0] for row in by_scanner.rows] == ["A"] * len(METHODS) + ["B"] * len(METHODS)
    assert {row.name.partition("/")[0] for row in by_scanner.rows} == set(METHODS)
    with pytest.raises(UnknownName, match="no such column"):
        summarise(found, columns=["kernel"])
    with pytest.raises(UnknownName, match="not a method"):
        summarise(found, reference="abn")


def test_sites_part_the_patients_unasked_where_tested_patients_have_several(toy, plan, tmp_path):
    tested = {name for number in plan.folds for name in plan.prepared.fold(number).test}

    def of_sites(site_of):
        patients = tuple(replace(one, site=site_of(one.patient)) for one in plan.prepared.patients)
        there = replace(plan, prepared=replace(plan.prepared, patients=patients))
        return summarise(made_benchmark(there, tmp_path / site_of.__name__, answer), resamples=FEW).strata

    def training_only(name):
        return None if name in tested else "elsewhere"

    def two(name):
        return "north" if int(name[1:]) % 3 else "south"

    assert of_sites(training_only) == {}
    assert [one.value for one in of_sites(two)["site"]["double"]] == ["north", "south"]


def test_several_seeds_have_a_table_of_their_spread(toy, tmp_path):
    results = summarise(made_benchmark(toy.plan(METHODS, folds=(1, 2), seeds=(0, 4)), tmp_path, answer), resamples=FEW)
    assert {"seeds", "variance", "run-comparisons"} <= {table.name for table in tables(results)}
    (one,) = [
        one for one in results.supplement.run_comparisons if (one.method, one.metric) == ("double", "sensitivity")
    ]
    assert one.runs == 4  # two folds, two seeds
    folds = [toy.prepared.fold(number) for number in (1, 2)]
    assert one.test_share == pytest.approx(np.mean([len(fold.test) / len(fold.train) for fold in folds]))
    assert results.predictions["triple"].seeds == (0, 4)
    assert not any("One seed" in text for text in cautions(results.benchmark, results))


def test_prevalences_and_widths_are_those_asked_for_and_refused_before_training(plan, tmp_path):
    results = summarise(made_benchmark(plan, tmp_path, answer), prevalences=(0.3,), widths=(0.2,), resamples=FEW)
    by_name = {table.name: table for table in tables(results)}
    assert [column.name for column in by_name["predictive-values"].columns] == ["ppv_0.3", "npv_0.3"]
    assert "needed_0.2" in {column.name for column in by_name["widths"].columns}
    assert "variance" not in by_name  # one seed
    write_results(results)
    written = json.loads((tmp_path / "statistics.json").read_text())
    (row,) = written["predictive_values"]["0.5"]["double"]
    assert row["prevalence"] == 0.3
    assert row["ppv"]["low"] < row["ppv"]["value"]
    assert {one["metric"] for one in written["comparisons"]} >= {"auc", "brier"}
    check_choices(plan, None, None, (0.3,), (0.2,))
    with pytest.raises(BadInput, match="prevalence"):
        check_choices(plan, None, None, (30.0,), (0.2,))
    with pytest.raises(BadInput, match="width"):
        check_choices(plan, None, None, (0.3,), (20.0,))


def test_evaluate_and_the_benchmark_say_the_same_of_the_same_run(toy, tmp_path):
    found = made_benchmark(toy.plan(("triple",)), tmp_path, answer)
    together = summarise(found)
    ((job, run),) = found.runs.items()
    alone = assess(run)
    assert alone.job == job
    for name, estimate in alone.metrics.items():
        assert together.estimates["triple"][name] == estimate
    accuracy = alone.metrics["accuracy"]
    right = int(np.trace(alone.matrix))
    interval = binomtest(right, alone.patients).proportion_ci(0.95, method="wilson")
    assert (accuracy.low, accuracy.high) == pytest.approx((interval.low, interval.high))
