import shutil

import numpy as np
import pytest

from toy_prepared import TASK, write_toy
from triplenet.errors import BadRun, PathMissing
from triplenet.training import Predictions, load_recipe, open_run, train_recipe
from triplenet.training.run import write_history, write_predictions


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    prepared = write_toy(folder / "set", ("none", "spot") * 9, size=40, frames=4)
    settings = [
        "training.epochs=1",
        "training.batch=4",
        "augmentation.crop=32",
        "network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]",
    ]
    return train_recipe(prepared, TASK, 1, load_recipe(method="decovnet", settings=settings), folder / "run").folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(PathMissing):
        open_run(tmp_path / "absent")
    with pytest.raises(BadRun, match=r"no run\.json"):
        open_run(tmp_path)


def test_damaged_files_are_refused(folder):
    open_run(folder).predictions()
    (folder / "predictions.csv").write_text("patient,partition\np1,test\n")
    with pytest.raises(BadRun, match="damaged"):
        open_run(folder).predictions()
    (folder / "history.csv").write_text("epoch,seconds\n0,fast\n")
    with pytest.raises(BadRun, match="damaged"):
        open_run(folder).history()
    (folder / "history.csv").unlink()
    with pytest.raises(BadRun):
        open_run(folder).history()
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text[:-20])
    with pytest.raises(BadRun):
        open_run(folder)
    (folder / "run.json").write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(BadRun):
        open_run(folder)


def test_an_unfinished_run_has_no_predictions(folder):
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"complete"', '"running"'))
    run = open_run(folder)
    assert not run.complete
    with pytest.raises(BadRun, match="--resume"):
        run.predictions()


def test_predictions_are_read_as_they_were_written(folder):
    probabilities = np.random.default_rng(0).dirichlet([1, 1], 5).astype(np.float32)
    probabilities[0] = 0.5, 0.5
    written = Predictions(
        tuple("abcde"), ("validation", "test", "test", "validation", "test"), np.array([0, 1, 1, 0, 1]), probabilities
    )
    write_predictions(folder, written, TASK.classes)
    read = open_run(folder).predictions()
    assert np.array_equal(read.probabilities.astype(np.float32), probabilities)
    assert read.predicted[0] == 0  # the first class on a tie
    assert read.patients == written.patients
    assert read.of("test").patients == ("b", "c", "e")
    assert np.array_equal(read.of("test").labels, [1, 1, 1])


def test_history_is_read_as_it_was_written(folder):
    write_history(folder, [{"epoch": 0, "loss": 0.1 + 0.2, "auc": None, "best": True}])
    assert open_run(folder).history() == [{"epoch": 0, "loss": 0.1 + 0.2, "auc": None, "best": 1}]
