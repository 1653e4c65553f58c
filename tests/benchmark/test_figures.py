"""Every figure is a PNG, an SVG and its numbers, and the numbers are those of the runs."""

import csv
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from types import SimpleNamespace
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from toy_benchmark import give_model, made_benchmark
from toy_predictions import runs_of
from triplenet.benchmark import Job
from triplenet.benchmark.benchmark_results import summarise
from triplenet.benchmark.scored_benchmark import maps_together, score_benchmark
from triplenet.catalog import METHODS
from triplenet.evaluation.figures import draw_figures, remove_figures
from triplenet.evaluation.figures.figure_style import line_style
from triplenet.evaluation.figures.probabilities_figure import class_probabilities
from triplenet.evaluation.predictions import join
from triplenet.explanation.panel import BLANK, Tile
from triplenet.explanation.scored_run import ScoreOptions

# The package names the function as the module.
embedding_figure = import_module("triplenet.evaluation.figures.embedding_figure")
heatmap_figures = import_module("triplenet.evaluation.figures.heatmap_figures")
heatmap_tiles = import_module("triplenet.evaluation.figures.heatmap_tiles")
DRAWN = ("decovnet", "baseline", "triple")
#: Name in files -> title: beside Triple Net's map stands what speaks for the class.
SHOWN = {name: METHODS[name].title for name in DRAWN} | {"triple-class-evidence": "Triple Net, class evidence"}


class FirstTwo:
    """In UMAP's place: the first two features, and a record of what it was fitted to."""

    fitted: ClassVar[list[int]] = []

    def __init__(self, **_options):
        pass

    def fit_transform(self, vectors):
        self.fitted.append(len(vectors))
        return vectors[:, :2]

    def transform(self, vectors):
        return vectors[:, :2]


def answer(job, patient, label):
    number = int(patient[1:])
    return 0.5 + (0.3 if label else -0.3) * (1 if number % 5 else -1) + 0.004 * (number % 7) - 0.01 * len(job.method)


@pytest.fixture(scope="module")
def drawn(toy, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwo))
    patch.setattr(embedding_figure, "available", lambda: True)
    plan = toy.plan(DRAWN, folds=(1, 2))
    found = made_benchmark(plan, tmp_path_factory.mktemp("figures"), answer)
    for job, run in found.runs.items():
        if job.fold == 1:
            give_model(run, plan, job)
    results = summarise(found, resamples=50)
    FirstTwo.fitted.clear()
    scored = score_benchmark(found, ScoreOptions(asked=1, randomised=0))
    maps = maps_together(scored, results, resamples=50)
    yield SimpleNamespace(
        results=results,
        maps=maps,
        figures=draw_figures(results, found.folder / "figures", plan.prepared, maps=maps),
        folder=found.folder / "figures",
    )
    patch.undo()


