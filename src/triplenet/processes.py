"""Work on many items in processes that may be lost, and what the machine has for it: processors and memory.

Results come in the order of the items, whatever their number.

``concurrent.futures`` gives up all items when one process dies, and its processes outlive a parent that is killed.
Here each process has a pipe of its own: one that dies, or is not ready in time, costs the item it had, and a new one
goes on.
"""

from __future__ import annotations

import fcntl
import math
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from triplenet.errors import REPORT, ReaderFault, ReaderLost, ReaderTimeout, ScanError, TripleNetError, WorkerLost

Item = TypeVar("Item")
Result = TypeVar("Result")
BUDGET_S = 900.0
"""Of one scan: far more than the largest one takes from a slow share, and an end to one that would hang a batch."""
CGROUP, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_PARTING_S = 3.0
_SAID = 4000  # characters of what a lost process wrote


@dataclass(frozen=True)
class Failed:
    """An item without a result: its process was lost, took too long, or met an error that nobody foresaw."""

    error: ScanError
    log: str
    """For whoever looks into it: the traceback, or what the process wrote before it died."""


def unforeseen(kind: str) -> ReaderFault:
    """The refusal of a scan that raised what nobody foresaw; the error's text may name a patient and is not in it.

    :param kind: the error's class
    """
    return ReaderFault(f"reading it ended in an error that nobody foresaw ({kind})", do=f"{REPORT}, with the log")


