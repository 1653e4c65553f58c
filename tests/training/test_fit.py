import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from toy_prepared import TASK, write_toy
from triplenet import networks
from triplenet.errors import (
    BadModel,
    BadPreparedSet,
    BadRecipe,
    BadRun,
    Interrupted,
    MissingExtra,
    NoEncoderWeights,
    OutOfMemory,
    OutputExists,
    OutputFailed,
    RunMismatch,
    TrainingDiverged,
    UnknownName,
)
from triplenet.explanation.scored_run import ScoreOptions, score_run
from triplenet.export import export
from triplenet.inference import load_runtime
from triplenet.model import EMBEDDING_MEAN, fit_temperature, load_model, read_card
from triplenet.training import fit, load_recipe, open_run
from triplenet.training import run as runs
from triplenet.training.checkpoint import load_checkpoint, save_checkpoint
from triplenet.training.distributed import ProcessTeam
from triplenet.training.trackers import TENSORBOARD

train = partial(fit.train_recipe, track=())

FINDINGS = ("none", "spot") * 9
FAST = (
    "augmentation.crop=48",
    "encoder.weights=none",
    "training.batch=4",
    "training.epochs=3",
    "training.learning_rate=0.0005",
)


def recipe(method="triple", *settings):
    return load_recipe("default", method=method, settings=[*FAST, *settings])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "set", FINDINGS)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "set", FINDINGS, size=40, frames=4)


def small(*settings):
    """A network of a second or less, which draws random numbers of its own."""
    grids = "network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]"
    return recipe("decovnet", "network.dropout=0.5", grids, "augmentation.crop=32", *settings)


@pytest.fixture(scope="module")
def small_run(frames, tmp_path_factory):
    return train(frames, TASK, 1, small(), tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """An uninterrupted run of Triple Net."""
    return train(prepared, TASK, 1, recipe(), tmp_path_factory.mktemp("runs") / "run")


def same(left, right):
    """Whether two runs are the same but for the time they took."""
    weights, others = load_file(left.model), load_file(right.model)
    assert weights.keys() == others.keys()
    assert EMBEDDING_MEAN in weights
    for name, value in weights.items():
        assert torch.equal(value, others[name]), name
    predictions = [(one.folder / "predictions.csv").read_text() for one in (left, right)]
    assert predictions[0] == predictions[1]
    histories = [one.history() for one in (left, right)]
    for history in histories:
        for row in history:
            del row["seconds"]
    assert histories[0] == histories[1]
    return True


def test_a_run_holds_what_it_says(run, prepared):
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "history.csv",
        "model.safetensors",
        "predictions.csv",
        "run.json",
    ]
    assert run.complete
    assert run.recipe == recipe()
    assert run.task == TASK
    info = run.info
    assert info.patients == {
        "train": {"none": 6, "spot": 6},
        "validation": {"none": 1, "spot": 1},
        "test": {"none": 2, "spot": 2},
    }
    assert info.parameters == 12_753_029
    assert info.data_sha256 == prepared.info.sha256
    assert set(info.versions) == {"triplenet", "torch", "numpy", "python"}
    history = run.history()
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert [row["lambda"] for row in history] == pytest.approx([1, 2 / 3, 1 / 3])
    for row in history:
        terms = row["loss_contrastive"] * row["lambda"] + row["loss_classification"] * (1 - row["lambda"])
        assert row["loss_total"] == pytest.approx(terms + row["loss_segmentation"], rel=1e-4)


def test_the_kept_weights_are_the_first_with_the_best_validation_accuracy(run):
    accuracies = [row["validation_accuracy"] for row in run.history()]
    assert run.info.best_epoch == accuracies.index(max(accuracies))
    assert run.info.validation["accuracy"] == max(accuracies)


