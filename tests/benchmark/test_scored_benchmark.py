"""The maps of a benchmark's runs are scored once, and the tables say what the scores are."""

from types import SimpleNamespace

import numpy as np
import pytest

from toy_benchmark import give_model, made_benchmark
from toy_prepared import TASK, write_toy
from triplenet.benchmark import Job, make_plan, scored_benchmark
from triplenet.benchmark.benchmark_results import summarise
from triplenet.benchmark.scored_benchmark import FOLDER, maps_together, score_benchmark, tables_of_maps
from triplenet.evaluation.map_statistics import map_estimates
from triplenet.explanation import heat_maps, score_map
from triplenet.explanation.scored_run import ScoreOptions
from triplenet.model import load_model
from triplenet.prepare.frames import between_frames, frame_positions

METHODS = ("decovnet", "baseline", "mtdl", "triple")
FEW = ScoreOptions(asked=4, randomised=2, copies=2)


def answer(job, patient, label):
    return 0.5 + (0.3 if label else -0.3) * (1 if int(patient[1:]) % 5 else -1) - 0.01 * len(job.method)


@pytest.fixture(scope="module")
def scored(toy, tmp_path_factory):
    """Baseline with two seeds of one network; a second reader who sees one pixel row less of each lesion."""

    def second(masks):
        lesions = masks == 2
        return lesions & np.roll(lesions, 1, axis=1)

    folder = tmp_path_factory.mktemp("scored")
    prepared = write_toy(folder / "set", ("none", "spot") * 12, size=40, frames=4, second=second)
    settings = toy.plan().settings
    plan = make_plan(prepared, TASK, METHODS, recipe="quick", settings=settings, folds=(1,), seeds=(0, 1))
    failed = [Job(name, 1, 1) for name in METHODS if name != "baseline"]
    done = made_benchmark(plan, folder / "bench", answer, failed=failed)
    for job, run in done.runs.items():
        give_model(run, plan, job, crop=32)
    found = score_benchmark(done, FEW)
    results = summarise(done, resamples=50)
    maps = maps_together(found, results, resamples=200)
    tables = {table.name: table for table in tables_of_maps(found, maps, results)}
    test = prepared.fold(1).test
    return SimpleNamespace(
        done=done, found=found, results=results, maps=maps, tables=tables, prepared=prepared, test=test
    )


def test_every_map_of_every_test_patient_is_compared_with_the_lesion(scored):
    model = load_model(scored.done.runs[Job("baseline", 1, 0)].model)
    rows = scored.prepared.rows(scored.test)
    heats = heat_maps(model, np.array(scored.prepared.images[rows]))
    told = {one.patient: one.scores for one in scored.found.runs[Job("baseline", 1, 0)].maps}
    for name, row, heat in zip(scored.test, rows.tolist(), heats, strict=True):
        wanted = score_map(heat, scored.prepared.lesion(row), scored.prepared.lung(row))
        for measure, value in told[name].items():
            expected = getattr(wanted, measure)
            assert value == (None if expected is None else pytest.approx(expected, abs=1e-4))
    kinds = {job.method: {one.map for one in run.maps} for job, run in scored.found.runs.items()}
    assert kinds == {
        "decovnet": {"own"},
        "baseline": {"own"},
        "mtdl": {"own", "segmentation"},
        "triple": {"own", "class"},
    }


