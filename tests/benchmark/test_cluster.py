"""Trainings on a Ray cluster of two nodes on this machine."""

import os
import signal
from pathlib import Path

import pytest

from triplenet.benchmark import Machine, run_benchmark
from triplenet.benchmark.records import run_folder

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'triplenet[ray]'")


@pytest.fixture
def address(monkeypatch):
    """Of a cluster of two nodes with one processor each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    sizes = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
    cluster.add_node(**sizes)
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


def training_process(folder):
    """The process that holds the run's folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if any(path.resolve() == folder for path in (entry / "fd").iterdir()):
                    return int(entry.name)
            except OSError:
                continue
    return None


@pytest.mark.slow
def test_two_nodes_train_and_a_killed_task_is_begun_again(toy, address, tmp_path):
    """Both folds run at once, one a node; the process of one of them is killed and its run goes on."""
    plan = toy.plan(folds=(1, 2), settings=["training.epochs=30"])
    machine = Machine("cpu", ray=address, checkpoint_every_s=0)
    seen, killed = set(), []

    def on_progress(progress_of):
        running = tuple(job for job, progress in progress_of.items() if progress.state == "running")
        seen.add(len(running))
        for job in running:
            if not killed and progress_of[job].epochs > 1:
                process = training_process(run_folder(tmp_path.resolve() / "out", job))
                if process is not None:
                    os.kill(process, signal.SIGKILL)
                    killed.append(job)

    found = run_benchmark(plan, tmp_path / "out", machine, on_progress=on_progress)
    assert not found.failures
    assert len(found.runs) == 2
    assert 2 in seen
    assert found.runs[killed[0]].info.resumed == 1
    assert all(run.info.epochs == 30 for run in found.runs.values())