def test_the_model_file_predicts_what_the_run_says(run, prepared):
    model = load_model(run.model)
    card = model.card
    assert (card.method, card.classes, card.size, card.crop, card.fold) == ("triple", TASK.classes, 64, 48, 1)
    assert (card.window_hu, card.positive, card.task.task(card.classes)) == ((-1000, -500), (1,), TASK)
    assert card.data_sha256 == prepared.info.sha256
    predictions = run.predictions()
    rows = prepared.rows(predictions.patients)
    with torch.no_grad():
        probabilities = model.network(model.normalise(prepared.images[rows])).logits.softmax(1)
    np.testing.assert_allclose(predictions.probabilities, probabilities, atol=1e-6)
    assert np.array_equal(predictions.labels, prepared.labels(TASK)[rows])
    fold = prepared.fold(1)
    assert predictions.of("test").patients == fold.test
    assert predictions.of("validation").patients == fold.validation


def test_the_model_file_tells_what_it_was_trained_on(run, prepared):
    model = load_model(run.model)
    scans = model.card.training_scans
    train, validation = prepared.fold(1).train, prepared.fold(1).validation
    assert (scans.patients, scans.slice_mm, scans.kernels, scans.contrast) == (len(train), None, {}, {})
    assert model.card.temperature is None
    # Of two validation patients nothing can be said.
    assert len(validation) == 2
    assert (scans.embedding.of, scans.embedding.patients) == ("training", len(train))

    def features(patients):
        with torch.no_grad():
            return model.network.features(model.normalise(prepared.images[prepared.rows(patients)]))

    distances = model.embedding.distances(features(train))
    assert scans.embedding.limit == pytest.approx(float(distances.max()), rel=1e-4)
    torch.testing.assert_close(model.embedding.mean, features(train).mean(0), rtol=1e-4, atol=1e-5)


def test_a_temperature_is_written_where_the_recipe_wants_one(small_run, frames, tmp_path):
    """Fitted on the validation patients; nothing else of the run changes."""
    other = train(frames, TASK, 1, small("training.temperature=true"), tmp_path / "run")
    assert same(small_run, other)
    validation = small_run.predictions().of("validation")
    said = validation.probabilities.astype(np.float32).astype(np.float64)  # before nine digits of it were written
    expected = fit_temperature(validation.labels, said).value
    assert read_card(small_run.model).temperature is None
    assert read_card(other.model).temperature == expected


def test_a_run_that_an_earlier_version_began_is_gone_on_with(small_run, frames, tmp_path):
    """Its recipe does not have the newer keys."""
    with pytest.raises(Interrupted):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=Stop(8), checkpoint_every_s=0)
    path = tmp_path / "run" / runs.INFO
    info = json.loads(path.read_text())
    del info["recipe"]["training"]["temperature"]
    path.write_text(json.dumps(info))
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", resume=True))


