"""The scans of a batch on a Ray cluster: a task each, which Ray starts again elsewhere when its machine is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from triplenet.errors import ReaderLost, ScanError, TripleNetError
from triplenet.outputs.batch_work import BUDGET_S, Order, Outcome, Outcomes, Task, lost, work
from triplenet.processes import Failed, Worker
from triplenet.ray_cluster import RETRIES, ray_cluster, said_of_loss, task_share, tasks_at_once

THREADS_EACH = 1
_workers: dict[tuple[int, str], Worker] = {}
"""In Ray's process: one of our own, which keeps the model and which a damaged file may end; by threads and GPU."""


def work_on_ray(order: Order, tasks: Iterable[Task], address: str, jobs: int | None) -> Outcomes:
    """Several scans at once, as they are finished.

    Ray begins a task anew, ``RETRIES`` times, when the worker or the machine that has it is lost. A scan whose worker
    is lost each time is refused (READER_LOST) and costs no other; the next call tries it again.

    :param jobs: scans at once; by default as many as the cluster has room for when the batch begins
    :raises MissingExtra, UnknownName: see ``ray_cluster``
    """
    with ray_cluster(address) as ray:
        share = task_share(ray, order.device, THREADS_EACH)
        room = jobs or tasks_at_once(ray, share)
        remote = ray.remote(_execute).options(max_retries=RETRIES, **share)
        ask = partial(remote.remote, order, int(share["num_cpus"]))
        waiting = iter(tasks)
        pending: dict[object, Task] = {}
        while True:
            while len(pending) < room and (task := next(waiting, None)) is not None:
                pending[ask(task)] = task
            if not pending:
                return
            ready, _ = ray.wait(list(pending))
            for reference in ready:
                task = pending.pop(reference)
                try:
                    answer = ray.get(reference)
                except ray.exceptions.RayError as error:
                    said = said_of_loss(error)
                    answer = Failed(ReaderLost("the machine that worked on it was lost", do="try it again"), said)
                if isinstance(answer, Failed):
                    answer = lost(order, task, answer)
                elif not isinstance(answer, Outcome):
                    raise answer
                yield task, answer


def _execute(order: Order, threads: int, task: Task) -> Outcome | Failed | TripleNetError | OSError:
    worker = _workers.setdefault((threads, os.environ.get("CUDA_VISIBLE_DEVICES", "")), Worker(threads=threads))
    try:
        return worker.call(work, order, task, budget_s=BUDGET_S)
    except ScanError as error:  # nothing about a scan is raised by the work itself
        return Failed(error, "\n".join(getattr(error, "__notes__", ())))
    except (TripleNetError, OSError) as error:
        return error
