"""Patients of a run, explained; for every method, since each explains itself in its own way."""

import shutil
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from toy_prepared import TASK, write_toy
from toy_run import write_run
from triplenet import catalog
from triplenet.catalog import METHODS
from triplenet.errors import BadPreparedSet, BadRun, PathMissing, UnknownName
from triplenet.explanation import MAPS, explain, heat_maps, score_map
from triplenet.explanation.case_picture import case_tiles
from triplenet.explanation.cases import Case, cases, chosen_patients, class_index, frame_to_show, open_prepared
from triplenet.explanation.maps import classify_and_explain
from triplenet.model import load_model
from triplenet.prepare.store import PreparedSet
from triplenet.training.run import open_run, write_info

#: What is labelled, a mask, and where the lung is: with a lung mask alone its inside may be infected or not.
LUNGS = [
    ("all", [[0, 1], [2, 255]], [[False, True], [True, False]]),
    ("lung", [[0, 255], [0, 255]], [[False, True], [False, True]]),
    ("infection", [[255, 255], [2, 2]], None),
    ("none", [[255, 255], [255, 255]], None),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "set", ("none", "spot") * 9, size=40, frames=3)


@pytest.mark.parametrize("method", METHODS)
def test_each_patient_gets_what_the_model_says_and_the_map_of_the_predicted_class(method, prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, method, crop=32)
    names = prepared.fold(1).test
    found = list(cases(run, prepared, chosen_patients(run, prepared, "test")))
    assert [case.patient.patient for case in found] == list(names)
    assert [case.number for case in found] == (prepared.rows(names) + 1).tolist()  # as the set's table has them
    model, rows = load_model(run.model), prepared.rows(names)
    volume = catalog.method(method).dimensions == 3
    images = np.array(prepared.frames[rows] if volume else prepared.images[rows])
    with torch.no_grad():
        wanted = model.network(model.normalise(images)).logits.softmax(1).numpy()
    heats = heat_maps(model, images)
    depends = catalog.method(method).explanation in ("grad-cam", "cam")
    for case, chances, heat, row in zip(found, wanted, heats, rows, strict=True):
        np.testing.assert_allclose(case.probabilities, chances, atol=1e-5)
        assert case.label == TASK.label(prepared.patients[row].finding)
        assert case.right == (chances.argmax() == case.label)
        assert case.target == (chances.argmax() if depends else None)
        np.testing.assert_allclose(case.heat, heat[case.frame] if volume else heat, atol=1e-5)
        assert np.array_equal(case.image, prepared.images[row])
        assert np.array_equal(case.infection, prepared.masks[row] == 2)
        assert np.array_equal(case.lung, np.isin(prepared.masks[row], (1, 2)))
        assert case.map_scores == score_map(case.heat, case.infection, case.lung)
        assert case.scores() == {"heat_max": float(case.heat.max()), **asdict(case.map_scores)}
        assert (case.class_heat is None) == depends == (case.class_target is None)
        if not depends:
            assert case.class_target == chances.argmax()
            evidence = classify_and_explain(model, prepared.images[[row]]).class_heat
            np.testing.assert_allclose(case.class_heat, evidence[0], atol=1e-5)


def test_another_class_can_be_explained(prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, "wsdl", crop=40)
    picked = chosen_patients(run, prepared, "validation", limit=2)
    model, rows = load_model(run.model), prepared.rows(list(picked))
    maps = {}
    for name in TASK.classes:
        index = class_index(run, name)
        found = list(cases(run, prepared, picked, target=index))
        wanted = heat_maps(model, np.array(prepared.images[rows]), np.full(2, index))
        maps[name] = np.stack([case.heat for case in found])
        np.testing.assert_allclose(maps[name], wanted, atol=1e-5)
        assert {case.target for case in found} == {index}
    assert not np.allclose(maps["none"], maps["spot"])
    with pytest.raises(UnknownName, match="choose one of none, spot"):
        class_index(run, "lesion")