def test_the_same_recipe_gives_the_same_bits(run, prepared, tmp_path):
    torch.manual_seed(99)  # what torch did before does not matter
    before = torch.get_rng_state(), torch.get_num_threads()
    assert same(run, train(prepared, TASK, 1, recipe(), tmp_path / "again"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


def test_another_seed_gives_others(run, prepared, tmp_path):
    other = train(prepared, TASK, 1, recipe("triple", "training.seed=1"), tmp_path / "other")
    assert not torch.equal(
        load_file(run.model)["network.encoder.conv1.weight"], load_file(other.model)["network.encoder.conv1.weight"]
    )


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from toy_prepared import TASK
from triplenet.prepare.store import PreparedSet
from triplenet.training import checkpoint, fit, load_recipe, train_recipe

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def attempt(where):
    steps, written, write = [], [], checkpoint.write_json
    def on_step(epoch, done, of):
        steps.append(done)
        if where == "step" and len(steps) == 5:  # in the middle of the second epoch
            die()
    def write_json(*arguments):
        written.append(1)
        if where == "checkpoint" and len(written) == 2:  # the tensors are there, their checksum is not
            die()
        write(*arguments)
    checkpoint.write_json = write_json
    if where == "model":  # predictions are there, the model is not
        fit.save_model = die
    recipe = load_recipe("default", method="triple", settings=sys.argv[4:])
    train_recipe(PreparedSet.open(sys.argv[2]), TASK, 1, recipe, sys.argv[3],
          resume=True, on_step=on_step, checkpoint_every_s=0, track=())

for where in ("step", "checkpoint", "model"):
    child = os.fork()  # no thread runs yet, and importing torch takes long
    if not child:
        attempt(where)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_again_and_again_gives_the_same_bits(run, prepared, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, Path(__file__).parents[1], prepared.folder, out, *FAST]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * 3, done.stderr
    assert not open_run(out).complete
    resumed = train(prepared, TASK, 1, recipe(), out, resume=True)
    assert same(run, resumed)
    assert resumed.info.resumed == 3
    assert len(list(out.iterdir())) == 4


class Stop:
    """Ctrl-C after so many steps."""

    def __init__(self, after):
        self.left = after

    def __call__(self, epoch, done, of):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_what_dropout_draws_goes_on_where_it_stopped(small_run, frames, tmp_path):
    with pytest.raises(Interrupted, match=r"epoch 3.*after epoch 2 is kept.*--resume"):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=Stop(8), checkpoint_every_s=0)
    torch.manual_seed(1)
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", resume=True))


@pytest.mark.parametrize("steps", [1, 3, 5, 6, 9])
def test_whenever_it_stops_a_run_goes_on_to_the_same_bits(small_run, frames, tmp_path, steps):
    with pytest.raises(Interrupted):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=Stop(steps), checkpoint_every_s=0)
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", resume=True))


def test_a_stop_before_the_first_state_begins_again(small_run, frames, tmp_path):
    with pytest.raises(Interrupted, match="nothing was kept yet"):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=Stop(4))
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", resume=True))


def test_a_torn_state_falls_back_to_the_one_before(small_run, frames, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(frames, TASK, 1, small(), out, on_step=Stop(8), checkpoint_every_s=0)
    assert len(list((out / "state").glob("*.safetensors"))) == 2
    torn = out / "state" / "epoch-000001.safetensors"
    torn.write_bytes(torn.read_bytes()[:-100])
    epochs = []
    resumed = train(frames, TASK, 1, small(), out, resume=True, on_epoch=lambda row: epochs.append(row.epoch))
    assert epochs == [1, 2]
    assert same(small_run, resumed)


def test_resuming_a_finished_run_gives_it_back(run, prepared):
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    again = train(prepared, TASK, 1, recipe(), run.folder, resume=True)
    assert again.complete
    assert {path: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_resuming_nothing_begins(frames, tmp_path):
    assert train(frames, TASK, 1, small("training.epochs=1"), tmp_path / "new", resume=True).complete


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": recipe("triple", "training.epochs=4")}, "recipe.training.epochs: 3, not 4"),
        ({"recipe": recipe("double")}, "method: 'triple', not 'double'"),
        ({"fold": 2}, "fold: 1, not 2"),
        ({"task": TASK.__class__("toy", "", ("a", "b"), {"none": "a", "spot": "b"}, ("b",))}, "classes"),
    ],
)
def test_resuming_otherwise_is_refused_and_says_what_differs(run, prepared, change, says):
    arguments = {"task": TASK, "fold": 1, "recipe": recipe()} | change
    with pytest.raises(RunMismatch, match=says.replace(".", r"\.")):
        train(prepared, arguments["task"], arguments["fold"], arguments["recipe"], run.folder, resume=True)


def test_resuming_on_other_data_is_refused(run, tmp_path):
    def darker(images, masks):
        images[0] //= 2

    other = write_toy(tmp_path / "set", FINDINGS, change=darker)
    with pytest.raises(RunMismatch, match="data_sha256"):
        train(other, TASK, 1, recipe(), run.folder, resume=True)


