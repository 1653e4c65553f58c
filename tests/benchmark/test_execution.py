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
import torch
from safetensors.torch import save_file

from triplenet import networks
from triplenet.benchmark import Machine, run_benchmark
from triplenet.benchmark.records import read_record, record_path, run_folder
from triplenet.errors import BadRecipe, BadRun, OutputExists, RunMismatch, UnknownName
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
    """A benchmark of one run that nothing disturbed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    return run_benchmark(toy.plan(settings=["training.epochs=8"]), out, HERE)


def test_every_job_is_a_run_of_its_own(toy, finished):
    for job, run in finished.runs.items():
        assert run.folder == run_folder(finished.folder, job)
        assert run.info.recipe == finished.plan.recipe(job).dump()
        assert run.info.hardware.threads >= 1
    assert [row["status"] for row in rows(finished.folder)] == ["complete"]


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_benchmark_cost_nothing_and_a_failing_run_only_itself(toy, finished, tmp_path):
    """First the worker is killed, and replaced; then the benchmark, and started again. The other method fails."""
    out = tmp_path / "out"
    command = toy.command(
        out,
        "--device=cpu",
        "--workers=1",
        "--json",
        methods="decovnet,baseline",
        settings=["baseline:loss.class_weights=[1,2,3]", "decovnet:training.epochs=8"],
    )
    process = start(command)
    (job,) = finished.runs
    history = run_folder(out, job) / "history.csv"
    wait_for(lambda: history.is_file())
    (worker,) = children(process)
    os.kill(worker, signal.SIGKILL)
    history.unlink()
    wait_for(lambda: history.is_file() and len(history.read_text().splitlines()) > 1)
    (worker,) = children(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), 20)  # nobody goes on alone
    assert not results(out)

    again = start(command)
    answer = json.loads(again.communicate()[0])
    assert again.returncode == 3
    assert (answer["runs"], answer["kept"]) == (1, 0)
    assert results(out) == results(finished.folder)
    assert open_run(history.parent).info.resumed == 2
    (failed,) = answer["failed"]
    assert (failed["method"], failed["code"]) == ("baseline", "BAD_RECIPE")
    table = {row["method"]: row for row in rows(out)}
    assert table["decovnet"]["status"] == "complete"
    assert (table["baseline"]["status"], table["baseline"]["code"]) == ("failed", "BAD_RECIPE")
    assert "class_weights" in table["baseline"]["text"]
    page = (out / "report.html").read_text()
    assert "DeCovNet" in page
    assert "BAD_RECIPE" in page
    assert "failed" in (out / "tables" / "table2.md").read_text()


def test_finished_runs_are_kept(toy, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.safetensors")}
    again = run_benchmark(finished.plan, finished.folder, HERE)
    assert set(again.kept) == set(again.runs) == set(finished.runs)
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.safetensors")} == before


def changed(path):
    path.write_text(path.read_text().replace(",test,none", ",test,spot"))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("predictions.csv", changed),
        ("predictions.csv", Path.unlink),
        ("model.safetensors", truncated),
        ("history.csv", truncated),
        ("run.json", truncated),
    ],
)
def test_a_finished_run_that_was_damaged_is_a_failure_that_says_what_mends_it(finished, tmp_path, name, damage):
    shutil.copytree(finished.folder, tmp_path / "out")
    (job,) = finished.runs
    damage(run_folder(tmp_path / "out", job) / name)
    found = run_benchmark(finished.plan, tmp_path / "out", HERE)
    assert found.failures[job].code == "BAD_RUN"
    assert "--restart" in found.failures[job].text
    assert not found.runs and not found.kept


def test_what_is_damaged_is_trained_anew_to_the_same_bits(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "out")
    (job,) = finished.runs
    truncated(run_folder(tmp_path / "out", job) / "model.safetensors")
    truncated(record_path(tmp_path / "out", job))
    with pytest.raises(BadRun, match="damaged"):
        run_benchmark(finished.plan, tmp_path / "out", HERE)
    found = run_benchmark(finished.plan, tmp_path / "out", HERE, restart=True)
    assert not found.kept and not found.failures
    assert results(tmp_path / "out") == results(finished.folder)


def test_the_encoders_file_counts_by_what_it_holds(toy, tmp_path, monkeypatch):
    """Another path to the same weights keeps the runs; other weights under the same path do not."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    trunk = networks.build("resnet3d").encoder_state()
    save_file({name: value.contiguous() for name, value in trunk.items()}, "first.safetensors")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy("first.safetensors", "elsewhere/second.safetensors")

    def plan(weights):
        return toy.plan(("resnet3d",), [f"encoder.weights={weights}", "training.epochs=1"])

    first = run_benchmark(plan("first.safetensors"), tmp_path / "out", HERE)
    assert len(first.runs) == 1
    again = run_benchmark(plan(tmp_path / "elsewhere" / "second.safetensors"), tmp_path / "out", HERE)
    assert set(again.kept) == set(first.runs)
    gone = run_benchmark(plan("not-there.safetensors"), tmp_path / "out", HERE)  # to look at, its file is not needed
    assert set(gone.kept) == set(first.runs)
    other = {name: value + 1 if value.is_floating_point() else value for name, value in trunk.items()}
    save_file({name: value.contiguous() for name, value in other.items()}, "first.safetensors")
    with pytest.raises(RunMismatch, match="another encoder file"):
        run_benchmark(plan("first.safetensors"), tmp_path / "out", HERE)


def test_a_crop_larger_than_the_images_stops_before_any_worker_starts(toy, tmp_path):
    with pytest.raises(BadRecipe, match=r"augmentation\.crop: 41 .* 40 x 40"):
        run_benchmark(toy.plan(settings=["augmentation.crop=41"]), tmp_path / "out", HERE)
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_not_there_is_refused_at_once(toy, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UnknownName, match="no GPU"):
        run_benchmark(toy.plan(), tmp_path / "out", Machine("cuda"))
    assert not (tmp_path / "out").exists()


def test_runs_of_another_recipe_are_refused_or_trained_anew(toy, finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "out")
    other = toy.plan(settings=["training.epochs=8", "training.learning_rate=0.01"])
    with pytest.raises(RunMismatch, match=r"decovnet, fold 1, seed 0.*learning_rate: 0\.\d+, not 0\.01.*--restart"):
        run_benchmark(other, tmp_path / "out", HERE)
    found = run_benchmark(other, tmp_path / "out", HERE, restart=True)
    (run,) = found.runs.values()
    assert run.recipe.training.learning_rate == 0.01
    assert not found.kept


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
