"""A benchmark's trainings on a Ray cluster: a task each, which Ray starts again elsewhere when its process is lost.

The prepared set and the benchmark's folder lie on a file system that the machines share. What a lost task had done is
gone on with from its last state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from triplenet.benchmark.local import POLL_S, THREADS_EACH
from triplenet.benchmark.progress import BenchmarkProgress, OnProgress, begun, refresh
from triplenet.benchmark.records import Failure, note, record_path
from triplenet.benchmark.worker import Order, execute
from triplenet.errors import WorkerLost
from triplenet.ray_cluster import RETRIES, ray_cluster, said_of_loss, task_share
from triplenet.training.job import Job

if TYPE_CHECKING:
    from types import ModuleType


def run_on_ray(
    orders: Mapping[Job, Order],
    out: Path,
    progress_of: BenchmarkProgress,
    address: str,
    on_progress: OnProgress,
    *,
    device: str = "auto",
) -> None:
    """Train all of them; what happened stands in the progress_of and in the records.

    :param address: and its errors, see ``ray_cluster``
    """
    with ray_cluster(address) as ray:
        task = ray.remote(_execute).options(max_retries=RETRIES, **task_share(ray, device, THREADS_EACH))
        pending = {task.remote(order.model_dump_json()): job for job, order in orders.items()}
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=len(pending), timeout=POLL_S)
            for reference in ready:
                job = pending.pop(reference)
                failure = _answer(ray, reference, out)
                if failure is not None:
                    note(record_path(out, job), "failed", failure)
                progress_of[job] = replace(progress_of[job], state="failed" if failure else "done", failure=failure)
            for job in pending.values():
                if progress_of[job].state == "waiting" and begun(out, job):
                    progress_of[job] = replace(progress_of[job], state="running")
            refresh(out, progress_of)
            on_progress(progress_of)


def _execute(order: str) -> dict[str, str] | None:
    failure = execute(Order.model_validate_json(order))
    return None if failure is None else failure.model_dump()


def _answer(ray: ModuleType, reference: object, out: Path) -> Failure | None:
    try:
        answer = ray.get(reference)
    except ray.exceptions.RayError as error:
        return Failure.of(
            WorkerLost(
                f"the task ended without an answer: {said_of_loss(error)}",
                do="the same command again goes on where it stopped",
            ),
            out,
        )
    return None if answer is None else Failure.model_validate(answer)
