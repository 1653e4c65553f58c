"""Results travel; they do not tell where, by whom or on which machine they were made."""

import os
import shutil
import socket
import sys

import pytest

from toy_prepared import write_toy
from triplenet.benchmark.records import Failure, hide_places
from triplenet.errors import BadPreparedSet
from triplenet.explanation.cases import open_prepared
from triplenet.relative_paths import argument_shown
from triplenet.training import open_run

TASK_FILE = 'name = "toy"\nclasses = ["none", "spot"]\npositive = ["spot"]\n[findings]\nnone = "none"\nspot = "spot"\n'


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder that tells a name, with a run and a benchmark of one method."""
    folder = tmp_path_factory.mktemp("study") / "Anna Example"
    folder.mkdir()
    write_toy(folder / "set", ("none", "spot") * 9, size=40)
    (folder / "task.toml").write_text(TASK_FILE)
    return folder


def told(folder):
    """Files that tell a name, a path or the machine."""
    machine, signs = socket.gethostname(), [b"Anna", str(folder.parents[1]).encode(), sys.prefix.encode()]
    if len(machine) > 4:
        signs.append(machine.encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if machine in path.name or any(sign in path.read_bytes() for sign in signs)]


@pytest.mark.slow
def test_every_verb_keeps_its_place_to_itself(triplenet, study):
    small = ["--task", study / "task.toml", "--encoder", "none", "--set", "training.epochs=1", "--set"]
    small += ["training.batch=4", "--set", "augmentation.crop=36"]
    for verb in (
        ["train", study / "set", "--method", "baseline", "--out", study / "run", *small],
        ["evaluate", study / "run"],
        ["explain", study / "run", "--out", study / "maps", "--limit", "2"],
        ["export", study / "run" / "model.safetensors", "--out", study / "exported" / "model.onnx"],
        ["export", study / "run" / "model.safetensors", "--out", study / "exported" / "model.pt2"],
        ["benchmark", study / "set", "--methods", "baseline", "--folds", "1", "--out", study / "bench", *small],
    ):
        done = triplenet(*verb)
        assert done.returncode == 0, done.stderr
    for name in ("run", "maps", "exported", "bench"):
        assert told(study / name) == []
    run = open_run(study / "run")
    assert run.info.prepared == "../set"
    assert open_prepared(run).folder.resolve() == (study / "set").resolve()
    moved = shutil.move(study, study.with_name("Bert Example"))
    assert (
        open_prepared(open_run(moved / "bench" / "runs" / "baseline" / "fold-1" / "seed-0")).info
        == open_prepared(open_run(moved / "run")).info
    )


def test_a_failure_and_a_log_name_paths_as_seen_from_the_benchmark(tmp_path):
    out, prepared = tmp_path / "Anna" / "bench", tmp_path / "Anna" / "set"
    error = BadPreparedSet("was cut while it was read", where=prepared / "images.npy")
    assert Failure.of(error, out, prepared).text == "was cut while it was read: ../set/images.npy"
    out.mkdir(parents=True)
    log = out / "seed-0.log"
    log.write_text(f'  File "{os.__file__}", line 1\n{out}/runs/a: {prepared}\n')
    hide_places(log, out, prepared)
    text = log.read_text()
    assert str(tmp_path) not in text and sys.prefix not in text and sys.base_prefix not in text
    assert "runs/a: ../set\n" in text


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("/home/anna/set", "set"),
        ("~/set", "set"),
        ("--out=/home/anna/a=b/bench", "--out=bench"),
        ("/home/anna/a=b/c", "c"),
        ("encoder.weights=/home/anna/vgg16.pth", "encoder.weights=vgg16.pth"),
        ("triple:encoder.weights='/home/anna/vgg16.pth'", "triple:encoder.weights=vgg16.pth"),
        ("prepared/set", "prepared/set"),
        ("training.epochs=3", "training.epochs=3"),
        ("--json", "--json"),
        ("/", "/"),
    ],
)
def test_an_argument_is_shown_without_the_place(argument, shown):
    assert argument_shown(argument) == shown
