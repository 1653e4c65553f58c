"""A variant is a method with other settings, and a row of its own wherever there are rows."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toy_benchmark import give_model, made_benchmark
from triplenet import networks
from triplenet.benchmark import Job, Machine, NotRun, run_benchmark, scored_benchmark
from triplenet.benchmark.benchmark_results import check_choices, summarise
from triplenet.benchmark.benchmark_tables import tables
from triplenet.benchmark.plan import digest
from triplenet.benchmark.scored_benchmark import maps_together, score_benchmark, tables_of_maps
from triplenet.benchmark.variants import Variant, parse_variants
from triplenet.cli.progress_display import table as progress_table
from triplenet.errors import BadPreparedSet, BadRecipe, UnknownName
from triplenet.evaluation.figures import draw_figures
from triplenet.evaluation.figures.figure_style import line_style
from triplenet.evaluation.method_tables import in_order
from triplenet.explanation.scored_run import ScoreOptions
from triplenet.report.benchmark_page import benchmark_page

VARIANTS = (
    "coarse=triple:network.attention_resize=bilinear,loss.weights.contrastive=0",
    "apart=triple:network.detach_attention=true",
    "flat=decovnet:augmentation.flip=0",
)
ROWS = ("decovnet", "flat", "triple", "coarse", "apart")


def answer(job, patient, label):
    number = int(patient[1:])
    return 0.5 + (0.3 if label else -0.3) * (1 if number % 5 else -1) + 0.004 * (number % 7) - 0.01 * len(job.method)


@pytest.fixture(scope="module")
def compared(toy, tmp_path_factory):
    """Two methods and their variants on two folds, one run of a variant failed, the first fold's with a network."""
    plan = toy.plan(("triple", "decovnet"), folds=(1, 2), variants=VARIANTS)
    out = tmp_path_factory.mktemp("variants")
    found = made_benchmark(plan, out, answer, failed=[Job("coarse", 2, 0)])
    for job, run in found.runs.items():
        if job.fold == 1:
            give_model(run, plan, job)
    results = summarise(found, reference="flat", resamples=50)
    scored = score_benchmark(found, ScoreOptions(asked=0, randomised=0))
    maps = maps_together(scored, results, resamples=50)
    shown = (*tables(results), *tables_of_maps(scored, maps, results))
    figures = draw_figures(results, out / "figures", plan.prepared, maps=maps)
    return SimpleNamespace(
        plan=plan, found=found, results=results, tables=shown, figures=figures, folder=out / "figures"
    )