def processors(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """How many processors this process may really use: its affinity, and the quota of its container; at least 1."""
    quotas = [quota for folder in _control_groups("cpu", cgroup, own) if (quota := _quota(folder)) is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def usable_threads(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """How many threads are worth starting in this process: ``processors``, and no more than OMP_NUM_THREADS says."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(processors(cgroup, own), int(named))) if named.isdecimal() else processors(cgroup, own)


def free_memory(cgroup: Path = CGROUP, own: Path = OWN_CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that this process may still take, of the machine and of its container; None where nobody says."""
    found = [left for folder in _control_groups("memory", cgroup, own) if (left := _left_in(folder)) is not None]
    with suppress(OSError, ValueError, IndexError):
        lines = meminfo.read_text(encoding="ascii").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return min(found, default=None)


def _control_groups(controller: str, root: Path, own: Path) -> list[Path]:
    """The folders whose limits hold for this process: of the group it is in and of all above, in both versions.

    In a container ``own`` may name a group as the host sees it, which is not there; the root is then the container's.
    """
    found = [root, root / controller]
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "" or controller in controllers.split(","):
                base = root / controller if controllers else root
                parts = [part for part in group.split("/") if part]
                found += [base.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return found


def _quota(group: Path) -> int | None:
    """Processors' worth of time, rounded up; None without a limit."""
    try:  # version 2
        limit, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:  # version 1
            limit, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return None
    if not limit.isdecimal() or not period.isdecimal():  # "max", "-1": no limit
        return None
    return math.ceil(int(limit) / int(period)) or None


def _left_in(group: Path) -> int | None:
    """Bytes up to a group's limit; None without one. What it holds of files that nobody uses makes room."""
    for limit, used, unused in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # "max": no limit
            left = int((group / limit).read_text()) - int((group / used).read_text())
            with suppress(OSError, ValueError):
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                left += int(stat.get(unused, 0))
            return max(0, left)
    return None


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item in order; what fails ends the work.

    :param function: a module's function (or a partial of one), so that another process can import it
    :param jobs: processes; as many as processors by default. With one, everything runs in this process
    :raises WorkerLost: a process ended without an answer, most often for want of memory
    """
    jobs = min(jobs or processors(), len(items))
    if jobs <= 1:
        yield from map(function, items)
        return
    with closing(attempts(function, items, jobs, budget_s=None)) as results:
        for result in results:
            if isinstance(result, Failed):
                if isinstance(result.error, ReaderLost):
                    do = "try fewer jobs or more memory"
                    raise WorkerLost("a worker process ended without an answer", do=do)
                raise RuntimeError(f"{result.error}\n{result.log}")
            yield result


def attempts(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int | None = None,
    *,
    budget_s: float | None = BUDGET_S,
) -> Generator[Result | Failed, None, None]:
    """Yield ``function(item)`` for each item in order, always from another process; what fails costs its item.

    :param function: as for ``in_processes``
    :param jobs: processes; as many as processors by default
    :param budget_s: seconds an item may take
    :raises TripleNetError: raised by the function: it is no fault of one item, and ends the work
    :raises WorkerLost: processes cannot be begun here
    """
    done: dict[int, Result | Failed] = {}
    due = 0
    with closing(as_finished(function, items, min(jobs or processors(), len(items)), budget_s=budget_s)) as results:
        for index, result in results:
            done[index] = result
            while due in done:
                yield done.pop(due)
                due += 1


def as_finished(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int,
    *,
    budget_s: float | None = BUDGET_S,
    threads: int | None = None,
) -> Generator[tuple[int, Result | Failed], None, None]:
    """As ``attempts``, with the position of each item and in whatever order they are finished.

    An item is taken from ``items`` when a process is free for it, so that there may be any number.

    :param threads: of each process
    """
    workers = [Worker(threads=threads) for _ in range(jobs)]
    waiting = enumerate(items)
    busy: dict[int, Worker] = {}
    try:
        while True:
            for worker in [one for one in workers if one not in busy.values()]:
                index, *item = next(waiting, (-1,))
                if not item:
                    break
                worker.send(function, item[0], budget_s=budget_s)
                busy[index] = worker
            if not busy:
                return
            ready = _ready(list(busy.values()))
            for index, worker in list(busy.items()):
                if worker in ready:
                    result = worker.receive()
                    del busy[index]
                    yield index, result
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.close()


class Worker:
    """A process that is asked one thing after the other; begun when it is first asked, and anew when it was lost.

    :param threads: that its libraries may use, by OMP_NUM_THREADS; else as this process
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads
        self.connection: Connection[Any, Any]
        """Where the answer will be."""
        self._process: subprocess.Popen[bytes] | None = None
        self._budget_s: float | None = None
        self._deadline: float | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, function: Callable[..., Result], *arguments: Any, budget_s: float | None = BUDGET_S) -> Result:
        """``function(*arguments)`` in the process.

        :raises ReaderLost, ReaderTimeout, ReaderFault: instead of a result; the next call has a new process
        :raises TripleNetError: raised by the function
        """
        self.send(function, *arguments, budget_s=budget_s)
        while not _ready([self]):
            pass
        answer: Result | Failed = self.receive()
        if isinstance(answer, Failed):
            answer.error.add_note(answer.log)
            raise answer.error
        return answer

    @property
    def alive(self) -> bool:
        """Whether the process that was asked last is there, with everything that it knows."""
        return self._process is not None and self._process.poll() is None

    def send(self, function: Callable[..., Any], *arguments: Any, budget_s: float | None) -> None:
        """Ask; the answer is to be received before anything else is asked."""
        if not self.alive:
            self._begin()
        self._budget_s = budget_s
        self._deadline = None if budget_s is None else monotonic() + budget_s
        with suppress(BrokenPipeError, ConnectionResetError):  # lost already, which receive() finds
            self.connection.send((function, arguments))

    @property
    def seconds_left(self) -> float | None:
        """Of the budget of what was asked; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - monotonic())

    def receive(self) -> Any:
        """The answer, or what came instead of it.

        :raises TripleNetError, OSError: raised by the function
        """
        if not self.connection.poll() and self.seconds_left == 0.0:
            self.close(kill=True)
            return Failed(
                ReaderTimeout(f"reading took longer than {self._budget_s:g} s", do="look at it with triplenet inspect"),
                f"stopped after {self._budget_s:g} s",
            )
        try:
            kind, value, log = self.connection.recv()
        except (EOFError, OSError):
            how, said = self._lost()
            return Failed(
                ReaderLost(
                    f"the process that read it {how}",
                    do="try fewer jobs or more memory" if "SIGKILL" in how else "do not trust this file",
                ),
                f"the process {how}\n{said}",
            )
        if kind == "value":
            return value
        if kind == "raised":
            raise value
        return Failed(unforeseen(value), log)

    def stop(self) -> None:
        """Ask the process to end, so that it clears what it was writing."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def close(self, *, kill: bool = False) -> None:
        """End the process, and wait until it has gone."""
        if self._process is None:
            return
        self.connection.close()
        os.close(self._lifeline)
        self._process.kill() if kill else self.stop()
        try:
            self._process.wait(_PARTING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
        self._process = None

    def _begin(self) -> None:
        self.close()
        self.connection, theirs = Pipe()
        watched, self._lifeline = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # Not multiprocessing's spawn: it runs the user's script again, which so needs a guard around this call.
        serve = "from triplenet.processes import serve; serve(*map(int, sys.argv[1:]))"
        code = f"import sys; sys.path[:] = {sys.path!r}; {serve}"
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), str(watched)],
                pass_fds=(theirs.fileno(), watched),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env=None if self._threads is None else {**os.environ, "OMP_NUM_THREADS": str(self._threads)},
            )
        finally:
            theirs.close()
            os.close(watched)
        try:
            self.connection.recv()
        except (EOFError, OSError):
            how, said = self._lost()
            raise WorkerLost(f"a worker process {how} at its beginning", do=said.strip()[-300:] or None) from None

    def _lost(self) -> tuple[str, str]:
        """How the process ended, in words, and what it wrote."""
        process = self._process
        if process is None:
            return "was not there", ""
        try:
            code = process.wait(_PARTING_S)
        except subprocess.TimeoutExpired:
            code = 0
        self._said.seek(0)
        said = self._said.read().decode(errors="backslashreplace")[-_SAID:]
        self.close(kill=True)
        return (f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"), said


def _ready(workers: Sequence[Worker]) -> list[Worker]:
    """Those whose answer is there or whose time is over, once there is one."""
    left = [worker.seconds_left for worker in workers]
    shortest = min((seconds for seconds in left if seconds is not None), default=None)
    there = wait([worker.connection for worker in workers], shortest)
    return [worker for worker in workers if worker.connection in there or worker.seconds_left == 0.0]


def serve(pipe: int, lifeline: int) -> None:
    """What a worker process does: answer until nobody asks any more."""
    _end_with_parent(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, so that half-written files are removed
    connection: Connection[Any, Any] = Connection(pipe)
    connection.send("ready")
    while True:
        try:
            question = connection.recv_bytes()
        except EOFError:
            return
        answer: tuple[str, Any, str]
        try:
            function, arguments = pickle.loads(question)  # noqa: S301 - from our own parent
            answer = ("value", function(*arguments), "")
        except (TripleNetError, OSError) as error:
            answer = ("raised", error, "")
        except Exception as error:
            answer = ("fault", type(error).__name__, traceback.format_exc())
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _end_with_parent(lifeline: int) -> None:
    """Be ended by the system when the other end of the pipe is closed, even inside of a native decoder.

    A thread that waits for it would need Python's lock, which a decoder may hold; the signal of a parent's death
    (PR_SET_PDEATHSIG) comes already with the death of the thread that began the process.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)  # SIGIO, which ends us
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit(1)
