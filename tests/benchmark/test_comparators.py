"""Rows outside the paper: asked in the same folds, written as runs, shown wherever methods are."""

import csv
import json
import shutil
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from toy_benchmark import give_model, made_benchmark
from toy_prepared import TASK, write_toy
from triplenet.benchmark import Benchmark, Job, Machine, infected_share, make_plan, run_benchmark
from triplenet.benchmark.benchmark_files import prediction_rows
from triplenet.benchmark.benchmark_results import summarise
from triplenet.benchmark.benchmark_tables import tables
from triplenet.benchmark.cautions import cautions
from triplenet.benchmark.comparator_runs import run_comparators
from triplenet.benchmark.infected_share import infected_shares, share_of_lung
from triplenet.benchmark.records import read_record, record_path, run_folder
from triplenet.catalog import Task
from triplenet.cli.app import app
from triplenet.errors import BadInput, BadPreparedSet, BadRecipe, PathMissing, UnknownName
from triplenet.evaluation import single_run
from triplenet.evaluation.figures import draw_figures
from triplenet.evaluation.method_tables import in_order, title_of
from triplenet.explanation.one_pass import Explained
from triplenet.model import load_model
from triplenet.report.benchmark_page import benchmark_page
from triplenet.training.run import open_run

embedding_figure = import_module("triplenet.evaluation.figures.embedding_figure")
THREE = Task("three", "three", ("none", "some", "much"), {"none": "none", "some": "some", "spot": "much"})
FINDINGS = ("none", "spot") * 12


def opacity(row, finding):
    """Some 0.1 without a spot and some 0.4 with one, each patient another; every seventh as if it had the other."""
    spot = (finding == "spot") != (row % 7 == 6)
    return 0.1 + 0.3 * spot + 0.001 * row


def answer(job, patient, label):
    return 0.5 + (0.3 if label else -0.3) * (1 if int(patient[1:]) % 5 else -1)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """A set with opacity, features of its patients in a file, and a plan of methods whose runs nobody trained."""
    folder = tmp_path_factory.mktemp("comparators")
    prepared = write_toy(folder / "set", FINDINGS, size=40, frames=4, opacity=opacity)
    rng = np.random.default_rng(1)
    names = [patient.patient for patient in prepared.patients]
    vectors = rng.normal(size=(24, 5)) + 2 * prepared.labels(TASK)[:, None] * (np.arange(5) == 2)
    np.savez(folder / "dino.npz", patients=names, features=vectors)

    def plan(methods=("triple", "baseline"), comparators=("all",), features=(folder / "dino.npz",), **more):
        settings = ["encoder.weights=none", "augmentation.crop=32"]
        return make_plan(
            prepared,
            TASK,
            methods,
            recipe="quick",
            settings=settings,
            comparators=comparators,
            features=features,
            **{"folds": (1, 2)} | more,
        )

    return SimpleNamespace(folder=folder, prepared=prepared, vectors=vectors, plan=plan)


def asked(plan, found):
    """The finished benchmark with its comparators, and what is known of their progress."""
    progress = {}
    run_comparators(plan, found.folder, found.runs, progress, lambda _progress: None, device="cpu")
    runs = {job: open_run(run_folder(found.folder, job)) for job, one in progress.items() if one.failure is None}
    failures = {job: one.failure for job, one in progress.items() if one.failure is not None}
    whole = Benchmark(found.folder, plan, {**found.runs, **runs}, {**found.failures, **failures}, (), found.where)
    return whole, progress


@pytest.fixture(scope="module")
def compared(kit, tmp_path_factory):
    """Triple Net's run of the second fold failed, and with it the share of what it segments."""
    plan = kit.plan()
    found = made_benchmark(plan, tmp_path_factory.mktemp("compared"), answer, failed=[Job("triple", 2, 0)])
    for job, run in found.runs.items():
        give_model(run, plan, job)
    whole, progress = asked(plan, found)
    results = summarise(whole, resamples=50)
    return SimpleNamespace(plan=plan, found=whole, progress=progress, results=results, tables=tables(results))


