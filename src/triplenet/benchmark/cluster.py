"""A benchmark's trainings on a Ray cluster: a task each, which Ray starts again elsewhere when its process is lost.

Every machine of the cluster needs the same triplenet, and the prepared set and the benchmark's folder under the same
paths: a shared file system. What a lost task had done is gone on with from its last state.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triplenet.benchmark.local import POLL_S, THREADS_EACH
from triplenet.benchmark.progress import BenchmarkProgress, OnProgress, begun, refresh
from triplenet.benchmark.records import Failure, note, record_path
from triplenet.benchmark.worker import Order, execute
from triplenet.errors import MissingExtra, UnknownName, WorkerLost
from triplenet.processes import usable_threads
from triplenet.training.job import Job

if TYPE_CHECKING:
    from types import ModuleType

LOCAL = "local"
RETRIES = 3
"""Of a task whose process or machine was lost"""


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

    :param address: ``local`` starts Ray on this machine; else a cluster's, as ``ray start`` printed it, or ``auto``
    :raises MissingExtra: Ray is not installed
    :raises UnknownName: there is no cluster at the address
    """
    ray = _ray()
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        task = ray.remote(_execute).options(max_retries=RETRIES, **_share(ray, device))
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
    finally:
        if own:
            ray.shutdown()


def _execute(order: str) -> dict[str, str] | None:
    failure = execute(Order.model_validate_json(order))
    return None if failure is None else failure.model_dump()


def _answer(ray: ModuleType, reference: object, out: Path) -> Failure | None:
    try:
        answer = ray.get(reference)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        text = f"{lines[0]} ({lines[-1]})" if len(lines) > 1 else type(error).__name__
        return Failure.of(
            WorkerLost(
                f"the task ended without an answer: {text[:300]}",
                do="the same command again goes on where it stopped",
            ),
            out,
        )
    return None if answer is None else Failure.model_validate(answer)


def _connect(ray: ModuleType, address: str) -> None:
    more: dict[str, Any] = {"num_cpus": usable_threads()} if address == LOCAL else {"address": address}
    try:
        ray.init(
            include_dashboard=False if address == LOCAL else None, log_to_driver=False, logging_level="error", **more
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UnknownName(
            f"no Ray cluster answers ({str(error).strip().partition(chr(10))[0]})",
            where=f"--ray {address}",
            do="start one with ray start --head, or use --ray local",
        ) from error


def _share(ray: ModuleType, device: str) -> dict[str, float]:
    """What a task asks for, so that each machine of the cluster can have at least one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    processors = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    share: dict[str, float] = {"num_cpus": max(1, min([THREADS_EACH, *processors]))}
    if device in ("auto", "cuda") and any(node.get("GPU", 0) >= 1 for node in nodes):
        share["num_gpus"] = 1
    return share


def _ray() -> ModuleType:
    # Software that handles patients' data reports to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise MissingExtra("ray is not installed", do="pip install 'triplenet[ray]'") from error
    module: ModuleType = ray
    return module
