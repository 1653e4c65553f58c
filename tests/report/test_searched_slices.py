"""A benchmark says what the search for a slice costs: the slice of the masks against the searched one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

import triplenet
from prepare.synthetic import chest
from triplenet import catalog, scan
from triplenet.cli.app import app
from triplenet.errors import BadInput, UnknownName
from triplenet.files import read_csv, write_csv
from triplenet.inference import searched_cohort, searched_tables
from triplenet.inference.searched_cohort import FOLDER, SearchedRun
from triplenet.report.benchmark_report import benchmark
from triplenet.scan import Geometry
from triplenet.training.job import Job
from triplenet.training.recipe import load_recipe

pytest.importorskip("torch", reason="needs the extra `train`")
SLICES = 16
SETTINGS = ("training.epochs=1", "training.batch=8", "encoder.weights=none", "augmentation.crop=56")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """The table of small chests, every second with an infection somewhere along the lungs."""
    folder = tmp_path_factory.mktemp("chests")
    rows = []
    for number in range(30):
        hu, lung, _, geometry = chest(slices=3)
        hu, lung = (np.repeat(array[2:], SLICES, axis=0) for array in (hu, lung))
        affine = geometry.affine.copy()
        affine[:3, 0] *= 5.0 / np.linalg.norm(affine[:3, 0])
        geometry = Geometry(hu.shape, affine)
        infection = np.zeros_like(lung)
        if number % 2:
            centre = 3 + number % (SLICES - 6)
            z, y, x = np.ogrid[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
            infection[(2 * (z - centre)) ** 2 + (y - 45) ** 2 + (x - 28) ** 2 <= 36] = 1
        hu[infection > 0] = -600
        name = f"p{number:02d}"
        for kind, array in (("scan", hu), ("lung", lung.astype(np.uint8)), ("infection", infection.astype(np.uint8))):
            scan.write_nifti(folder / f"{name}-{kind}.nii", array, geometry)
        rows.append(
            {
                "patient": name,
                "finding": "typical" if number % 2 else "negative",
                **{kind: f"{name}-{kind}.nii" for kind in ("scan", "lung", "infection")},
            }
        )
    write_csv(folder / "cohort.csv", rows)
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def prepared(cohort):
    return triplenet.prepare(cohort, cohort.parent / "prepared", size=64, jobs=1, allow_leakage=True)


@pytest.fixture(scope="module")
def made(cohort, prepared):
    return benchmark(
        prepared,
        cohort.parent / "benchmark",
        "binary",
        methods=("baseline", "triple"),
        folds=(1,),
        settings=SETTINGS,
        slices=("mask", "searched"),
        cohort=[cohort],
        figures=False,
    )


def kept(made, method):
    path = (made.benchmark.folder / FOLDER / Job(method, 1, 0).path).with_suffix(".json")
    return SearchedRun.model_validate_json(path.read_bytes())


@pytest.mark.slow
def test_every_validation_and_test_patient_is_searched_by_the_method_that_can(made, prepared):
    fold = prepared.fold(1)
    for method, by in (("baseline", "triple"), ("triple", "triple")):
        run = kept(made, method)
        assert run.by == by
        assert {one.patient for one in run.slices if one.partition == "test"} == set(fold.test)
        assert {one.patient for one in run.slices if one.partition == "validation"} == set(fold.validation)
        for one in run.slices:
            if not one.refused:
                assert one.evaluations > 0
                assert set(one.probabilities) == {"best", "mean", "noisy-or", "weighted"}
                assert all(sum(said) == pytest.approx(1) for said in one.probabilities.values())


@pytest.mark.slow
def test_how_far_the_slice_lies_from_the_largest_infection_is_that_of_the_masks(made, cohort):
    rows = {row["patient"]: row for row in read_csv(cohort)}
    infected = [one for one in kept(made, "triple").slices if one.lesion]
    assert infected
    for one in infected:
        mask = nibabel.load(cohort.parent / rows[one.patient]["infection"])
        areas = np.asanyarray(mask.dataobj).sum((0, 1))
        steps = one.away_mm / 5.0
        assert steps == pytest.approx(round(steps), abs=1e-6)
        found = [index for index in range(len(areas)) if abs(index - areas.argmax()) == round(steps)]
        assert any(areas[index] / areas.max() == pytest.approx(one.area_ratio) for index in found)
        assert one.shows_lesion == (one.area_ratio > 0)


@pytest.mark.slow
def test_the_tables_show_both_ways_and_the_ways_to_put_slices_together(made):
    tables = {table.name: table for table in made.tables}
    one, together = tables["searched_slices"], tables["slices_together"]
    assert [row.name for row in one.rows] == [row.name for row in together.rows] == ["baseline", "triple"]
    for row in one.rows:
        mask, searched, change = (row.cells[name].value for name in ("mask", "searched", "difference"))
        assert change == pytest.approx(searched - mask, abs=1e-9)
        run = made.benchmark.runs[Job(row.name, 1, 0)]
        own = run.predictions().of("test")
        answered = [s.patient for s in kept(made, row.name).slices if s.partition == "test" and not s.refused]
        rows = [own.patients.index(patient) for patient in answered]
        from sklearn.metrics import roc_auc_score

        assert mask == pytest.approx(roc_auc_score(own.labels[rows], own.probabilities[rows, 1]))
        said = {s.patient: s.probabilities["best"][1] for s in kept(made, row.name).slices}
        assert searched == pytest.approx(roc_auc_score(own.labels[rows], [said[patient] for patient in answered]))
    text = (made.benchmark.folder / "tables/searched_slices.md").read_text(encoding="utf-8")
    assert "Triple Net" in text and "The searched slice against the mask" in made.page.read_text(encoding="utf-8")


def test_a_method_that_reads_the_whole_scan_searches_for_no_slice_nor_one_that_learnt_no_segmentation():
    recipes = {name: load_recipe("quick", method=name) for name in ("resnet3d", "wsdl", "baseline", "mtdl")}
    recipes["triple"] = load_recipe("quick", method="triple", settings=["loss.weights.segmentation=0"])
    found = SimpleNamespace(plan=SimpleNamespace(recipes=recipes, catalog_method=catalog.method))
    of_slices = {name for name in recipes if searched_cohort._of_slices(found, Job(name, 1, 0))}
    assert of_slices == set(recipes) - {"resnet3d"}
    assert {name for name in recipes if searched_cohort._segments(found, Job(name, 1, 0))} == {"mtdl"}


@pytest.mark.slow
def test_the_rule_is_chosen_on_validation_patients_only(made):
    """Their mean is made to tell the ill from the well, everything else of theirs and all of the test patients' not."""
    job = Job("triple", 1, 0)
    own = made.benchmark.runs[job].predictions()
    label_of = dict(zip(own.patients, own.labels.tolist(), strict=True))

    def told(one):
        if one.refused:
            return one
        ill = 0.9 if label_of[one.patient] == 1 else 0.1
        right, wrong = (1 - ill, ill), (ill, 1 - ill)
        first = one.partition == "validation"
        said = {rule: right if (rule == "mean") == first else wrong for rule in one.probabilities}
        return one.model_copy(update={"probabilities": said})

    run = kept(made, "triple")
    changed = run.model_copy(update={"slices": tuple(map(told, run.slices))})
    assert searched_tables._best_rule(made.benchmark, job, changed, 1) == "mean"