def test_comparators_are_the_last_rows_and_are_asked_after_the_trainings(kit):
    plan = kit.plan(seeds=(0, 3), variants=["off=triple:loss.weights.segmentation=0", "more=triple:training.epochs=3"])
    rows = ("baseline", "triple", "off", "more", "opacity", "segmentation-triple", "segmentation-more", "features-dino")
    assert plan.methods == tuple(in_order(dict.fromkeys(plan.methods))) == rows  # one does not learn to segment
    jobs = list(plan.jobs())
    assert jobs[:16] == list(plan.trainings()) and jobs[16:] == list(plan.comparator_jobs())
    assert [str(job) for job in jobs[16:19]] == [
        "opacity, fold 1, seed 0",
        "segmentation-triple, fold 1, seed 0",
        "segmentation-more, fold 1, seed 0",
    ]
    assert plan.order[-4:] == rows[4:]
    assert [title_of(name) for name in rows[4:]] == [
        "Opacity score†",
        "Infected share by Triple Net†",
        "Infected share by more†",
        "Probe on dino†",
    ]


def test_comparators_change_no_trainings_fingerprint(kit):
    job = Job("triple", 1, 0)
    assert kit.plan().fingerprint(job) == kit.plan(comparators=(), features=()).fingerprint(job)


def test_opacity_is_called_from_the_threshold_of_the_validation_patients(kit, compared):
    """Where Youden's index is largest among them, found by trying every gap; the order of the shares is kept."""
    fold = kit.prepared.fold(1)
    shares = np.array([patient.opacity for patient in kit.prepared.patients])
    labels = kit.prepared.labels(TASK)
    seen, truth = shares[kit.prepared.rows(fold.validation)], labels[kit.prepared.rows(fold.validation)]
    ordered = np.sort(np.concatenate([[0], seen, [1]]))
    gaps = (ordered[1:] + ordered[:-1]) / 2
    youden = [(seen[truth == 1] >= gap).mean() - (seen[truth == 0] >= gap).mean() for gap in gaps]
    run = compared.found.runs[Job("opacity", 1, 0)]
    assert run.info.recipe["comparator"]["threshold"] == pytest.approx(gaps[int(np.argmax(youden))])
    said = run.predictions()
    assert said.patients == (*fold.validation, *fold.test)
    own = shares[kit.prepared.rows(said.patients)]
    assert said.predicted.tolist() == (own >= gaps[int(np.argmax(youden))]).tolist()
    assert (np.argsort(said.probabilities[:, 1]) == np.argsort(own)).all()
    test = said.of("test")
    area = roc_auc_score(test.labels, shares[kit.prepared.rows(test.patients)])
    assert roc_auc_score(test.labels, test.probabilities[:, 1]) == area < 1
    assert run.info.validation["accuracy"] == np.mean((seen >= gaps[int(np.argmax(youden))]) == truth)


def test_features_go_through_a_probe_that_never_sees_a_test_patient(kit, compared):
    run = compared.found.runs[Job("features-dino", 2, 0)]
    fold, labels = kit.prepared.fold(2), kit.prepared.labels(TASK)
    train, test = kit.prepared.rows(fold.train), kit.prepared.rows(fold.test)
    x = (kit.vectors - kit.vectors[train].mean(0)) / kit.vectors[train].std(0)
    model = LogisticRegression(C=run.info.recipe["comparator"]["inverse_penalty"], max_iter=5000)
    model.fit(x[train], labels[train])
    assert run.predictions().of("test").probabilities == pytest.approx(model.predict_proba(x[test]), abs=1e-8)
    assert run.info.parameters == 6


def test_the_infected_share_counts_pixels():
    labels = np.array([[[0, 1], [2, 2]], [[0, 0], [0, 0]], [[1, 1], [1, 2]], [[2, 0], [0, 0]]])
    assert share_of_lung(labels) == pytest.approx([2 / 3, 0, 1 / 4, 1])


def test_the_infected_share_is_of_what_the_network_segments_in_the_slice(kit, compared):
    """As the exported graph segments; random weights are brought to where they say each class somewhere."""
    run = compared.found.runs[Job("triple", 1, 0)]
    model, rows = load_model(run.model), list(range(20))
    images = torch.from_numpy(np.array(kit.prepared.images[rows]))
    with torch.no_grad():
        outputs = model.network(model.normalise(images))
        model.network.decoder.out.bias -= outputs.segmentation.mean((0, 2, 3))
        segmented = Explained(model)(images[:, None])["segmentation"].argmax(1).numpy()
    counts = [(row == 2).sum() / max((row > 0).sum(), 1) for row in segmented]
    assert infected_shares(model, kit.prepared, rows) == pytest.approx(counts)
    assert len(set(counts)) > 10


