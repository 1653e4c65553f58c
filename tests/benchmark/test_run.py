"""A benchmark's trainings: killed, failed, restarted, kept."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from triplenet.benchmark import Machine, run_benchmark
from triplenet.benchmark.records import read_record, record_path, run_folder
from triplenet.errors import BadRun, OutputExists, RunMismatch
from triplenet.training import open_run
from triplenet.training.run import locked

HERE = Machine("cpu", workers=1, checkpoint_every_s=0)


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "triplenet", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)
    return found


def results(folder):
    """Run -> the hashes of its model and predictions."""
    return {
        path.parent.relative_to(folder): {
            name: digest for name, digest in open_run(path.parent).info.files.items() if name != "history.csv"
        }
        for path in folder.rglob("model.safetensors")
    }


def rows(folder):
    with (folder / "runs.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """Two runs, of fold 1 and fold 2."""
    out = tmp_path_factory.mktemp("finished") / "out"
    return run_benchmark(toy.plan(folds=(1, 2), settings=["training.epochs=20"]), out, HERE)


def test_every_job_is_a_run_of_its_own(toy, finished):
    assert [run.info.fold for run in finished.runs.values()] == [1, 2]
    for job, run in finished.runs.items():
        assert run.folder == run_folder(finished.folder, job)
        assert run.info.recipe == finished.plan.recipe(job).dump()
        assert run.info.hardware.threads >= 1
    assert [row["status"] for row in rows(finished.folder)] == ["complete", "complete"]


def test_a_benchmark_killed_in_the_middle_and_started_again_comes_to_the_same(toy, finished, tmp_path):
    command = toy.command(
        tmp_path / "out", "--device=cpu", "--workers=1", "--json", folds="1,2", settings=["training.epochs=20"]
    )
    process = start(command)
    history = run_folder(tmp_path / "out", next(iter(finished.runs))) / "history.csv"
    wait_for(lambda: history.is_file() and len(history.read_text().splitlines()) > 2)
    (worker,) = children(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), 20)  # nobody goes on alone
    assert not results(tmp_path / "out")
    again = start(command)
    answer = json.loads(again.communicate()[0])
    assert again.returncode == 0
    assert (answer["runs"], answer["kept"], answer["failed"]) == (2, 0, [])
    assert results(tmp_path / "out") == results(finished.folder)
    assert open_run(history.parent).info.resumed == 1


def test_finished_runs_are_kept(toy, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.safetensors")}
    again = run_benchmark(finished.plan, finished.folder, HERE)
    assert set(again.kept) == set(again.runs) == set(finished.runs)
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.safetensors")} == before


def test_runs_of_another_recipe_are_refused_or_trained_anew(toy, finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "out")
    other = toy.plan(settings=["training.epochs=20", "training.learning_rate=0.01"])
    with pytest.raises(RunMismatch, match=r"decovnet, fold 1, seed 0.*learning_rate: 0\.\d+, not 0\.01.*--restart"):
        run_benchmark(other, tmp_path / "out", HERE)
    found = run_benchmark(other, tmp_path / "out", HERE, restart=True)
    (run,) = found.runs.values()
    assert run.recipe.training.learning_rate == 0.01
    assert not found.kept


def test_a_lost_worker_costs_nothing_and_a_failing_run_only_itself(toy, tmp_path):
    # Fold 1 fails by its learning rate; of fold 2 the process is killed once.
    command = toy.command(
        tmp_path / "out",
        "--device=cpu",
        "--workers=1",
        "--json",
        methods="decovnet,baseline",
        settings=["baseline:augmentation.crop=64", "training.epochs=60"],
    )
    process = start(command)
    history = tmp_path / "out" / "runs" / "decovnet" / "fold-1" / "seed-0" / "history.csv"
    wait_for(history.is_file)
    (worker,) = children(process)
    os.kill(worker, signal.SIGKILL)
    answer = json.loads(process.communicate()[0])
    assert process.returncode == 3
    assert answer["runs"] == 1
    (failed,) = answer["failed"]
    assert (failed["method"], failed["code"]) == ("baseline", "BAD_RECIPE")
    assert open_run(history.parent).info.epochs == 60
    table = {row["method"]: row for row in rows(tmp_path / "out")}
    assert table["decovnet"]["status"] == "complete"
    assert table["baseline"]["status"] == "failed"
    assert table["baseline"]["code"] == "BAD_RECIPE"
    assert "crop" in table["baseline"]["text"]


def test_a_worker_that_is_lost_again_and_again_is_a_failure_with_a_code(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # no Python starts with this
    found = run_benchmark(toy.plan(), tmp_path / "out", HERE)
    (failure,) = found.failures.values()
    assert failure.code == "WORKER_LOST"
    assert not found.runs
    (job,) = found.failures
    record = read_record(record_path(tmp_path / "out", job))
    assert record is not None
    assert record.failure == failure


def test_a_folder_of_something_else_is_refused(toy, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(OutputExists):
        run_benchmark(toy.plan(), tmp_path, HERE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_work_in_one_folder(toy, finished):
    with locked(finished.folder), pytest.raises(BadRun, match="another process"):
        run_benchmark(finished.plan, finished.folder, HERE)
