"""How a machine is shared among the trainings."""

import json
import sys
from types import SimpleNamespace

import pytest

from triplenet.benchmark import Job, local
from triplenet.benchmark.local import WorkerShare, share_machine
from triplenet.benchmark.progress import RunProgress


@pytest.fixture
def machine(monkeypatch):
    """A machine of any size."""

    def make(*, processors, memory_gib=1000, gpus=()):
        monkeypatch.setattr(local, "usable_threads", lambda: processors)
        monkeypatch.setattr(local, "free_memory", lambda: memory_gib * 2**30)
        monkeypatch.setattr(local, "_gpus", lambda: gpus)

    return make


@pytest.mark.parametrize(
    ("size", "jobs", "device", "wanted", "expected"),
    [
        ({"processors": 2}, 30, "auto", None, WorkerShare(1, 2)),
        ({"processors": 16}, 30, "cpu", None, WorkerShare(4, 4)),
        ({"processors": 16}, 2, "cpu", None, WorkerShare(2, 8)),
        ({"processors": 16, "memory_gib": 9}, 30, "cpu", None, WorkerShare(2, 8)),
        ({"processors": 16, "gpus": ("0", "1")}, 30, "auto", None, WorkerShare(2, 8, ("0", "1"))),
        ({"processors": 16, "gpus": ("0",)}, 30, "auto", None, WorkerShare(1, 16)),
        ({"processors": 16, "gpus": ("0", "1")}, 30, "cpu", None, WorkerShare(4, 4)),
        ({"processors": 2}, 30, "cpu", 5, WorkerShare(5, 1)),
        ({"processors": 16, "gpus": ("0", "1")}, 30, "cuda:1", None, WorkerShare(1, 16)),
    ],
)
def test_workers_and_threads_follow_the_machine(machine, size, jobs, device, wanted, expected):
    machine(**size)
    assert share_machine(jobs, device, wanted) == expected


def test_each_worker_has_a_gpu_and_its_threads(monkeypatch, tmp_path):
    """Two workers at once on two GPUs, four jobs: no GPU has two at a time."""
    code = (
        "import os, sys, time, json; order = json.loads(sys.stdin.readline());"
        "gpu, threads = os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'];"
        "own = open(os.path.join(order['run'], gpu), 'x'); time.sleep(0.3); os.unlink(own.name);"
        "print(gpu, threads, flush=True)"
    )
    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", code))
    jobs = [Job("baseline", 1, seed) for seed in range(4)]
    logs = {job: local.log_path(tmp_path, job) for job in jobs}
    logs[jobs[0]].parent.mkdir(parents=True)
    order = SimpleNamespace(prepared=str(tmp_path / "set"), model_dump_json=lambda: json.dumps({"run": str(tmp_path)}))
    progress_of = dict.fromkeys(jobs, RunProgress())
    local.run_here(
        dict.fromkeys(jobs, order), tmp_path, progress_of, WorkerShare(2, 3, ("5", "7")), lambda _progress: None
    )
    assert [progress.state for progress in progress_of.values()] == ["done"] * 4
    said = [log.read_text().split() for log in logs.values()]
    assert {gpu for gpu, _ in said} == {"5", "7"}
    assert {threads for _, threads in said} == {"3"}