def numbers(drawn, name):
    with (drawn.folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_figure_is_there_three_times_and_nothing_else_is(drawn):
    names = [one.name for one in drawn.figures]
    first = ["roc", "umap", "confusion", "heatmaps-1", "heatmaps-2", "map-scores", "map-road"]
    assert names == [*first, "training", "calibration", "probabilities", "decision"]
    more = {"heatmaps-1", "heatmaps-2"}  # folders
    pictures = {f"{name}-{kind}.png" for name in more for kind in ("own-maximum", "paper")}
    assert {path.name for path in drawn.folder.iterdir()} - more - pictures == {
        f"{name}.{ending}" for name in names for ending in ("png", "svg", "csv")
    }
    assert all((drawn.folder / name).is_dir() for name in more)
    assert all((drawn.folder / name).is_file() for name in pictures)
    for one in drawn.figures:
        with Image.open(one.png) as image:
            assert min(image.size) > 200
            assert len(np.unique(np.asarray(image.convert("L").resize((64, 64))))) > 5
        assert ElementTree.parse(one.png.with_suffix(".svg")).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert one.title
        assert one.caption


def test_the_roc_rises_and_its_area_is_that_of_the_predictions(drawn):
    rows = numbers(drawn, "roc")
    for method in DRAWN:
        curve = np.array(
            [[float(r["false_positive_rate"]), float(r["true_positive_rate"])] for r in rows if r["method"] == method]
        )
        assert curve[0].tolist() == [0, 0]
        assert curve[-1].tolist() == [1, 1]
        assert (np.diff(curve, axis=0) >= -1e-9).all()
        areas = []
        for fold in (1, 2):
            test = drawn.results.benchmark.runs[Job(method, fold, 0)].predictions().of("test")
            areas.append(roc_auc_score(test.labels, test.probabilities[:, 1]))
        assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(np.mean(areas), abs=0.01)


def test_the_confusion_matrices_count_every_test_patient(drawn):
    rows = numbers(drawn, "confusion")
    for method in DRAWN:
        counted = {(r["truth"], r["predicted"]): float(r["patients"]) for r in rows if r["method"] == method}
        expected = dict.fromkeys(counted, 0)
        for fold in (1, 2):
            test = drawn.results.benchmark.runs[Job(method, fold, 0)].predictions().of("test")
            for label, predicted in zip(test.labels, test.predicted, strict=True):
                expected[drawn.results.classes[label], drawn.results.classes[predicted]] += 1
        assert counted == expected


def test_the_plane_of_the_features_is_fitted_to_training_samples_only(drawn):
    fold = drawn.results.benchmark.plan.prepared.fold(1)
    assert FirstTwo.fitted == [len(fold.train)] * len(DRAWN)
    rows = numbers(drawn, "umap")
    for part, members in (("train", fold.train), ("test", fold.test)):
        for method in DRAWN:
            own = [row["patient"] for row in rows if (row["method"], row["partition"]) == (method, part)]
            assert sorted(own) == sorted(members)


def test_the_panels_show_right_and_wrong_patients_of_the_class_with_every_method(drawn):
    test = drawn.results.benchmark.runs[Job("triple", 1, 0)].predictions().of("test")
    for c, name in enumerate(drawn.results.classes, start=1):
        rows = numbers(drawn, f"heatmaps-{c}")
        assert {row["label"] for row in rows} == {name}
        patients = {row["patient"] for row in rows}
        assert len(rows) == len(patients) * len(SHOWN)
        right = {p for p, label, said in zip(test.patients, test.labels, test.predicted, strict=True) if label == said}
        of_class = {p for p, label in zip(test.patients, test.labels, strict=True) if label == c - 1}
        for kind in (of_class & right, of_class - right):
            assert len(patients & kind) == min(3, len(kind))


def test_the_scores_of_the_maps_are_told_of_every_method_beside_those_that_see_no_network(drawn):
    rows = {row["map"]: row for row in numbers(drawn, "map-scores")}
    prepared = drawn.results.benchmark.plan.prepared
    ill = {one.patient for one in prepared.patients if one.finding == "spot"} & set(prepared.fold(1).test)
    assert {"decovnet/own", "baseline/own", "triple/own", "triple/class", "uniform", "mean-lesion"} <= set(rows)
    assert int(rows["triple/own"]["patients"]) == len(ill)  # its map is dark nowhere
    values = drawn.maps.measures["energy_in_lesion"].values["triple/own"]
    assert float(rows["triple/own"]["mean"]) == pytest.approx(np.nanmean(values))
    figure = next(one for one in drawn.figures if one.name == "map-scores")
    means = {method: float(rows[f"{method}/own"]["mean"]) for method in DRAWN}
    best = max(means, key=means.get)
    assert f"in the maps of {METHODS[best].title}, {100 * means[best]:.1f} % on average" in figure.answer
    assert "do not exceed" in figure.answer  # random weights


def test_the_curves_of_road_begin_where_the_image_is_as_it_was(drawn):
    rows = numbers(drawn, "map-road")
    assert {(row["map"], row["order"]) for row in rows} == {
        (name, order)
        for name in ("decovnet/own", "baseline/own", "triple/own", "triple/class")
        for order in ("most", "least")
    }
    asked = [one for job, run in drawn.maps.runs.items() if job.method == "triple" for one in run.asked]
    of_own = [one.curves["most"][0] for one in asked if one.map == "own"]
    told = next(row for row in rows if (row["map"], row["order"], row["fraction"]) == ("triple/own", "most", "0.1"))
    assert float(told["probability"]) == pytest.approx(np.mean(of_own))


def test_the_pictures_of_ten_methods_stand_in_lines_of_six_and_none_is_lost():
    slice_, *maps = (Tile(np.zeros((2, 2, 3), np.uint8), title=name) for name in ("slice", *METHODS))
    first, second = heatmap_figures._lines((slice_, *maps))
    assert len(first) == len(second) == heatmap_figures.ACROSS
    assert first[0] is slice_
    assert second[0] is BLANK
    assert (*first[1:], *second[1:]) == tuple(maps)
    (alone,) = heatmap_figures._lines((slice_, *maps[:2]))
    assert alone == (slice_, *maps[:2])


def test_the_pictures_come_with_their_words_for_a_page_that_lays_them_out(drawn):
    figure = next(one for one in drawn.figures if one.name == "heatmaps-2")
    rows = numbers(drawn, "heatmaps-2")
    assert len(figure.cases) == len({row["patient"] for row in rows})
    for tiles in figure.cases:
        assert [tile.title for tile in tiles[1:]] == list(SHOWN.values())
        assert all(tile.lines for tile in tiles)


def test_each_map_is_drawn_on_one_scale_and_on_its_own_maximum(drawn):
    figure = next(one for one in drawn.figures if one.name == "heatmaps-2")
    assert len(figure.own_maximum) == len(figure.cases)
    for absolute, own in zip(figure.cases, figure.own_maximum, strict=True):
        assert [tile.lines for tile in absolute] == [tile.lines for tile in own]
        np.testing.assert_array_equal(absolute[0].picture, own[0].picture)  # the slice has no heat
        slice_ = absolute[0].picture.astype(int)
        for faint, strong in zip(absolute[1:], own[1:], strict=True):
            changed = [np.abs(tile.picture - slice_).sum() for tile in (faint, strong)]
            assert changed[0] <= changed[1]
    # Random weights: no map of the fixture reaches 1, so that the two differ.
    assert any(
        (a.picture != b.picture).any()
        for one, other in zip(figure.cases, figure.own_maximum, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_each_picture_of_a_panel_lies_by_itself_under_the_patients_number(drawn):
    for figure in drawn.figures:
        if not figure.cases:
            continue
        numbered = sorted({int(row["number"]) for row in numbers(drawn, figure.name)})
        expected = {
            f"patient-{number:03d}-{part}.png"
            for number in numbered
            for part in ("slice", "outlined", *(f"{m}-{s}" for m in SHOWN for s in ("absolute", "own-maximum")))
        }
        assert {path.name for path in (drawn.folder / figure.name).iterdir()} == expected
        first = numbers(drawn, figure.name)[0]["number"]
        last = figure.own_maximum[0][-1].picture
        name = f"patient-{int(first):03d}-triple-class-evidence-own-maximum.png"
        with Image.open(drawn.folder / figure.name / name) as image:
            np.testing.assert_array_equal(np.asarray(image), last)


def test_a_second_map_of_a_method_stands_beside_its_own():
    first = SimpleNamespace(heat=0, class_heat=None, frame=None)
    own, evidence = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)

    @dataclass(frozen=True)
    class CaseOfTwo:
        heat: np.ndarray
        class_heat: np.ndarray | None

    found = heatmap_tiles.columns({"baseline": first, "triple": CaseOfTwo(own, evidence)})
    assert [(column.name, column.title, column.method) for column in found] == [
        ("baseline", "Baseline ResNet18", "baseline"),
        ("triple", "Triple Net", "triple"),
        ("triple-class-evidence", "Triple Net, class evidence", "triple"),
    ]
    assert found[1].case.heat is own and found[2].case.heat is evidence


def test_after_a_failure_all_methods_are_shown_with_the_same_fold(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_figure, "available", lambda: True)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwo))
    runs = {job: run for job, run in drawn.results.benchmark.runs.items() if job != Job("triple", 2, 0)}
    moved = {job: run for job, run in runs.items() if job.fold == 2} | runs  # those of fold 2 first
    results = summarise(replace(drawn.results.benchmark, folder=tmp_path, runs=moved), resamples=50)
    figure = embedding_figure.embedding_figure(results, tmp_path, results.benchmark.plan.prepared)
    assert "fold 1, seed 0" in figure.caption
    with (tmp_path / "umap.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    test = set(results.benchmark.plan.prepared.fold(1).test)
    for method in DRAWN:
        assert {row["patient"] for row in rows if (row["method"], row["partition"]) == (method, "test")} == test


def test_figures_of_an_earlier_call_can_be_removed(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("roc.png", "roc.csv", "umap.svg"):
        (tmp_path / "figures" / name).write_text("")
    for name in ("heatmaps-1", "heatmaps-2", "mine"):
        (tmp_path / "figures" / name).mkdir()
        (tmp_path / "figures" / name / "patient-001-slice.png").write_text("")
    remove_figures(tmp_path / "figures", but=["umap", "heatmaps-2"])
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"umap.svg", "heatmaps-2", "mine"}


def test_with_temperature_the_figures_show_what_the_tables_count(drawn, tmp_path):
    found = replace(drawn.results.benchmark, folder=tmp_path)
    hot = summarise(found, temperature=True, resamples=50)
    figures = {one.name: one for one in draw_figures(hot, tmp_path / "figures", hot.benchmark.plan.prepared)}
    assert "after temperature scaling" in figures["calibration"].caption
    plain, scaled = (
        {(row["method"], row["number"]): float(row["probability"]) for row in csv.DictReader(path.open())}
        for path in (drawn.folder / "heatmaps-1.csv", tmp_path / "figures" / "heatmaps-1.csv")
    )
    assert set(plain) == set(scaled)
    for (method, number), p in plain.items():
        odds = (p / (1 - p)) ** (1 / hot.temperatures[method][1, 0].value)
        assert scaled[method, number] == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_decision_curves_begin_at_the_prevalence(drawn):
    rows = numbers(drawn, "decision")
    labels = np.concatenate(
        [drawn.results.benchmark.runs[Job("triple", f, 0)].predictions().of("test").labels for f in (1, 2)]
    )
    first = next(row for row in rows if row["threshold"] == "0.01")
    prevalence = labels.mean()
    assert float(first["treat_all"]) == pytest.approx(prevalence - (1 - prevalence) * 0.01 / 0.99, abs=1e-5)


def test_the_sentence_of_the_decision_curves_counts_where_they_are_above_both_others(drawn):
    rows = numbers(drawn, "decision")
    areas = {name: drawn.results.estimates[name]["auc"].value for name in DRAWN}
    best = max(areas, key=areas.get)
    above = [
        row["threshold"]
        for row in rows
        if row["method"] == best and float(row["net_benefit"]) > max(0, float(row["treat_all"])) + 1e-6
    ]
    (figure,) = [one for one in drawn.figures if one.name == "decision"]
    assert METHODS[best].title in figure.answer
    between = f"between {float(above[0]):.0%} and {float(above[-1]):.0%}".replace("%", " %")
    assert f"at {len(above)} of 99 thresholds {between}." in figure.answer


def test_the_probabilities_of_each_class_are_counted_in_bins(drawn):
    rows = numbers(drawn, "probabilities")
    predictions = drawn.results.predictions["triple"]
    for c, name in enumerate(drawn.results.classes):
        own = [row for row in rows if (row["method"], row["class"]) == ("triple", name)]
        given = predictions.probabilities[0, predictions.labels == c, drawn.results.positive]
        assert len(own) == 20
        shares, _ = np.histogram(given, np.linspace(0, 1, 21))
        assert [float(row["share"]) for row in own] == pytest.approx(shares / len(given), abs=1e-5)
        assert {row["predictions"] for row in own} == {str(len(given))}
        assert float(own[0]["median"]) == pytest.approx(np.median(given), abs=1e-5)
    (figure,) = [one for one in drawn.figures if one.name == "probabilities"]
    assert "before temperature scaling" in figure.caption


def test_of_several_classes_each_has_the_probability_of_itself_once_a_seed():
    predictions = join({"m": runs_of(1, seeds=(0, 1), classes=3)})["m"]
    failed = predictions.probabilities.copy()
    failed[1, predictions.rows(2)] = np.nan
    predictions = replace(predictions, probabilities=failed)
    for c in range(3):
        found = class_probabilities(predictions, c, None)
        assert len(found) == 60 + 40  # 20 patients a class and fold; one run of two is lost in one fold
        own = predictions.labels == c
        assert sorted(found) == sorted(x for x in failed[:, own, c].ravel() if np.isfinite(x))
    assert sorted(class_probabilities(predictions, 0, 2)) == sorted(
        x for x in failed[:, predictions.labels == 0, 2].ravel() if np.isfinite(x)
    )


def test_no_two_methods_look_alike():
    looks = [line_style(name) for name in METHODS]
    assert len({str(look) for look in looks}) == len(METHODS)


def test_without_umap_the_other_figures_are_drawn(drawn, monkeypatch):
    monkeypatch.setattr(embedding_figure, "available", lambda: False)
    assert embedding_figure.embedding_figure(drawn.results, drawn.folder, drawn.results.benchmark.plan.prepared) is None