def test_a_state_that_an_earlier_version_kept_is_gone_on_from(small_run, frames, tmp_path):
    """It called lambda ``balance`` in its history."""
    with pytest.raises(Interrupted):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=Stop(8), checkpoint_every_s=0)
    folder = tmp_path / "run" / runs.STATE
    kept = load_checkpoint(folder)
    state = dict(kept.state)
    state["history"] = [
        {("balance" if name == "contrastive_weight" else name): value for name, value in epoch.items()}
        for epoch in state["history"]
    ]
    assert "balance" in state["history"][0]
    save_checkpoint(folder, kept.epoch, kept.tensors, state)
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", resume=True))


def test_a_finished_run_trains_on_with_its_schedule_from_the_beginning(frames, tmp_path):
    settings = "network.dropout=0", "training.schedule=linear", "training.keep=last"
    run = train(frames, TASK, 1, small(*settings), tmp_path / "run")
    kept = load_file(run.model)
    longer = small(*settings, "training.epochs=2")
    with pytest.raises(RunMismatch, match=r"training\.epochs: 3, not 2"):
        train(frames, TASK, 1, longer, tmp_path / "run", resume=True)
    with pytest.raises(Interrupted, match="after epoch 3 is kept"):
        train(frames, TASK, 1, longer, tmp_path / "run", resume=True, restart_schedule=True, on_step=Stop(1))
    resumed = train(frames, TASK, 1, longer, tmp_path / "run", resume=True)
    history = resumed.history()
    assert [row["epoch"] for row in history] == [0, 1, 2, 3, 4]
    assert [row["learning_rate"] for row in history] == pytest.approx([5e-4, 5e-4 * 2 / 3, 5e-4 / 3, 5e-4, 2.5e-4])
    assert resumed.complete and resumed.info.epochs == 5 and resumed.info.best_epoch == 4
    assert resumed.recipe.training.epochs == 2
    moved = load_file(resumed.model)["network.encoder.0.weight"] - kept["network.encoder.0.weight"]
    assert 0 < moved.abs().max() < 0.05  # from the kept weights on, not from new ones


def test_an_existing_folder_is_not_trained_into(run, prepared, tmp_path):
    with pytest.raises(OutputExists):
        train(prepared, TASK, 1, recipe(), run.folder)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(BadRun, match=r"run\.json"):
        train(prepared, TASK, 1, recipe(), tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_processes_do_not_train_in_one_folder(frames, tmp_path):
    def second(epoch, done, of):
        with pytest.raises(BadRun, match="another process"):
            train(frames, TASK, 1, small(), tmp_path / "run", resume=True)
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=second)


def test_a_loss_that_is_not_finite_stops_with_the_last_state_kept(frames, tmp_path):
    with pytest.raises(TrainingDiverged, match=r"no longer finite in epoch \d+.*--resume"):
        train(frames, TASK, 1, small("training.learning_rate=1e30"), tmp_path / "run")
    assert not open_run(tmp_path / "run").complete


def test_a_full_gpu_is_said_and_the_last_state_stays(frames, tmp_path):
    left = iter(range(8))

    def full(*_step):
        if next(left, None) is None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(OutOfMemory, match=r"memory is full.*training\.micro_batch.*after epoch \d+ is kept"):
        train(frames, TASK, 1, small(), tmp_path / "run", on_step=full, checkpoint_every_s=0)
    assert not open_run(tmp_path / "run").complete


