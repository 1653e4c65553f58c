"""Work on many items in several processes; results in the order of the items, whatever the number of processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from triplenet.errors import WorkerLost

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item in order.

    :param function: a module's function (or a partial of one), so that another process can import it
    :param jobs: processes; as many as processors by default. With one, everything runs in this process
    :raises WorkerLost: a process ended without an answer, most often for want of memory
    """
    jobs = min(jobs or processors(), len(items))
    if jobs <= 1:
        yield from map(function, items)
        return
    # Spawned, not forked: the parent may hold threads.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerLost("a worker process ended without an answer", do="try fewer jobs or more memory") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