def test_what_a_network_segments_is_called_as_opacity_is(kit, compared, monkeypatch):
    """Its shares stand in for the opacity: the same threshold and the same probabilities."""
    shares = np.array([patient.opacity for patient in kit.prepared.patients])
    monkeypatch.setattr(infected_share, "infected_shares", lambda _model, _prepared, rows: shares[rows])
    source = compared.found.runs[Job("triple", 1, 0)]
    plan = kit.plan(folds=(1,), comparators=["segmentation"], features=())
    progress = {}
    out = compared.found.folder / "again"
    run_comparators(plan, out, {Job("triple", 1, 0): source}, progress, lambda _progress: None, device="cpu")
    run = open_run(run_folder(out, Job("segmentation-triple", 1, 0)))
    of_opacity = compared.found.runs[Job("opacity", 1, 0)]
    assert run.info.recipe["comparator"]["threshold"] == of_opacity.info.recipe["comparator"]["threshold"]
    assert (run.predictions().probabilities == of_opacity.predictions().probabilities).all()


def test_what_a_failed_run_would_have_segmented_fails_with_it(compared):
    failure = compared.found.failures[Job("segmentation-triple", 2, 0)]
    assert failure.code == "BAD_RUN" and "triple, fold 2, seed 0" in failure.text
    record = read_record(record_path(compared.found.folder, Job("segmentation-triple", 2, 0)))
    assert record is not None and (record.status, record.failure) == ("failed", failure)


def test_every_table_shows_them_and_says_that_they_are_outside_the_paper(compared):
    by_name = {table.name: table for table in compared.tables}
    rows = {row.name: row for row in by_name["table2"].rows}
    assert list(rows) == list(compared.plan.methods)
    assert rows["segmentation-triple"].remark == "1 of 2 runs failed"
    assert {"opacity/auc", "features-dino/accuracy"} <= {row.name for row in by_name["comparisons"].rows}
    for name in ("table2", "intervals", "classes", "calibration", "comparisons", "thresholds"):
        (note,) = (note for note in by_name[name].notes if note.startswith("†"))
        assert note.startswith(
            "† Outside the paper, no method of it (Opacity score: share of the lung between -700 and"
        )
        assert "Probe on dino: logistic probe on 5 features a patient" in note
    area = np.mean([roc(compared, fold) for fold in (1, 2)])
    assert rows["opacity"].cells["auc"].value == pytest.approx(area)


def roc(compared, fold):
    test = compared.found.runs[Job("opacity", fold, 0)].predictions().of("test")
    return roc_auc_score(test.labels, test.probabilities[:, 1])


def test_without_comparators_no_table_speaks_of_them(kit, tmp_path):
    plan = kit.plan(comparators=(), features=())
    found = tables(summarise(made_benchmark(plan, tmp_path / "out", answer), resamples=50))
    assert not any("†" in note for table in found for note in table.notes)


def test_the_page_figures_and_files_show_them(compared, monkeypatch):
    monkeypatch.setattr(embedding_figure, "available", lambda: False)  # it takes a minute
    folder = compared.found.folder / "figures"
    figures = draw_figures(compared.results, folder, compared.plan.prepared)
    assert {"roc", "calibration", "heatmaps-1"} <= {figure.name for figure in figures}
    assert "opacity" in (folder / "roc.csv").read_text()
    assert "opacity" not in (folder / "training.csv").read_text()
    assert "opacity" not in (folder / "heatmaps-1.csv").read_text()
    shown = benchmark_page(compared.found, compared.results, compared.tables, figures)
    assert "Infected share by Triple Net†" in shown
    assert "3 comparators outside the paper beside them" in shown
    assert "Comparators outside the paper" in shown and "2 methods on one cohort" in shown
    predictions = [row for row in prediction_rows(compared.results) if row["method"] == "opacity"]
    assert len(predictions) == sum(
        len(compared.plan.prepared.fold(n).test + compared.plan.prepared.fold(n).validation) for n in (1, 2)
    )


def test_nobody_is_warned_of_how_a_comparator_was_trained(compared):
    """It has no epochs, no torch and no weights; that a class is never predicted counts for it too."""
    said = " ".join(cautions(compared.found, compared.results))
    assert "different versions" not in said and "different devices" not in said
    assert "Opacity score† trained for fewer" not in said and "Baseline ResNet18 trained for fewer" in said


