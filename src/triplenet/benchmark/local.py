"""A benchmark's trainings on this machine: a process each, so that the end of one is the end of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from triplenet.benchmark.progress import BenchmarkProgress, OnProgress, refresh
from triplenet.benchmark.records import Failure, hide_places, log_path, note, read_record, record_path
from triplenet.benchmark.worker import FAILED, Order
from triplenet.errors import WorkerLost
from triplenet.processes import free_memory, usable_threads
from triplenet.training.job import Job

THREADS_EACH = 4
"""More do not make one training of a small network faster by as much as another training beside it."""
MEMORY_EACH = 4 * 2**30
RETRIES = 1
"""Of a run whose process was killed; it goes on where it stopped"""
POLL_S = 0.2
COMMAND = (sys.executable, "-c", "from triplenet.benchmark.worker import main; main()")


@dataclass(frozen=True)
class WorkerShare:
    """How many trainings at once, and with what."""

    workers: int
    threads: int
    """of each"""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them; one a worker"""


def share_machine(jobs: int, device: str, workers: int | None = None) -> WorkerShare:
    """A share of this machine for each worker.

    :param workers: by default one a GPU, else as many as processors and memory are enough for
    """
    gpus = _gpus() if device in ("auto", "cuda") else ()
    processors = usable_threads()
    if workers is None and device.startswith("cuda:"):
        workers = 1
    if workers is None:
        memory = free_memory()
        room = processors if memory is None else memory // MEMORY_EACH
        workers = len(gpus) or max(1, min(processors // THREADS_EACH, room))
    workers = max(1, min(workers, jobs))
    return WorkerShare(workers, max(1, processors // workers), gpus if len(gpus) > 1 else ())


def run_here(
    orders: Mapping[Job, Order], out: Path, progress_of: BenchmarkProgress, where: WorkerShare, on_progress: OnProgress
) -> None:
    """Train all of them; what happened stands in the progress_of and in the records."""
    waiting = deque(orders)
    free = deque(range(where.workers))
    lost: dict[Job, int] = {}
    running: dict[Job, _Worker] = {}
    try:
        while waiting or running:
            while waiting and free:
                job = waiting.popleft()
                place = free.popleft()
                running[job] = _Worker.start(orders[job], log_path(out, job), where, place)
                progress_of[job] = replace(progress_of[job], state="running", failure=None)
            time.sleep(POLL_S)
            for job, worker in list(running.items()):
                code = worker.process.poll()
                if code is None:
                    continue
                del running[job]
                worker.close()
                hide_places(log_path(out, job), out, Path(orders[job].prepared))
                free.append(worker.place)
                if code < 0 and lost.get(job, 0) < RETRIES:
                    lost[job] = lost.get(job, 0) + 1
                    waiting.appendleft(job)
                    continue
                failure = _failure(code, out, job)
                if failure is not None:
                    note(record_path(out, job), "failed", failure)
                progress_of[job] = replace(progress_of[job], state="failed" if failure else "done", failure=failure)
            refresh(out, progress_of)
            on_progress(progress_of)
    finally:
        for worker in running.values():
            worker.process.kill()
            worker.close()


@dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[str]
    log: IO[str]
    place: int

    @classmethod
    def start(cls, order: Order, log: Path, where: WorkerShare, place: int) -> _Worker:
        environment = os.environ | {"OMP_NUM_THREADS": str(where.threads)}
        if where.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = where.gpus[place % len(where.gpus)]
        stream = log.open("a", encoding="utf-8")
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            # Ctrl-C is the benchmark's to answer.
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            process.stdin.write(order.model_dump_json() + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already, and its code says why
        return cls(process, stream, place)

    def close(self) -> None:
        """Let it go; a worker that has ended can leave its standard input unread."""
        try:
            if self.process.stdin is not None:
                self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.log.close()


def _failure(code: int, out: Path, job: Job) -> Failure | None:
    if code == 0:
        return None
    record = read_record(record_path(out, job))
    if code == FAILED and record is not None and record.failure is not None:
        return record.failure
    ended = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    last = _last_words(log_path(out, job))
    return Failure.of(
        WorkerLost(
            f"the run's process {ended}{f' ({last})' if last else ''}",
            do="the same command again goes on where it stopped; with too little memory, try fewer workers",
        ),
        out,
    )


def _last_words(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _gpus() -> tuple[str, ...]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count] if named else map(str, range(count)))
