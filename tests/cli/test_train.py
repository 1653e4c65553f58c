import json

import pytest
import typer
from typer.testing import CliRunner

from toy_prepared import write_toy
from triplenet.cli import train, verify
from triplenet.errors import BadModel, BadPreparedSet, BadRecipe, RunMismatch
from triplenet.training import open_run

TASK_FILE = 'name = "toy"\nclasses = ["none", "spot"]\n[findings]\nnone = "none"\nspot = "spot"\n'
SMALL = (
    "--encoder=none",
    "--set=augmentation.crop=32",
    "--set=training.batch=4",
    "--set=training.epochs=2",
    "--set=network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]",
)

app = typer.Typer()
app.command()(train.train)
app.command()(verify.verify)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_toy(folder / "set", ("none", "spot") * 9, size=40, frames=4)
    (folder / "task.toml").write_text(TASK_FILE)
    return folder


def call(*arguments):
    """What is printed on standard output; errors come through as they are."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def training(folder, out, *more):
    named = ("--method=decovnet", f"--task={folder / 'task.toml'}", "--fold=2", f"--out={out}")
    return call("train", folder / "set", *named, *SMALL, *more)


def test_train_makes_a_run_and_verify_says_what_its_model_is(folder, tmp_path):
    said = training(folder, tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.complete
    assert (run.info.fold, run.info.epochs, run.info.method) == (2, 2, "decovnet")
    assert f"kept epoch {run.info.best_epoch + 1}" in said  # people count from one
    described = call("verify", run.model)
    for text in ("DeCovNet", "none, spot*", "-1000 to -500 HU", "4 frames", "checksum right", "not a medical device"):
        assert text in described
    record = json.loads(call("verify", run.model, "--json"))
    assert (record["method"], record["checksum"], record["crop"]) == ("decovnet", True, 32)


def test_json_is_one_object_on_standard_output(folder, tmp_path):
    record = json.loads(training(folder, tmp_path / "run", "--json"))
    assert record["status"] == "complete"
    assert record["run"] == str(tmp_path / "run")
    assert record["recipe"]["training"]["epochs"] == 2


def test_resume_passes_on_what_differs(folder, tmp_path):
    training(folder, tmp_path / "run")
    assert "2 epochs" in training(folder, tmp_path / "run", "--resume")
    with pytest.raises(RunMismatch, match=r"training\.epochs: 2, not 3"):
        training(folder, tmp_path / "run", "--resume", "--set=training.epochs=3")


def test_several_seeds_are_a_run_each(folder, tmp_path):
    record = json.loads(training(folder, tmp_path / "runs", "--seeds=3,1", "--set=training.epochs=1", "--json"))
    assert [run["run"] for run in record["runs"]] == [str(tmp_path / "runs" / name) for name in ("seed-3", "seed-1")]
    assert [open_run(tmp_path / "runs" / f"seed-{seed}").recipe.training.seed for seed in (3, 1)] == [3, 1]
    before = (tmp_path / "runs" / "seed-3" / "run.json").read_bytes()
    training(folder, tmp_path / "runs", "--seeds=3,1,2", "--set=training.epochs=1", "--resume")
    assert (tmp_path / "runs" / "seed-3" / "run.json").read_bytes() == before
    assert open_run(tmp_path / "runs" / "seed-2").complete


@pytest.mark.parametrize(
    "option", ["--seeds=1,1", "--seeds=a", "--seeds=-1", "--track=wandb", "--restart-schedule", "--fold=4"]
)
def test_wrong_usage_is_named_and_leaves_nothing(folder, tmp_path, option):
    arguments = ["train", folder / "set", "--method=decovnet", f"--task={folder / 'task.toml'}", option]
    result = CliRunner().invoke(app, [*map(str, arguments), f"--out={tmp_path / 'run'}"])
    assert result.exit_code == 2
    assert option.partition("=")[0] in result.output
    assert not list(tmp_path.iterdir())


def test_a_run_is_followed_by_tensorboard_unless_told_otherwise(folder, tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra `track`")
    training(folder, tmp_path / "followed", "--set=training.epochs=1")
    training(folder, tmp_path / "alone", "--set=training.epochs=1", "--track=none")
    assert (tmp_path / "followed" / "tensorboard").is_dir()
    assert not (tmp_path / "alone" / "tensorboard").exists()


def test_bad_input_is_refused_before_anything_is_written(folder, tmp_path):
    with pytest.raises(BadRecipe, match=r"training\.epochs"):
        training(folder, tmp_path / "run", "--set=training.epoch=3")
    damaged = tmp_path / "damaged"
    write_toy(damaged, ("none", "spot") * 9, size=40, frames=4)
    images = bytearray((damaged / "images.npy").read_bytes())
    images[-1] ^= 1
    (damaged / "images.npy").write_bytes(images)
    with pytest.raises(BadPreparedSet, match=r"images\.npy"):
        call("train", damaged, "--method=baseline", f"--task={folder / 'task.toml'}", f"--out={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_verify_refuses_a_damaged_file(folder, tmp_path):
    training(folder, tmp_path / "run")
    content = bytearray((tmp_path / "run" / "model.safetensors").read_bytes())
    content[-5000] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(BadModel):
        call("verify", tmp_path / "bad.safetensors")