def test_a_comparators_run_can_be_evaluated_alone(compared):
    evaluation = single_run.evaluate(compared.found.runs[Job("opacity", 1, 0)])
    assert evaluation.job == Job("opacity", 1, 0)
    assert evaluation.metrics["auc"].value == pytest.approx(roc(compared, 1))


def test_answers_are_kept_until_what_they_are_of_changes(kit, compared, tmp_path):
    shutil.copytree(compared.found.folder, tmp_path / "out")
    runs = {job: open_run(run_folder(tmp_path / "out", job)) for job in compared.plan.trainings() if job.fold == 1}
    found = Benchmark(tmp_path / "out", compared.plan, runs, {}, (), "")

    def states():
        return {str(job): one.state for job, one in asked(compared.plan, found)[1].items() if job.fold == 1}

    of_fold = "opacity, fold 1, seed 0", "segmentation-triple, fold 1, seed 0", "features-dino, fold 1, seed 0"
    assert states() == dict.fromkeys(of_fold, "kept")
    (run_folder(found.folder, Job("opacity", 1, 0)) / "predictions.csv").write_text("damaged")
    (run_folder(found.folder, Job("features-dino", 1, 0)) / "run.json").write_text("{")
    assert states() == dict(zip(of_fold, ("done", "kept", "done"), strict=True))
    source = Job("triple", 1, 0)
    info = runs[source].info
    runs[source] = type(runs[source])(
        runs[source].folder, info.model_copy(update={"files": {"model.safetensors": "1" * 64}})
    )
    assert states() == dict(zip(of_fold, ("kept", "done", "kept"), strict=True))
    np.savez(tmp_path / "dino.npz", patients=[one.patient for one in kit.prepared.patients], features=kit.vectors + 1)
    other = kit.plan(features=[tmp_path / "dino.npz"])
    again = asked(other, found)[1]
    assert [again[Job(name, 1, 0)].state for name in other.comparators] == ["kept", "kept", "done"]


def test_several_classes_go_through_a_probe_of_the_one_score(tmp_path):
    """No threshold parts three classes: the share's own logistic model does, fitted on the training patients."""
    findings = ("none", "some", "spot") * 10
    prepared = write_toy(
        tmp_path / "set",
        findings,
        size=32,
        opacity=lambda row, finding: 0.1 + 0.3 * findings.index(finding) + 0.002 * (row * 7 % 30),
    )
    plan = make_plan(prepared, THREE, ["none"], folds=(1,), comparators=["opacity"])
    run = run_benchmark(plan, tmp_path / "out").runs[Job("opacity", 1, 0)]
    said = run.predictions()
    shares = np.array([[one.opacity] for one in prepared.patients])
    train = prepared.rows(prepared.fold(1).train)
    x = (shares - shares[train].mean(0)) / shares[train].std(0)
    model = LogisticRegression(C=run.info.recipe["comparator"]["inverse_penalty"], max_iter=5000)
    model.fit(x[train], prepared.labels(THREE)[train])
    assert said.probabilities == pytest.approx(model.predict_proba(x[prepared.rows(said.patients)]), abs=1e-8)
    assert said.predicted.tolist() == said.labels.tolist()  # the shares part the classes


WITHOUT_TORCH = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("there is no torch")

sys.meta_path.insert(0, Finder())
import triplenet
from triplenet.catalog import Task

