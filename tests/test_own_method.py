"""The example of a method in a package of its own: installed, listed, trained, compared, tested as our own are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toy_prepared import write_toy
from triplenet.errors import BadModel
from triplenet.model import load_model, read_card

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "own_method"
TASK = 'name = "toy"\nclasses = ["none", "spot"]\n[findings]\nnone = "none"\nspot = "spot"\n'
SMALL = ("--encoder=none", "--set=augmentation.crop=32", "--set=training.batch=4", "--set=training.epochs=2")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the installed example, a prepared set and a task."""
    pytest.importorskip("setuptools", reason="builds the example")
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(EXAMPLE, folder / "source")  # building leaves files beside it
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--quiet")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", folder / "site", folder / "source"]
    subprocess.run(command, check=True)
    write_toy(folder / "set", ("none", "spot") * 9, size=40)
    (folder / "task.toml").write_text(TASK)
    return folder


def call(place, *arguments, code=0):
    """Python with the example installed; what is printed on standard output."""
    paths = os.pathsep.join([str(place / "site"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(place):
    verb = ("triplenet", "train", place / "set", "--method=small-cnn", f"--task={place / 'task.toml'}")
    call(place, *verb, f"--out={place / 'run'}", "--set=loss.weights.focal=0.5", *SMALL)
    return place / "run"


def test_it_is_listed_with_its_package_and_options(place):
    listed = {one["name"]: one for one in json.loads(call(place, "triplenet", "methods", "--json"))["methods"]}
    assert listed["small-cnn"]["package"] == "own-method 0.1.0"
    assert listed["small-cnn"]["options"] == {"width": 16}
    assert len(listed) == 11


def test_it_trains_with_its_own_loss_and_its_weight(run):
    info = json.loads((run / "run.json").read_text())
    assert info["versions"]["own-method"] == "0.1.0"
    assert info["recipe"]["loss"]["weights"]["focal"] == 0.5
    assert "loss_focal" in (run / "history.csv").read_text().splitlines()[0]


def test_its_model_is_used_where_it_is_installed(place, run):
    call(place, "triplenet", "explain", run, f"--out={place / 'explained'}")
    assert len(list((place / "explained").glob("patient-*.png"))) == 4


def test_its_model_says_what_to_install_where_it_is_not(run):
    assert read_card(run / "model.safetensors").method == "small-cnn"
    with pytest.raises(BadModel, match=r"no method 'small-cnn' here.*install own-method 0\.1\.0"):
        load_model(run / "model.safetensors")


def test_it_is_compared_with_ours_and_its_source_decides_whether_a_run_is_kept(place):
    arguments = (
        "triplenet",
        "benchmark",
        place / "set",
        f"--task={place / 'task.toml'}",
        f"--out={place / 'compared'}",
    )
    more = ("--methods=small-cnn", "--folds=1", "--no-figures", "--json", *SMALL)
    made = json.loads(call(place, *arguments, *more))
    assert made["methods"] == ["small-cnn"] and made["runs"] == 1
    assert json.loads(call(place, *arguments, *more))["kept"] == 1
    with (place / "site" / "own_method" / "network.py").open("a") as stream:
        stream.write("# changed\n")
    call(place, *arguments, *more, code=1)


def test_the_tests_that_every_method_inherits_run_on_it(place):
    suites = (
        "tests/networks/test_every_method.py",
        "tests/losses/test_objective.py",
        "tests/export/test_every_method.py",
    )
    said = call(place, "pytest", "--no-cov", "-q", "-p", "no:cacheprovider", *suites, "-k", "small-cnn")
    assert int(said.rsplit(" passed", 1)[0].rsplit(maxsplit=1)[-1]) >= 20