@pytest.mark.slow
def test_what_was_searched_is_kept_and_a_damaged_part_is_made_again(made, cohort, prepared, monkeypatch):
    asked = []
    real = searched_cohort._search_runs

    def counting(order):
        asked.append(set(order.finders))
        return real(order)

    monkeypatch.setattr(searched_cohort, "_search_runs", counting)
    again = {
        "methods": ("baseline", "triple"),
        "folds": (1,),
        "settings": SETTINGS,
        "slices": ("mask", "searched"),
        "cohort": [cohort],
        "figures": False,
    }
    benchmark(prepared, made.benchmark.folder, "binary", **again)
    assert asked == []
    path = (made.benchmark.folder / FOLDER / Job("baseline", 1, 0).path).with_suffix(".json")
    before = json.loads(path.read_text(encoding="utf-8"))
    path.write_text("{}", encoding="utf-8")
    benchmark(prepared, made.benchmark.folder, "binary", **again)
    assert asked == [{"baseline"}] and json.loads(path.read_text(encoding="utf-8")) == before


def test_what_cannot_be_searched_is_refused_before_anything_is_trained(cohort, prepared, tmp_path):
    with pytest.raises(BadInput, match="cohort"):
        benchmark(prepared, tmp_path / "b", "binary", slices=("mask", "searched"))
    with pytest.raises(UnknownName, match="slices"):
        benchmark(prepared, tmp_path / "b", "binary", slices=("searched",), cohort=[cohort])
    other = tmp_path / "other.csv"
    other.write_bytes(cohort.read_bytes().replace(b"p00-", str(cohort.parent).encode() + b"/p00-"))
    for row in cohort.parent.glob("p*.nii"):
        (tmp_path / row.name).symlink_to(row)
    with pytest.raises(BadInput, match="not the cohort that was prepared"):
        benchmark(prepared, tmp_path / "b", "binary", slices=("mask", "searched"), cohort=[other])
    assert not (tmp_path / "b").exists()
    told = CliRunner().invoke(
        app, ["benchmark", str(prepared.folder), "--out", str(tmp_path / "b"), "--task", "binary", "--slices", "middle"]
    )
    assert told.exit_code == 2 and "mask,searched" in told.output