def test_a_variant_is_read_from_its_text():
    read = parse_variants(
        ["off=triple: loss.weights.contrastive = 0", "more=triple:augmentation.scale=[0.8, 1.2],training.epochs=3"]
    )
    assert read == {
        "off": Variant("off", "triple", ("loss.weights.contrastive = 0",)),
        "more": Variant("more", "triple", ("augmentation.scale=[0.8, 1.2]", "training.epochs=3")),
    }
    assert read["more"].shown == "Triple Net with augmentation.scale=[0.8, 1.2], training.epochs=3"


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("off=triple", BadRecipe, "must read NAME=METHOD"),
        ("off=triple:", BadRecipe, "must read NAME=METHOD"),
        ("off=triple:epochs=3", BadRecipe, "must read NAME=METHOD"),
        ("triple:loss.weights.contrastive=0", BadRecipe, "must read NAME=METHOD"),
        ("No_Contrast=triple:training.epochs=3", BadRecipe, "'No_Contrast' is no name"),
        ("all=triple:training.epochs=3", BadRecipe, "'all' is no name"),
        ("double=triple:training.epochs=3", BadRecipe, "'double' is a method"),
        ("off=tripel:training.epochs=3", UnknownName, "did you mean 'triple'"),
        ("off=triple:training.epoch=3", BadRecipe, "did you mean 'training.epochs'"),
        ("off=triple:network.atention_resize=area", BadRecipe, "did you mean 'network.attention_resize'"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(toy, text, error, says):
    with pytest.raises(error, match=says):
        toy.plan(("triple",), variants=[text])


def test_two_variants_of_one_name_are_refused(toy):
    with pytest.raises(BadRecipe, match="two variants are called 'off'"):
        toy.plan(("triple",), variants=["off=triple:training.epochs=3", "off=baseline:training.epochs=3"])


def test_variants_stand_behind_their_method_with_its_settings_and_their_own(toy):
    plan = toy.plan(("triple", "decovnet"), ["triple:training.batch=3"], variants=VARIANTS)
    assert plan.methods == ROWS
    assert [plan.recipes[name].method for name in ROWS] == ["decovnet", "decovnet", "triple", "triple", "triple"]
    assert [plan.recipes[name].training.batch for name in ROWS] == [4, 4, 3, 3, 3]
    assert plan.recipes["coarse"].network["attention_resize"] == "bilinear"
    assert plan.recipes["coarse"].loss.weights.contrastive == 0
    assert plan.recipes["triple"].loss.weights.contrastive == 1
    assert plan.catalog_method("coarse").name == plan.catalog_method("triple").name == "triple"
    assert toy.plan(("baseline",), variants=VARIANTS[:1]).methods == ("baseline", "coarse")


def test_variants_change_no_fingerprint_but_their_own(toy):
    alone = toy.plan(("triple",))
    plan = toy.plan(("triple",), variants=VARIANTS)
    job, coarse = Job("triple", 1, 0), Job("coarse", 1, 0)
    assert digest(plan.fingerprint(job)) == digest(alone.fingerprint(job))
    assert digest(plan.fingerprint(coarse)) != digest(plan.fingerprint(job))
    assert plan.fingerprint(coarse)["code"] == plan.fingerprint(job)["code"]


def test_a_variant_needs_what_its_method_needs(tmp_path):
    from toy_prepared import TASK, write_toy
    from triplenet.benchmark import make_plan

    flat = write_toy(tmp_path / "flat")
    short = "short=covnet:training.epochs=3"
    plan = make_plan(flat, TASK, variants=[short])
    assert NotRun("short", "needs frames") in plan.not_run
    assert plan.order.index("short") == plan.order.index("covnet") + 1
    with pytest.raises(BadPreparedSet, match="short needs frames"):
        make_plan(flat, TASK, ("baseline",), variants=[short])


def test_the_reference_may_be_a_variant(toy):
    plan = toy.plan(("triple",), variants=VARIANTS)
    check_choices(plan, "coarse", None)
    with pytest.raises(UnknownName, match="'rough'"):
        check_choices(plan, "rough", None)


def test_names_that_are_no_methods_stay_behind_the_method_that_they_follow():
    given = dict.fromkeys(("own", "triple", "b", "a", "baseline", "c"))
    assert in_order(given) == ["baseline", "c", "triple", "b", "a", "own"]


def test_lines_of_variants_differ_from_one_another_and_stay_apart_from_methods():
    names = [f"variant-{number}" for number in range(12)]
    styles = {line_style(name, ["triple", *names]) for name in ("triple", "baseline", *names)}
    assert len(styles) == 14


@pytest.mark.slow
def test_a_variant_is_trained_kept_and_goes_on(toy, tmp_path):
    plan = toy.plan(variants=["dull=decovnet:augmentation.brightness=0"])
    machine = Machine("cpu", workers=1)
    found = run_benchmark(plan, tmp_path / "out", machine)
    assert not found.failures
    run = found.runs[Job("dull", 1, 0)]
    assert run.folder == tmp_path / "out" / "runs" / "dull" / "fold-1" / "seed-0"
    assert run.info.method == run.recipe.method == "decovnet"
    assert run.recipe.augmentation.brightness == 0
    told = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert told["variants"] == {"dull": {"method": "decovnet", "settings": ["augmentation.brightness=0"]}}
    with (tmp_path / "out" / "runs.csv").open(newline="") as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == ["decovnet", "dull"]
    again = run_benchmark(plan, tmp_path / "out", machine)
    assert set(again.kept) == {Job("decovnet", 1, 0), Job("dull", 1, 0)}
    same = run.predictions().probabilities
    assert not np.array_equal(same, found.runs[Job("decovnet", 1, 0)].predictions().probabilities)


@pytest.mark.slow
def test_every_table_names_the_variants(compared):
    for table in compared.tables:
        text = " ".join((*(row.name for row in table.rows), *(column.name for column in table.columns)))
        if table.heading == "method":
            assert [row.name for row in table.rows if row.name in ROWS] == [
                name for name in ROWS if name in {row.name for row in table.rows}
            ]
        assert "apart" in text or table.name == "map_agreement", table.name  # its rows are measures
        of_failed = [row for row in table.rows if row.name.partition("/")[0] == "coarse"]
        assert all(row.remark == "1 of 2 runs failed" for row in of_failed), table.name
    (table2,) = (table for table in compared.tables if table.name == "table2")
    assert [(row.name, row.title) for row in table2.rows] == [
        ("decovnet", "DeCovNet"),
        ("flat", "flat"),
        ("triple", "Triple Net"),
        ("coarse", "coarse"),
        ("apart", "apart"),
    ]


@pytest.mark.slow
def test_every_figure_shows_the_variants(compared):
    names = {figure.name for figure in compared.figures}
    assert {"roc", "training", "decision", "map-scores", "heatmaps-1"} <= names
    for name in names - {"umap"}:
        with (compared.folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        column = "map" if name.startswith("map-") else "method"
        assert {"coarse", "apart"} <= {row[column].partition("/")[0] for row in rows}, name


@pytest.mark.slow
def test_the_page_and_the_progress_name_the_variants(compared):
    page = benchmark_page(compared.found, compared.results, compared.tables, compared.figures)
    assert "coarse: Triple Net with network.attention_resize=bilinear, loss.weights.contrastive=0" in page
    assert "coarse failed" not in page and "of coarse." in page
    assert "Triple Net, coarse and apart: " in page  # how to read their maps
    cells = progress_table(compared.plan, {}, 0.0).columns[0].cells
    assert list(cells) == ["DeCovNet", "flat", "Triple Net", "coarse", "apart"]
    half = replace(compared.found, plan=replace(compared.plan, not_run=(NotRun("flat", "needs frames"),)))
    assert "flat" in benchmark_page(half, None)


@pytest.mark.slow
def test_each_variant_is_compared_with_the_row_before_it(compared):
    assert compared.plan.steps == (("flat", "decovnet"), ("coarse", "triple"), ("apart", "coarse"))
    gains = {(one.method, one.metric): one for one in compared.results.gains}
    told = {one["method"]: one["reference"] for one in compared.results.as_dict()["gains"]}
    assert told == {"flat": "decovnet", "coarse": "triple", "apart": "coarse"}
    coarse = gains["coarse", "auc"]
    assert (coarse.test, coarse.folds) == ("DeLong", 1)  # of the two folds one failed
    assert gains["flat", "accuracy"].test == "McNemar"


def test_the_first_variant_of_a_method_that_is_no_row_has_nothing_before_it(toy):
    plan = toy.plan(("decovnet",), variants=VARIANTS[:2])
    assert plan.methods == ("decovnet", "coarse", "apart")
    assert plan.steps == (("apart", "coarse"),)


def test_a_gain_is_the_difference_of_the_means_with_its_interval(toy, tmp_path):
    """The variant errs with one patient of 16 of the other class less."""

    def right_but(job, patient, label):
        wrong = patient in plan.prepared.fold(1).test[: 2 if job.method == "triple" else 1]
        return 0.9 if bool(label) != wrong else 0.1

    plan = toy.plan(("triple", "baseline"), variants=["off=triple:loss.weights.contrastive=0"])
    results = summarise(made_benchmark(plan, tmp_path / "out", right_but), resamples=200)
    (table,) = (table for table in tables(results) if table.name == "gains")
    assert [row.name for row in table.rows] == ["triple", "off"]
    before, after = table.rows
    patients = len(plan.prepared.fold(1).test)
    assert before.cells["accuracy"].value == pytest.approx(1 - 2 / patients)
    assert "accuracy_gain" not in before.cells
    gain = after.cells["accuracy_gain"]
    assert gain.value == pytest.approx(1 / patients)
    assert gain.low == pytest.approx(0) and 1 / patients < gain.high < 5 / patients
    assert after.cells["accuracy_p"].value == 1  # one patient that only one of them errs with
    assert "off: Triple Net with loss.weights.contrastive=0." in table.notes


def test_without_variants_there_are_no_gains(toy, tmp_path):
    results = summarise(made_benchmark(toy.plan(("triple", "baseline")), tmp_path / "out", answer), resamples=50)
    assert "gains" not in {table.name for table in tables(results)} and "gains" not in results.as_dict()


def test_runs_that_differ_in_their_encoder_alone_are_compared_with_one_another(toy):
    encoders = (
        "deep=baseline:network.encoder=resnet50",
        "deep-last=baseline:network.encoder=resnet50,training.keep=last",
        "learnt=baseline:encoder.weights=imagenet",
        "again=baseline:training.patience=0",
    )
    plan = toy.plan(("baseline", "triple"), seeds=(0, 1), folds=(1, 2), variants=encoders)
    there = [job for job in plan.jobs() if job != Job("deep", 2, 1)]
    found = scored_benchmark._of_encoders(plan, there)
    assert {str(first): [job.method for job in jobs] for first, jobs in found.items()} == {
        f"baseline, fold {fold}, seed {seed}": ["baseline", "deep", "learnt"]
        if (fold, seed) != (2, 1)
        else ["baseline", "learnt"]
        for fold in (1, 2)
        for seed in (0, 1)
    }
    assert all({(job.fold, job.seed) for job in jobs} == {(one.fold, one.seed)} for one, jobs in found.items())


def test_maps_of_other_encoders_are_as_alike_as_the_networks(toy, tmp_path):
    """Two seeds of the same method with other weights at the start; one of the networks is given to all runs."""
    plan = toy.plan(("decovnet",), seeds=(0, 1), variants=["learnt=decovnet:encoder.weights=imagenet"])
    found = made_benchmark(plan, tmp_path / "out", answer)
    for job, run in found.runs.items():
        give_model(run, plan, job)
    results = summarise(found, resamples=50)
    scored = score_benchmark(found, ScoreOptions(asked=0, randomised=0))
    assert list(scored.encoders) == [Job("decovnet", 1, 0), Job("decovnet", 1, 1)]
    assert (found.folder / "scored" / "decovnet" / "fold-1" / "encoders-1.json").is_file()
    assert score_benchmark(found, ScoreOptions(asked=0, randomised=0)) == scored
    shown = tables_of_maps(scored, maps_together(scored, results, resamples=50), results)
    (table,) = (table for table in shown if table.name == "map_repeated")
    cells = {row.name: row.cells for row in table.rows}
    assert list(cells) == ["decovnet", "learnt"]
    assert cells["decovnet"]["encoders_ssim"].value == pytest.approx(1.0)
    assert cells["decovnet"]["encoders_patients"].value == len(plan.prepared.fold(1).test)
    assert "encoders_ssim" not in cells["learnt"] and "seeds_ssim" in cells["learnt"]


def test_without_repeated_trainings_no_table_compares_them(toy, tmp_path):
    plan = toy.plan()
    found = made_benchmark(plan, tmp_path / "out", answer)
    for job, run in found.runs.items():
        give_model(run, plan, job)
    results = summarise(found, resamples=50)
    scored = score_benchmark(found, ScoreOptions(asked=0, randomised=0))
    shown = tables_of_maps(scored, maps_together(scored, results, resamples=50), results)
    assert shown and "map_repeated" not in {table.name for table in shown}


@pytest.mark.slow
def test_a_modern_encoder_is_a_row_beside_baseline_and_triple_net_alike(toy, tmp_path):
    variants = [f"deep-{name}={name}:network.encoder=resnet50" for name in ("baseline", "triple")]
    plan = toy.plan(["none"], ["training.epochs=1", "training.patients=6"], variants=variants)
    assert plan.methods == ("deep-baseline", "deep-triple")
    found = run_benchmark(plan, tmp_path / "out", Machine("cpu", workers=1))
    assert not found.failures
    for job, run in found.runs.items():
        own = networks.build(run.info.method, encoder="resnet50")
        assert run.info.parameters == sum(value.numel() for value in own.parameters()) > 23_000_000, job
    results = summarise(found, resamples=50)
    assert [row.title for row in tables(results)[0].rows] == ["deep-baseline", "deep-triple"]