def test_the_evidence_is_of_the_class_that_is_asked_for_and_the_attention_of_none(prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, "triple", crop=40)
    picked = chosen_patients(run, prepared, "test", limit=2)
    none, spot = ([*cases(run, prepared, picked, target=target)] for target in (0, 1))
    for one, other in zip(none, spot, strict=True):
        assert (one.target, one.class_target, other.target, other.class_target) == (None, 0, None, 1)
        assert np.array_equal(one.heat, other.heat) and not np.array_equal(one.class_heat, other.class_heat)


@pytest.mark.parametrize(("method", "name"), [("triple", "class"), ("decovnet", "layer-cam"), ("covnet", "eigen-cam")])
def test_any_kind_of_map_can_be_shown_of_a_run(method, name, prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, method, crop=40)
    picked = chosen_patients(run, prepared, "test", limit=2)
    model, rows = load_model(run.model), prepared.rows(list(picked))
    volume = catalog.method(method).dimensions == 3
    wanted = explain(model, np.array(prepared.frames[rows] if volume else prepared.images[rows]), name, "spot")
    for case, heat in zip(cases(run, prepared, picked, target=1, kind=MAPS[name]), wanted, strict=True):
        np.testing.assert_allclose(case.heat, heat[case.frame] if volume else heat, atol=1e-5)
        assert case.class_heat is None
        assert case.target == (1 if MAPS[name].depends_on_class else None)


def test_where_nobody_knows_the_infection_only_the_lung_is_compared(tmp_path):
    found = write_toy(tmp_path / "set", ("none", "spot") * 9, size=40)
    lines = (tmp_path / "set" / "table.csv").read_text()
    (tmp_path / "set" / "table.csv").write_text(lines.replace(",all,", ",lung,"))
    blind = type(found).open(tmp_path / "set")
    run = write_run(tmp_path / "run", blind, "triple", crop=40)
    for case in cases(run, blind, chosen_patients(run, blind, "test")):
        assert case.infection is None and case.map_scores == score_map(case.heat, None, case.lung)
        assert np.array_equal(case.lung, np.asarray(blind.masks[blind.rows([case.patient.patient])[0]]) != 0)


@pytest.mark.parametrize(("labelled", "mask", "lung"), LUNGS)
def test_the_lung_is_known_from_what_was_labelled(labelled, mask, lung):
    found = PreparedSet.lung(SimpleNamespace(patients=[SimpleNamespace(labelled=labelled)], masks=np.array([mask])), 0)
    assert (None if found is None else found.tolist()) == lung


def test_of_a_volume_the_slice_with_the_mask_is_shown_else_the_hottest_frame():
    frames = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 5, 5), np.uint8)
    heat = np.zeros((4, 5, 5), np.float32)
    heat[3, 2, 2] = 1
    assert frame_to_show(frames, heat, frames[1]) == (1, "the slice with the mask")
    assert frame_to_show(frames, heat, np.full((5, 5), 9, np.uint8)) == (3, "most heat")
    assert frame_to_show(frames, heat, np.ones((6, 6), np.uint8)) == (3, "most heat")
    nearly = frames[1].copy()
    nearly[0, 0] = 7
    assert frame_to_show(frames, heat, nearly) == (3, "most heat")


def test_a_mask_of_another_slice_is_not_laid_on_the_frame_that_is_shown(tmp_path):
    found = write_toy(tmp_path / "set", ("none", "spot") * 9, size=40, frames=3)
    frames = np.load(tmp_path / "set" / "frames.npy")
    np.save(tmp_path / "set" / "frames.npy", 255 - frames)  # the slice with the mask is not among them
    elsewhere = type(found).open(tmp_path / "set")
    run = write_run(tmp_path / "run", elsewhere, "decovnet", crop=40)
    for case in cases(run, elsewhere, chosen_patients(run, elsewhere, "test", limit=2)):
        assert case.frame_rule == "most heat"
        assert case.infection is None and case.lung is None
        assert case.map_scores == score_map(case.heat, None)


