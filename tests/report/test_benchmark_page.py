"""The page of a benchmark."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from toy_benchmark import made_benchmark
from toy_prepared import TASK, write_toy
from triplenet.benchmark import Job, NotRun, make_plan
from triplenet.benchmark.benchmark_results import summarise
from triplenet.benchmark.benchmark_tables import tables
from triplenet.evaluation.figures import Drawn
from triplenet.evaluation.tables import Cell, Column, Row, Table
from triplenet.explanation.panel import Tile
from triplenet.pages import section
from triplenet.pages.html_tables import narrower, results_markup
from triplenet.report.benchmark_page import benchmark_page

METHODS = ("baseline", "double", "triple")


def answer(job, patient, label):
    number = int(patient[1:])
    if job.method == "double":
        return 0.9 - 0.001 * number if label else 0.1 + 0.001 * number
    return 0.3 + 0.013 * (number % 31)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    prepared = write_toy(folder / "set", ("none", "spot") * 12, size=40)
    plan = make_plan(prepared, TASK, METHODS, recipe="quick", settings=["encoder.weights=none"])
    found = made_benchmark(
        plan,
        folder / "out",
        answer,
        failed=[Job("baseline", 3, 0)],
        not_run=[NotRun("covnet", "needs <frames>")],
    )
    return found, summarise(found, resamples=200)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    found, results = made
    picture = tmp_path_factory.mktemp("picture") / "roc.png"
    Image.new("RGB", (320, 200), "teal").save(picture)
    drawn = [Drawn("roc", "ROC curves", "A caption.", picture)]
    return benchmark_page(found, results, tables(results), drawn, command="triplenet benchmark set", seconds=7)


def test_the_page_loads_nothing_and_runs_only_its_own_script(page):
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "url(" not in page
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.replace("&#x27;", "'")


def test_every_tested_patient_stands_in_the_sortable_table(page, made):
    found, _ = made
    body = page[page.index('class="sortable"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", body[body.index("<tbody>") : body.index("</tbody>")])
    prepared = found.plan.prepared
    tested = {name for number in (1, 2, 3) for name in prepared.fold(number).test}
    number_of = {patient.patient: str(number) for number, patient in enumerate(prepared.patients, start=1)}
    shown = [re.match(r'<th scope="row">(.*?)</th>', row)[1] for row in rows]
    assert sorted(shown) == sorted(number_of[name] for name in tested)
    third = set(prepared.fold(3).test)
    dashes = [name for name, row in zip(shown, rows, strict=True) if "–" in row]
    assert sorted(dashes) == sorted(number_of[name] for name in third)  # the baseline's failed fold


def test_names_of_patients_are_shown_only_when_asked_for(page, made):
    found, results = made
    names = [patient.patient for patient in found.plan.prepared.patients]
    assert not any(name in page for name in names)
    assert "p004" in benchmark_page(found, results, tables(results), identifiers=True)


def test_failures_hashes_and_the_best_are_said(page, made):
    found, _ = made
    assert "TRAINING_DIVERGED" in page
    assert "needs &lt;frames&gt;" in page
    assert "needs <frames>" not in page
    assert found.plan.prepared.info.sha256 in page
    assert "<strong>100.00" in page
    assert "The highest mean AUC over the test folds is Double Net" in page
    assert "not a medical device" in page
    assert 'alt="ROC curves"' in page


def test_the_head_speaks_of_auc_calibration_and_brier_score_not_of_accuracy_or_f(page, made):
    _, results = made
    head = page[: page.index('id="overview"')]
    error = results.calibration["double"].error
    assert f"Its probabilities, as the networks say them: expected calibration error {error:.3f}" in head
    assert "In AUC " in head and "the Brier score" in head
    assert "accuracy" not in head
    assert not re.search(r"\bF\b", head)
    named = page[page.index('id="tables"') :]
    for title in ("AUC over the folds", "PPV and NPV at other prevalences", "Differences over trainings"):
        assert title in named
    assert "as the paper computed them" in named


def test_before_the_first_number_stand_few_sentences_and_a_table(page):
    caution = page[page.index('id="cautions"') : page.index('id="tables"')]
    assert caution.count("<li>") <= 8
    grid = caution[caution.index("<table") :]
    assert "never predicts" in grid or "under 10 epochs" in grid
    assert grid.count('<th scope="row">') == len(METHODS)
    assert "CovNet: not run, needs &lt;frames&gt;." in caution
    assert page.count("What speaks against single runs") == 2  # the heading, and the table's label; not again below


def test_the_pictures_of_a_case_are_laid_out_by_the_page_and_say_how_to_read_each_kind(made, tmp_path):
    found, results = made
    Image.new("RGB", (32, 20), "teal").save(tmp_path / "heat.png")
    pixels = np.zeros((8, 8, 3), np.uint8)
    tiles = tuple(Tile(pixels, ("patient 4: spot", name), name) for name in ("slice", *METHODS))
    drawn = Drawn(
        "heatmaps-2", "Where they looked: spot", "A caption.", tmp_path / "heat.png", (tiles,), "It lay there."
    )
    text = benchmark_page(found, results, tables(results), [drawn])
    assert text.count("<figcaption><strong>") == len(METHODS) + 1
    assert 'alt="baseline, of patient 4: spot"' in text
    assert text.index("It lay there.") < text.index("What was run on what")
    assert text.count("It does not depend on the class predicted.") == 1
    assert "Baseline ResNet18 and Double Net: Grad-CAM." in text


def test_the_reader_chooses_between_one_scale_and_each_maps_own_without_a_script(made, tmp_path):
    found, results = made
    Image.new("RGB", (32, 20), "teal").save(tmp_path / "heat.png")
    faint, strong = (
        tuple(Tile(np.full((8, 8, 3), grey, np.uint8), ("patient 4: spot",), name) for name in ("slice", *METHODS))
        for grey in (20, 200)
    )
    png = tmp_path / "heat.png"
    drawn = Drawn("heatmaps-2", "Where they looked: spot", "A caption.", png, (faint,), own_maximum=(strong,))
    text = benchmark_page(found, results, tables(results), [drawn])
    assert text.count('<figure class="by-absolute">') == text.count('<figure class="by-own-maximum">') == len(METHODS)
    assert text.count('alt="slice, of patient 4: spot"') == 1
    assert text.count('type="radio" name="heat-scale"') == 2
    assert 'id="heat-absolute" class="pick" checked>' in text
    for name in ("absolute", "own-maximum"):
        assert f'for="heat-{name}"' in text
        assert f"#heat-own-maximum:checked ~ * .by-{name} {{ display:" in text
    # What the style hides stands below the buttons, in the same parent or deeper.
    assert text.index('id="heat-own-maximum"') < text.index('class="by-own-maximum"')


def test_a_page_may_have_a_section_more_and_another_notice(made):
    found, results = made
    text = benchmark_page(
        found, results, notice="Synthetic <patients>.", eyebrow="triplenet demo", more=[section("new", "A new scan")]
    )
    assert "Synthetic &lt;patients&gt;." in text
    assert "triplenet demo ·" in text
    assert text.index('id="patients"') < text.index('id="new"') < text.index('id="runs"')


def test_significant_differences_are_marked(made):
    found, _ = made
    whole = summarise(
        made_benchmark(replace(found.plan, not_run=()), found.folder.parent / "whole", answer), resamples=200
    )
    text = benchmark_page(whole.benchmark, whole, tables(whole))
    assert "<strong>100.00⁺</strong>" in text
    assert "significantly better than Baseline ResNet18" in text


def test_numbers_below_zero_have_a_true_minus():
    column = Column("difference", "difference", unit="", scale=1, digits=2, better=None)
    cell = Cell(-0.25, low=-0.5, high=0.125)
    text = results_markup(Table("t", "T", "method", (column,), (Row("a", "A", {"difference": cell}),), ()))
    assert "−0.25" in text and "−0.50 to 0.12" in text and "-0" not in text


def test_a_benchmark_without_a_finished_run_has_a_page_too(made):
    found, _ = made
    nothing = replace(
        found, runs={}, failures={job: failure for job in found.plan.jobs() for failure in found.failures.values()}
    )
    text = benchmark_page(nothing, None)
    assert "No run finished" in text
    assert text.count("TRAINING_DIVERGED") >= 6


def test_a_wide_table_is_parted_between_its_groups_and_its_notes_stay_with_the_first():
    columns = tuple(Column(str(at), str(at), group=group) for at, group in enumerate("aabbbc"))
    whole = Table("t", "T", "method", columns, (), ("a note",))
    shown = [([column.name for column in part.columns], part.notes) for part in narrower(whole, 4)]
    assert shown == [(["0", "1"], ("a note",)), (["2", "3", "4", "5"], ())]
    assert [len(part.columns) for part in narrower(whole, 2)] == [2, 3, 1]  # a group stays whole
    assert [part.columns for part in narrower(whole, 6)] == [columns]


def test_the_primary_score_of_the_maps_stands_open_and_their_other_tables_unfold(made):
    found, results = made
    columns = (Column("rank", "rank (primary)"), Column("iou", "IoU", group="as an area"))
    scores = Table("map_scores", "Maps against the lesions", "map", columns, (Row("own", "Own map"),), ("a note",))
    other = Table("map_answers", "What the networks answer", "map", columns, (), ())
    text = benchmark_page(found, results, (*tables(results), scores, other))
    part = text[text.index('<section id="maps"') : text.index('<section id="patients"')]
    first, *folded = part.split("<details>")
    assert "rank (primary)" in first and "a note" in first and "IoU" not in first
    assert [fold[fold.index("<summary>") + 9 : fold.index("</summary>")] for fold in folded] == [
        "The same maps by other measures",
        "What the networks answer",
    ]
    assert "IoU" in folded[0] and "rank (primary)" not in folded[0]
    assert "What the networks answer" not in text[text.index('<section id="tables"') : text.index('<section id="maps"')]
    assert '<section id="maps"' not in benchmark_page(found, results, tables(results))