made = triplenet.benchmark(
    sys.argv[1], sys.argv[2], Task("toy", "t", ("none", "spot"), {"none": "none", "spot": "spot"}, ("spot",)),
    methods=["none"], folds=[1, 2], seeds=[0, 1], comparators=["opacity"], features=[sys.argv[3]],
)
assert "torch" not in sys.modules
assert made.results.reference == "opacity" and made.maps is None
assert len(made.benchmark.runs) == 8
assert made.as_dict()["methods"] == [] and list(made.as_dict()["comparators"]) == ["opacity", "features-dino"]
assert {"roc", "confusion"} <= {figure.name for figure in made.figures}
"""


def test_comparators_alone_need_no_torch(kit, tmp_path):
    places = kit.prepared.folder, tmp_path / "out", kit.folder / "dino.npz"
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, places)], check=True)
    assert "Comparators on one cohort" in (tmp_path / "out" / "report.html").read_text()


def test_the_command_line_asks_for_them(kit, tmp_path):
    task = tmp_path / "task.toml"
    task.write_text('name = "toy"\ntitle = "t"\nclasses = ["none", "spot"]\n[findings]\nnone = "none"\nspot = "spot"\n')
    arguments = [
        *("benchmark", str(kit.prepared.folder), f"--out={tmp_path / 'out'}", f"--task={task}", "--methods=none"),
        *("--comparators=opacity", f"--features={kit.folder / 'dino.npz'}", "--folds=1", "--no-figures", "--json"),
    ]
    answers = [json.loads(CliRunner().invoke(app, arguments).stdout) for _ in range(2)]
    assert [one["kept"] for one in answers] == [0, 2]
    assert list(answers[0]["comparators"]) == ["opacity", "features-dino"]
    with (tmp_path / "out" / "runs.csv").open(newline="") as stream:
        assert [(row["method"], row["status"]) for row in csv.DictReader(stream)] == [
            ("opacity", "complete"),
            ("features-dino", "complete"),
        ]
    told = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert told["methods"] == [] and list(told["comparators"]) == ["opacity", "features-dino"]
    places = str(tmp_path), str(kit.folder)
    texts = [path.read_text() for path in (tmp_path / "out").rglob("*.*") if path.suffix in (".json", ".html", ".csv")]
    assert texts and not any(place in text for text in texts for place in places)


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"comparators": ["opacty"]}, UnknownName, "'opacty'; choose among opacity, segmentation, features, or all"),
        ({"comparators": ["features"], "features": ()}, BadInput, "needs a file of features: give|--features"),
        ({"features": ["nowhere.npz"]}, PathMissing, "no such file of features"),
        ({"methods": ["none"], "comparators": (), "features": ()}, UnknownName, "a benchmark of nothing"),
        ({"methods": ["baseline"], "comparators": ["segmentation"]}, BadPreparedSet, "learns to segment slices"),
        ({"variants": ["opacity=triple:training.epochs=3"]}, BadRecipe, "'opacity' is a comparator's name"),
        ({"variants": ["features-x=triple:training.epochs=3"]}, BadRecipe, "'features-x' is a comparator's name"),
    ],
)
def test_what_cannot_be_compared_is_one_line_before_anything_is_trained(kit, more, error, says):
    with pytest.raises(error, match=says) as refused:
        kit.plan(**more)
    assert "\n" not in str(refused.value)


def test_two_files_of_one_name_are_refused(kit, tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("Dino.npz", "more/dino.npz"):
        shutil.copy(kit.folder / "dino.npz", tmp_path / name)
    with pytest.raises(BadInput, match="two files of features have one name"):
        kit.plan(features=[tmp_path / "Dino.npz", tmp_path / "more" / "dino.npz"])


def test_a_set_of_an_earlier_version_says_what_it_lacks(toy, tmp_path):
    with pytest.raises(BadPreparedSet, match=r"the comparator opacity needs opacity\.csv.*its runs stay valid"):
        toy.plan(comparators=["opacity"])
    plan = toy.plan(comparators=["all"])
    assert {one.method: one.reason.partition(",")[0] for one in plan.not_run} == {
        "opacity": "needs opacity.csv",
        "segmentation": "needs a method that learns to segment slices",
    }
    found = tables(summarise(made_benchmark(plan, tmp_path / "out", answer, not_run=plan.not_run), resamples=50))
    assert [(row.title, row.remark[:8]) for row in found[0].rows] == [
        ("DeCovNet", ""),
        ("Opacity score†", "not run:"),
        ("Infected share†", "not run:"),
    ]


def test_patients_without_a_lung_mask_are_counted(tmp_path):
    prepared = write_toy(tmp_path / "set", FINDINGS, size=32, opacity=lambda row, _: None if row < 3 else 0.1)
    with pytest.raises(BadPreparedSet, match="lung masks, which 3 of 24 patients lack: prepare with --derive-lung"):
        make_plan(prepared, TASK, ["none"], comparators=["opacity"])


def test_the_machine_decides_nothing_of_them(kit, tmp_path):
    plan = kit.plan(methods=["none"], comparators=["opacity"], folds=(1,))
    for name, machine in (("one", Machine("cpu", workers=1)), ("two", Machine("cpu", workers=2))):
        run_benchmark(plan, tmp_path / name, machine)
    first, second = (
        (tmp_path / name / "runs" / "features-dino" / "fold-1" / "seed-0" / "predictions.csv").read_bytes()
        for name in ("one", "two")
    )
    assert first == second