@pytest.mark.parametrize(
    ("hot", "inside", "peak"),
    [
        ([[0.8, 0.2], [0, 0]], "80%", ("hottest pixel inside",)),
        ([[0.2, 0.8], [0, 0]], "20%", ("hottest pixel outside",)),
        ([[0.5, 0.5], [0.5, 0.5]], "25%", ("25% of the hottest pixels inside",)),
        ([[0, 0], [0, 0]], None, ()),
    ],
)
def test_the_words_under_a_picture_say_how_the_map_lies_to_the_outline(hot, inside, peak):
    heat, infection = np.array(hot, np.float32), np.array([[True, False], [False, False]])
    patient = SimpleNamespace(finding="spot")
    case = Case(1, patient, 1, np.array([0.1, 0.9]), None, np.zeros((2, 2), np.uint8), heat, infection)
    tiles = case_tiles(case, ("none", "spot"), side=32)
    assert tiles.outlined.lines == ("patient 1: spot", *peak)
    said = "" if inside is None else f", {inside} of it in the outline"
    assert tiles.hot.lines == ("spot 0.90, right", f"highest heat {heat.max():.2f}{said}")


def test_patients_can_be_picked_and_keep_their_numbers(prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, "wsdl", crop=40)
    fold = prepared.fold(1)
    assert list(chosen_patients(run, prepared, "train")) == list(fold.train)
    picked = chosen_patients(run, prepared, "test", [fold.test[3], fold.test[1]])
    number_of = {patient.patient: number for number, patient in enumerate(prepared.patients, start=1)}
    assert picked == {name: number_of[name] for name in (fold.test[1], fold.test[3])}
    first = {name: number_of[name] for name in fold.test[:2]}
    assert chosen_patients(run, prepared, "test", limit=2) == first
    with pytest.raises(UnknownName, match="it is a train patient: --partition train"):
        chosen_patients(run, prepared, "test", [fold.train[0]])
    with pytest.raises(UnknownName, match="no such patient"):
        chosen_patients(run, prepared, "test", ["nobody"])


def test_only_the_set_that_the_run_was_trained_on_will_do(prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, "wsdl", crop=40)
    assert open_prepared(run).info == prepared.info
    other = write_toy(tmp_path / "other", ("none", "spot") * 9, size=40, seed=1)
    with pytest.raises(BadPreparedSet, match="not the prepared set that the run was trained on"):
        open_prepared(run, other.folder)
    shutil.copytree(prepared.folder, tmp_path / "moved")
    lost = open_run(run.folder)
    write_info(run.folder, lost.info.model_copy(update={"prepared": str(tmp_path / "gone")}))
    lost = open_run(run.folder)
    with pytest.raises(PathMissing, match="--prepared"):
        open_prepared(lost)
    assert open_prepared(lost, tmp_path / "moved").info == prepared.info


def test_an_unfinished_run_and_a_set_without_frames_are_refused(prepared, tmp_path):
    run = write_run(tmp_path / "run", prepared, "covnet", crop=40)
    flat = write_toy(tmp_path / "flat", ("none", "spot") * 9, size=40)
    with pytest.raises(BadPreparedSet, match="has not what the network reads"):
        next(cases(run, flat, chosen_patients(run, flat, "test")))
    write_info(run.folder, run.info.model_copy(update={"status": "running"}))
    with pytest.raises(BadRun, match="not finished"):
        next(cases(open_run(run.folder), prepared, chosen_patients(run, prepared, "test")))


def test_a_network_that_reads_the_lung_gets_it(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 9, size=44, frames=3, lungs=True)
    run = write_run(tmp_path / "run", prepared, "covnet", crop=40, lung_mask=True)
    (case,) = cases(run, prepared, chosen_patients(run, prepared, "test", limit=1))
    row = prepared.rows([case.patient.patient])[0]
    model = load_model(run.model)
    lungs = np.isin(prepared.masks[row], (1, 2))[None].repeat(3, axis=0)[None].astype(np.uint8)
    with torch.no_grad():
        wanted = model.network(model.normalise(np.array(prepared.frames[[row]]), lungs)).logits.softmax(1)
    np.testing.assert_allclose(case.probabilities, wanted[0].numpy(), atol=1e-6)