def test_a_full_disk_says_so_and_keeps_the_last_state(small_run, frames, tmp_path, monkeypatch):
    calls = []
    write = fit.save_checkpoint

    def full(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise OutputFailed("cannot write (No space left on device)", where="somewhere", do="make room")
        write(*arguments)

    monkeypatch.setattr(fit, "save_checkpoint", full)
    with pytest.raises(OutputFailed, match=r"No space left.*after epoch 1 is kept"):
        train(frames, TASK, 1, small(), tmp_path / "run", checkpoint_every_s=0)
    monkeypatch.undo()
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", resume=True))


def test_what_cannot_be_trained_leaves_nothing_behind(prepared, tmp_path, monkeypatch):
    monkeypatch.delenv("TRIPLENET_ENCODER", raising=False)
    cases = [
        (recipe("triple", "encoder.weights=imagenet"), "auto", NoEncoderWeights),
        (recipe("triple", f"encoder.weights={tmp_path / 'absent.safetensors'}"), "auto", NoEncoderWeights),
        (recipe("triple", "augmentation.crop=65"), "auto", BadRecipe),
        (recipe("triple", "loss.class_weights=[1, 1, 1]"), "auto", BadRecipe),
        (recipe("triple"), "abacus", UnknownName),
    ]
    for chosen, device, error in cases:
        with pytest.raises(error):
            train(prepared, TASK, 1, chosen, tmp_path / "run", device=device)
        assert not list(tmp_path.iterdir())


def test_the_encoder_starts_from_the_file_and_the_model_names_only_the_file(prepared, tmp_path):
    torch.manual_seed(5)
    trunk = networks.build("baseline").encoder_state()
    (tmp_path / "weights").mkdir()
    save_file({name: value.contiguous() for name, value in trunk.items()}, tmp_path / "weights" / "mine.safetensors")
    settings = f"encoder.weights={tmp_path / 'weights' / 'mine.safetensors'}", "training.learning_rate=1e-30"
    run = train(prepared, TASK, 1, recipe("baseline", "training.epochs=1", *settings), tmp_path / "run")
    assert torch.equal(load_file(run.model)["network.encoder.conv1.weight"], trunk["conv1.weight"])
    assert run.info.encoder.name == "mine.safetensors"
    assert str(tmp_path) not in read_card(run.model).model_dump_json()
    assert read_card(run.model).recipe["encoder"] == {"weights": "mine.safetensors"}


def test_test_labels_change_nothing(run, prepared, tmp_path):
    test = {int(patient.removeprefix("p")) for patient in prepared.fold(1).test}

    def poisoned(row, finding):
        return {"none": "spot", "spot": "none"}[finding] if row in test else finding

    def noise(images, masks):
        masks[sorted(test)] = 2
        images[sorted(test)] = 255 - images[sorted(test)]

    other = train(
        write_toy(tmp_path / "set", FINDINGS, labels=poisoned, change=noise), TASK, 1, recipe(), tmp_path / "run"
    )
    weights, poisoned_weights = load_file(run.model), load_file(other.model)
    for name, value in weights.items():
        assert torch.equal(value, poisoned_weights[name]), name


def test_validation_labels_only_select(prepared, tmp_path):
    validation = {int(patient.removeprefix("p")) for patient in prepared.fold(1).validation}

    def poisoned(row, finding):
        return {"none": "spot", "spot": "none"}[finding] if row in validation else finding

    last = recipe("baseline", "training.keep=last")
    one = train(prepared, TASK, 1, last, tmp_path / "one")
    other = train(write_toy(tmp_path / "set", FINDINGS, labels=poisoned), TASK, 1, last, tmp_path / "other")
    assert one.info.best_epoch == other.info.best_epoch == 2
    for name, value in load_file(one.model).items():
        assert torch.equal(value, load_file(other.model)[name]), name
    accuracies = [[row["validation_accuracy"] for row in each.history()] for each in (one, other)]
    assert accuracies[0] == [1 - value for value in accuracies[1]]


def test_a_toy_that_can_be_learnt_is_learnt(prepared, tmp_path):
    settings = "training.epochs=8", "augmentation.rotation_degrees=20", "training.schedule=cosine"
    history = train(prepared, TASK, 1, recipe("triple", *settings), tmp_path / "run").history()
    first, last = history[0], history[-1]
    assert last["loss_classification"] < 0.3 * first["loss_classification"]
    assert last["loss_segmentation"] < 0.8 * first["loss_segmentation"]
    assert last["loss_contrastive"] < first["loss_contrastive"]
    assert last["training_accuracy"] > 0.9


def test_patients_without_finding_or_mask_still_teach(tmp_path):
    def unlabel(images, masks):
        masks[:4] = 255

    prepared = write_toy(tmp_path / "set", (*FINDINGS, None, None), change=unlabel)
    run = train(prepared, TASK, 1, recipe("triple", "training.epochs=1"), tmp_path / "run")
    assert run.info.patients["train"] == {"none": 6, "spot": 6, "": 2}


@pytest.mark.parametrize("method", ["resnet3d", "covnet"])
def test_3d_methods_train_on_frames(frames, tmp_path, method):
    settings = "training.epochs=1", "augmentation.crop=32"
    run = train(frames, TASK, 1, recipe(method, *settings), tmp_path / "run")
    model = load_model(run.model)
    assert (model.card.dimensions, model.card.frames, model.card.size, model.card.crop) == (3, 4, 40, 32)
    rows = frames.rows(run.predictions().patients)
    with torch.no_grad():
        probabilities = model.network(model.normalise(frames.frames[rows])).logits.softmax(1)
    np.testing.assert_allclose(run.predictions().probabilities, probabilities, atol=1e-5)


@pytest.mark.parametrize("method", ["wsdl", "abn", "mtdl", "triple-wsdl"])
def test_the_other_methods_train(prepared, tmp_path, method):
    run = train(prepared, TASK, 1, recipe(method, "training.epochs=1"), tmp_path / "run")
    assert run.complete


def test_the_whole_image_can_be_evaluated(prepared, tmp_path):
    run = train(prepared, TASK, 1, recipe("baseline", "training.epochs=1", "evaluation.crop=whole"), tmp_path / "run")
    assert read_card(run.model).crop == 64


@pytest.mark.parametrize("method", ["covnet", "decovnet"])
def test_3d_methods_may_read_the_lungs_of_the_frames(tmp_path, method):
    lungs = write_toy(tmp_path / "set", FINDINGS, size=40, frames=4, lungs=True)
    settings = ["network.lung_mask=true", "training.epochs=1", "augmentation.crop=32"]
    if method == "decovnet":
        settings.append("network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]")
    run = train(lungs, TASK, 1, recipe(method, *settings), tmp_path / "run")
    model = load_model(run.model)
    rows = lungs.rows(run.predictions().patients)
    inside = np.unpackbits(lungs.frame_lungs[rows], axis=-1)
    with torch.no_grad():
        images = model.normalise(lungs.frames[rows], inside)
        assert images.shape[1] == 2
        probabilities = model.network(images).logits.softmax(1)
    np.testing.assert_allclose(run.predictions().probabilities, probabilities, atol=1e-5)


def test_a_slice_method_may_read_the_true_infection_for_comparison(prepared, tmp_path):
    settings = ("network.attention=true-mask", "training.epochs=1")
    run = train(prepared, TASK, 1, recipe("triple", *settings), tmp_path / "run")
    model = load_model(run.model)
    rows = prepared.rows(run.predictions().patients)
    with torch.no_grad():
        images = model.normalise(prepared.images[rows], (prepared.masks[rows] == 2).astype(np.uint8))
        probabilities = model.network(images).logits.softmax(1)
    np.testing.assert_allclose(run.predictions().probabilities, probabilities, atol=1e-5)
    scored = score_run(model, prepared, run.predictions().patients[:4], ScoreOptions(asked=1, randomised=1, copies=1))
    assert len(scored.asked) == 2 and {one.map for one in scored.maps} == {"own", "class"}
    with pytest.raises(BadModel, match="which no new scan has"):
        load_runtime(run.model)
    with pytest.raises(BadModel, match="which no new scan has"):
        export(run.folder, tmp_path / "model.onnx")


def test_an_infection_that_nobody_knows_cannot_be_read(prepared, tmp_path):
    half = [replace(one, labelled="lung") if row % 2 else one for row, one in enumerate(prepared.patients)]
    unknown, asked = replace(prepared, patients=half), recipe("triple", "network.attention=true-mask")
    with pytest.raises(BadPreparedSet, match=r"true infection would be read, and \d+ patients have no mask"):
        train(unknown, TASK, 1, asked, tmp_path / "run")


def test_lungs_that_are_not_there_are_asked_for(frames, tmp_path):
    with pytest.raises(BadPreparedSet, match="--frame-lungs"):
        train(frames, TASK, 1, recipe("covnet", "network.lung_mask=true", "augmentation.crop=32"), tmp_path / "run")


def test_streamed_data_gives_the_bits_of_resident_data(small_run, frames, tmp_path):
    assert same(small_run, train(frames, TASK, 1, small(), tmp_path / "run", stream=True))


def test_averaged_weights_are_kept_and_survive_a_stop(frames, tmp_path):
    averaged = small("training.average=ema", "training.average_decay=0.5", "training.keep=last")
    whole = train(frames, TASK, 1, averaged, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(frames, TASK, 1, averaged, tmp_path / "run", on_step=Stop(8), checkpoint_every_s=0)
    assert same(whole, train(frames, TASK, 1, averaged, tmp_path / "run", resume=True))
    plain = train(frames, TASK, 1, small("training.keep=last"), tmp_path / "plain")
    name = "network.encoder.0.weight"
    assert not torch.equal(load_file(whole.model)[name], load_file(plain.model)[name])


def test_a_run_stops_early_when_the_score_does_not_improve(frames, tmp_path):
    still = small("training.patience=2", "training.epochs=9", "training.learning_rate=1e-30")
    run = train(frames, TASK, 1, still, tmp_path / "run")
    assert run.complete
    assert (run.info.epochs, run.info.best_epoch) == (3, 0)
    assert len(run.history()) == 3


def test_micro_batches_are_of_four_patients_in_3d_and_change_no_step_count(frames, tmp_path):
    counted = []
    settings = "training.batch=12", "training.epochs=1", "network.dropout=0"
    run = train(frames, TASK, 1, small(*settings), tmp_path / "run", on_step=lambda *step: counted.append(step))
    assert counted == [(0, 1, 1)]
    whole = train(frames, TASK, 1, small(*settings, "training.micro_batch=whole"), tmp_path / "whole")
    # Batch norm sees four patients instead of twelve, so the losses are near, not the same.
    losses = [one.history()[0]["loss_total"] for one in (run, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=0.1) and losses[0] != losses[1]


def test_balanced_sampling_and_deterministic_algorithms_train(prepared, tmp_path):
    chosen = recipe("triple", "training.sampler=balanced", "training.epochs=1", "training.schedule=linear")
    run = train(prepared, TASK, 1, chosen, tmp_path / "run", deterministic=True)
    assert run.info.hardware.deterministic
    assert not torch.are_deterministic_algorithms_enabled()


def test_tensorboard_and_mlflow_follow_through_a_stop(frames, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="needs the extra `track`")
    mlflow = pytest.importorskip("mlflow", reason="needs the extra `track`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'mlruns'}")
    follow = {"track": ("tensorboard", "mlflow"), "checkpoint_every_s": 0}
    with pytest.raises(Interrupted):
        fit.train_recipe(frames, TASK, 1, small(), tmp_path / "run", on_step=Stop(8), **follow)
    run = fit.train_recipe(frames, TASK, 1, small(), tmp_path / "run", resume=True, **follow)
    events = EventAccumulator(str(run.folder / TENSORBOARD)).Reload()
    losses = [row["loss_total"] for row in run.history()]
    assert [event.step for event in events.Scalars("loss/total")] == [0, 1, 2]
    names = [path.name for path in (run.folder / TENSORBOARD).iterdir()]
    assert len(names) == 2 and all(re.fullmatch(r"events\.out\.tfevents\.\d+", name) for name in names)  # no machine
    assert [event.value for event in events.Scalars("loss/total")] == pytest.approx(losses)
    identity = (run.folder / "mlflow.txt").read_text().strip()
    told = mlflow.MlflowClient().get_metric_history(identity, "loss/total")
    assert [(one.step, one.value) for one in told] == [(step, pytest.approx(loss)) for step, loss in enumerate(losses)]
    assert mlflow.get_run(identity).data.params["method"] == "decovnet"


def test_a_tracker_that_is_not_installed_is_named(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("triplenet.training.trackers.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="mlflow"):
        fit.train_recipe(frames, TASK, 1, small(), tmp_path / "run", track=("mlflow",))
    assert not (tmp_path / "run").exists()


def test_a_compiled_network_trains(frames, tmp_path, monkeypatch):
    compiled = []

    def traced(network, **options):
        """What torch.compile does but for making machine code, which takes a minute and a compiler."""
        compiled.append(network)
        return real(network, backend="eager")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", traced)
    monkeypatch.setattr(fit, "check_compiler", lambda device: None)
    settings = "training.epochs=1", "network.dropout=0"
    plain = train(frames, TASK, 1, small(*settings), tmp_path / "plain")
    run = train(frames, TASK, 1, small(*settings, "training.compile=true"), tmp_path / "compiled")
    assert len(compiled) == 1
    assert run.history()[0]["loss_total"] == pytest.approx(plain.history()[0]["loss_total"], rel=1e-3)


def test_compiling_without_a_compiler_is_refused(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BadRecipe, match=r"a C\+\+ compiler"):
        train(frames, TASK, 1, small("training.compile=true"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


class Eager:
    """A recorder that does what it was told each time."""

    def __init__(self, device):
        self.work, self.replayed = None, 0

    def run_aside(self, work):
        work()

    def record(self, work):
        self.work = work

    def replay(self):
        self.replayed += 1
        self.work()


def test_a_recorded_training_is_the_ordinary_one_through_a_stop(frames, small_run, tmp_path, monkeypatch):
    made = []
    optimiser = fit.make_optimiser
    monkeypatch.setattr(fit, "CudaRecorder", lambda device: made.append(Eager(device)) or made[-1])
    monkeypatch.setattr(fit, "_check_cuda_graph", lambda recipe, device, team: None)
    # The processor's Adam has its rate in hand.
    monkeypatch.setattr(fit, "make_optimiser", lambda network, recipe, device: optimiser(network, PLAIN, device))
    recorded = small("training.cuda_graph=true")
    with pytest.raises(Interrupted):
        train(frames, TASK, 1, recorded, tmp_path / "run", on_step=Stop(5), checkpoint_every_s=0)
    run = train(frames, TASK, 1, recorded, tmp_path / "run", resume=True)
    assert len(made) == 2 and all(one.replayed for one in made)
    assert same(small_run, run)


PLAIN = small().training


def test_recording_without_a_cuda_gpu_is_refused(frames, tmp_path):
    with pytest.raises(BadRecipe, match=r"training\.cuda_graph: the cpu records no CUDA graph"):
        train(frames, TASK, 1, small("training.cuda_graph=true"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "settings", "processes", "fault"),
    [
        ("triple", (), 1, None),
        ("triple", ("training.micro_batch=2",), 1, "triple compares the patients"),
        ("abn", ("training.micro_batch=2",), 1, None),
        ("resnet3d", (), 1, None),
        ("baseline", (), 2, "several processes share cannot be recorded"),
    ],
)
def test_what_a_recorded_step_cannot_be_is_refused(method, settings, processes, fault):
    chosen = recipe(method, "training.batch=8", *settings)
    team = ProcessTeam(count=processes)
    if fault is None:
        fit._check_cuda_graph(chosen, torch.device("cuda"), team)
        return
    with pytest.raises(BadRecipe, match=fault):
        fit._check_cuda_graph(chosen, torch.device("cuda"), team)