def test_of_a_volume_the_map_is_taken_where_the_labelled_slice_lies(toy, tmp_path):
    from dataclasses import replace

    from triplenet.explanation.labelled_maps import labelled_maps

    plan = toy.plan(("decovnet",))
    done = made_benchmark(plan, tmp_path / "bench", answer)
    (job,) = done.runs
    give_model(done.runs[job], plan, job, crop=32)
    model = load_model(done.runs[job].model)
    patients = [replace(one, slices=13, slice=2) for one in plan.prepared.patients]
    prepared = replace(plan.prepared, patients=tuple(patients))
    (one,) = labelled_maps(model, prepared, [3])
    volume = heat_maps(model, np.array(prepared.frames[[3]]))[0]
    # Four frames of 13 slices lie at 0, 4, 8 and 12: slice 2 is half way between the first two.
    assert frame_positions(13, 4).tolist() == [0, 4, 8, 12]
    np.testing.assert_allclose(one.maps["own"], (volume[0] + volume[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(one.maps["own"], between_frames(volume, np.array([0, 4, 8, 12]), 2), atol=1e-6)


def test_scores_are_kept_until_what_decides_them_changes(scored, monkeypatch):
    def never(*_):
        raise AssertionError("it was known")

    monkeypatch.setattr(scored_benchmark, "_answer", never)
    again = score_benchmark(scored.done, FEW)
    assert again == scored.found
    with pytest.raises(AssertionError, match="it was known"):
        score_benchmark(scored.done, ScoreOptions(asked=3, randomised=2, copies=2))
    kept = {
        path.relative_to(scored.done.folder / FOLDER).as_posix() for path in scored.done.folder.glob("scored/**/*.json")
    }
    assert "references/fold-1.json" in kept and "baseline/fold-1/seeds.json" in kept
    assert "triple/fold-1/seed-0.json" in kept and "triple/fold-1/seeds.json" not in kept


def test_a_damaged_answer_is_found_anew(scored):
    path = scored.done.folder / FOLDER / "triple" / "fold-1" / "seed-0.json"
    path.write_text(path.read_text()[:100])
    assert score_benchmark(scored.done, FEW).runs.keys() == scored.found.runs.keys()


def test_the_means_are_of_patients_with_a_lesion_and_the_rest_only_has_energy(scored):
    maps, ill = scored.maps, {one.patient for one in scored.prepared.patients if one.finding == "spot"}
    row_of = dict(zip(maps.patients, range(len(maps.patients)), strict=True))
    known = np.isfinite(maps.measures["rank"].values["baseline/own"])
    assert {name for name, row in row_of.items() if known[row]} == ill & set(scored.test)
    elsewhere = np.isfinite(maps.measures["energy"].values["baseline/own"])
    assert {name for name, row in row_of.items() if elsewhere[row]} == set(scored.test) - ill
    table = scored.tables["map_scores"]
    row = next(row for row in table.rows if row.name == "triple/own")
    wanted = map_estimates(maps.measures["average_precision"], resamples=200)["triple/own"]
    assert row.cells["average_precision"].value == wanted.value
    assert row.cells["patients"].value == len(ill & set(scored.test))


def test_what_sees_no_network_and_ceilings_stand_below_and_are_never_the_best(scored):
    table = scored.tables["map_scores"]
    names = [row.name for row in table.rows]
    assert names == [
        *("decovnet/own", "baseline/own", "mtdl/own", "triple/own", "triple/class"),
        *("mtdl/segmentation", "second-reader"),
        *("uniform", "random", "centre", "edges", "lung", "mean-lesion"),
    ]
    remarks = {row.name: row.remark for row in table.rows}
    assert remarks["second-reader"] == "ceiling" and remarks["lung"] == "sees no network"
    # Random weights, and a second reader who is nearly right.
    assert remarks["baseline/own"].startswith("does not exceed ")
    second = scored.maps.estimates["dice_matched"]["second-reader"].value
    assert 0.8 < second < 1
    for column in table.columns:
        assert not {"second-reader", "mtdl/segmentation", "lung"} & set(table.best(column))
    assert set(scored.maps.against_none) == {"decovnet/own", "baseline/own", "mtdl/own", "triple/own", "triple/class"}
    assert set(scored.maps.compared) == {"decovnet/own", "mtdl/own", "triple/own"}


def test_the_network_is_asked_about_the_first_patients_and_of_volumes_about_fewer(scored):
    runs = scored.found.runs
    asked = {job.method: [one.patient for one in run.asked if one.map == "own"] for job, run in runs.items()}
    assert asked["triple"] == list(scored.test[:4]) and asked["decovnet"] == list(scored.test[:1])
    assert {one.map for one in runs[Job("triple", 1, 0)].asked} == {"own", "class"}
    assert runs[Job("decovnet", 1, 0)].randomisation.patients == 1
    assert runs[Job("baseline", 1, 0)].randomisation.patients == 2
    row = next(row for row in scored.tables["map_answers"].rows if row.name == "triple/class")
    values = [one.road for one in runs[Job("triple", 1, 0)].asked if one.map == "class"]
    assert row.cells["road"].value == pytest.approx(np.mean(values))
    assert row.cells["evaluations"].value == 1 and row.cells["ms"].value > 0
    randomised = {row.name: row.cells["passed"].text for row in scored.tables["map_randomised"].rows}
    assert set(randomised) == set(METHODS) and randomised["baseline"].endswith(" of 2")


def test_two_seeds_of_one_network_have_one_map(scored):
    (row,) = scored.tables["map_repeated"].rows
    assert row.name == "baseline"
    assert row.cells["seeds_ssim"].value == pytest.approx(1.0)
    assert row.cells["seeds_spearman"].value == pytest.approx(1.0)
    assert row.cells["seeds_patients"].value == len(scored.test)


def test_parts_of_the_patients_add_up_to_those_with_a_lesion(scored):
    table = scored.tables["map_strata"]
    parts = {}
    for row in table.rows:
        about = row.title.partition(":")[0]
        for method, cell in row.cells.items():
            parts.setdefault((about, method), []).append(int(cell.part.removeprefix("n = ")))
    told = {"lesion's share of the lung", "lesions in the slice", "side of the lesion", "prediction", "confidence"}
    assert {about for about, _ in parts} == told
    primary = scored.maps.measures["energy_in_lesion"]  # not defined of a map that is dark everywhere
    assert all(sum(counts) == primary.patients(f"{method}/own") for (_, method), counts in parts.items())
    assert primary.patients("triple/own") == 3
    (one,) = [row for row in table.rows if row.title.startswith("lesions in the slice")]
    assert one.title.endswith("one")


def test_the_side_of_a_lesion_is_the_patients(tmp_path):
    from triplenet.evaluation.map_strata import _side

    def change(images, masks):
        masks[masks == 2] = 1
        columns = np.flatnonzero((masks[0] == 1).any(axis=0))
        middle = (columns[0] + columns[-1] + 1) // 2
        lung = np.argwhere(masks[0] == 1)
        left = lung[lung[:, 1] >= middle][:20]
        right = lung[lung[:, 1] < middle][:20]
        for row, pixels in enumerate((left, right, np.concatenate([left, right]))):
            masks[row][tuple(pixels.T)] = 2

    prepared = write_toy(tmp_path / "set", ("spot",) * 9, size=40, change=change)
    assert [_side(prepared, row) for row in range(3)] == ["left only", "right only", "both sides"]


def test_measures_that_are_asked_whether_they_agree_are_in_the_table(scored):
    table = scored.tables["map_agreement"]
    assert "energy_in_lesion" in {row.name for row in table.rows}
    found = scored.maps.agreement
    assert all(-1 <= one.value <= 1 or np.isnan(one.value) for one in found.values())
    told = scored.maps.as_dict()
    assert told["primary"] == "energy_in_lesion"
    assert told["means"]["rank"]["second-reader"]["patients"] > 0
