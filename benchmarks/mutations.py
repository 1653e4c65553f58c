"""Deliberate faults, and whether the tests see them.

    python benchmarks/mutations.py                     try every fault that was not killed yet
    python benchmarks/mutations.py --room scan         those of one room
    python benchmarks/mutations.py --only kernel       those whose name or file holds this
    python benchmarks/mutations.py --fresh             all again
    python benchmarks/mutations.py --table             only print what the result file holds

``faults/ROOM.toml`` lists them: a file under ``src/triplenet``, a text that stands in it once, what a maintainer could
put there by mistake, and the tests that should notice. The checkout is never touched: each fault is put into a copy,
the named tests run there, and the test that fails must pass without the fault. A survivor is a statement that no test
makes: write that test, or say in the list why nothing can be noticed (``equivalent``). ``mutations.json`` holds a row a
fault; a call that is cut short goes on from there.

A fault is *killed* when a test fails, *survived* when none does, *timed out* when the tests do not end, *does not
apply* when its text is gone (``tests/test_mutations.py`` notices that first), and *broken* when the tests fail without
it too.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "benchmarks" / "faults"
RESULTS = ROOT / "benchmarks" / "mutations.json"
COPIED = (
    "src",
    "tests",
    "benchmarks",
    "pyproject.toml",
    ".importlinter",
    "README.md",
    "CHANGELOG.md",
    "docs",
    "Makefile",
)
KILLED, SURVIVED, TIMED_OUT, GONE, BROKEN = "killed", "survived", "timed out", "does not apply", "broken"
SLOW_TO_LOAD = (
    "pytest",
    "hypothesis",
    "numpy",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.stats",
    "scipy.special",
    "torch",
    "torch._dynamo",
    "torch.testing",
    "torch.utils.checkpoint",
    "torch.fx.experimental.proxy_tensor",
    "sklearn.metrics",
    "matplotlib.pyplot",
    "pydantic",
    "pydicom",
    "nibabel",
    "SimpleITK",
    "highdicom",
    "safetensors.torch",
    "typer",
    "rich",
    "pytorch_metric_learning.losses",
    "captum.attr",
)
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+(?: \S+)*?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """One deliberate fault.

    :param file: under ``src/triplenet``
    :param before: a text that the file holds exactly once
    :param after: what stands there with the fault
    :param tests: files, folders or single tests that should notice
    :param equivalent: why it cannot be noticed; it is then not tried
    """

    room: str
    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    equivalent: str = ""

    @property
    def digest(self) -> str:
        """Changes with what is tried, and not with the file's name."""
        return hashlib.sha256(repr((self.before, self.after)).encode()).hexdigest()[:16]

    def path(self, root: Path = ROOT) -> Path:
        return root / "src" / "triplenet" / self.file

    def put_into(self, text: str) -> str:
        """The file's text with the fault.

        :raises ValueError: the list is out of date, or the fault is none
        """
        count = text.count(self.before)
        if count != 1:
            raise ValueError(f"{self.name}: its text occurs {count} times in {self.file}, not once")
        if self.before == self.after:
            raise ValueError(f"{self.name}: nothing is changed")
        faulty = text.replace(self.before, self.after)
        ast.parse(faulty)
        return faulty


def faults() -> list[Fault]:
    """All of the list, room by room."""
    found = []
    for path in sorted(LISTS.glob("*.toml")):
        room = tomllib.loads(path.read_text(encoding="utf-8"))
        for entry in room["fault"]:
            tests = tuple(entry.pop("tests", room["tests"]))
            found.append(Fault(room=path.stem, tests=tests, **entry))
    return found


class Copy:
    """A copy of the checkout in which faults are tried, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._passing: set[str] = set()
        leave = shutil.ignore_patterns("__pycache__", "*.pyc", ".hypothesis", "found")
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=leave)
            elif source.exists():
                shutil.copy(source, folder / name)
        # Compiled once; what a fault changes is noticed by its content, not by a time stamp that may be the same.
        compileall.compile_dir(folder / "src", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        environment = os.environ | {
            "PYTHONPATH": str(folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "400",  # the names of tests are not cut
        }
        command = [sys.executable, str(folder / "benchmarks" / "mutations.py"), "--serve"]
        self._server = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        """End the process that runs tests."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def judge(self, fault: Fault, timeout_s: float) -> tuple[str, str]:
        """The verdict, and the test that told."""
        path = fault.path(self.folder)
        right = path.read_text(encoding="utf-8") if path.is_file() else ""
        try:
            faulty = fault.put_into(right)
        except (ValueError, SyntaxError) as error:
            return GONE, str(error)
        try:
            path.write_text(faulty, encoding="utf-8")
            code, output = self._run(fault.tests, timeout_s)
        finally:
            path.write_text(right, encoding="utf-8")
        if code is None:
            return TIMED_OUT, ""
        if code == 0:
            return SURVIVED, ""
        match = _FAILED.search(output)
        if match is None:
            return BROKEN, " ".join(output.split())[-300:]
        test = match[1]
        if test not in self._passing:
            if self._run((test,), timeout_s)[0] != 0:
                return BROKEN, f"{test} fails without the fault too"
            self._passing.add(test)
        return KILLED, test

    def _run(self, tests: Sequence[str], timeout_s: float) -> tuple[int | None, str]:
        """Exit code of the tests, None if they did not end, and what they printed."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps({"tests": tests, "timeout_s": timeout_s}) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return answer["code"], answer["output"]


def serve() -> None:
    """Run tests in forks of a process that has loaded what takes long to load: a line of JSON in, a line out."""
    for name in SLOW_TO_LOAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile("w+") as output:
            child = os.fork()
            if child == 0:
                os.setsid()
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                sys.path.insert(0, str(Path.cwd() / "src"))
                pytest = importlib.import_module("pytest")
                # A slow test is run where it is named, and left out where its whole file is.
                named = ["-m", "slow or not slow"] if all("::" in test for test in order["tests"]) else []
                code = pytest.main(["-x", "--no-cov", "-q", "-p", "no:cacheprovider", *named, *order["tests"]])
                sys.stdout.flush()
                os._exit(int(code))
            status = _ended(child, order["timeout_s"])
            output.seek(0)
            answer = {"code": status, "output": output.read()}
        print(json.dumps(answer), flush=True)


def _ended(child: int, timeout_s: float) -> int | None:
    """The exit code of a forked process; None for one that had to be ended."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def try_all(wanted: Sequence[Fault], jobs: int, timeout_s: float) -> Iterator[tuple[Fault, str, str, float]]:
    """Fault, verdict, telling test and seconds, as they are ready."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch:
        copies: Queue[Copy] = Queue()
        for number in range(jobs):
            folder = Path(scratch, str(number))
            folder.mkdir()
            copies.put(Copy(folder))

        def one(fault: Fault) -> tuple[Fault, str, str, float]:
            copy = copies.get()
            try:
                began = time.monotonic()
                verdict, test = copy.judge(fault, timeout_s)
                return fault, verdict, test, time.monotonic() - began
            finally:
                copies.put(copy)

        try:
            with ThreadPoolExecutor(jobs) as pool:
                yield from pool.map(one, wanted)
        finally:
            while not copies.empty():
                copies.get().close()


def read_results() -> dict[str, dict[str, object]]:
    """Rows by the fault's name."""
    if not RESULTS.is_file():
        return {}
    return {str(row["name"]): row for row in json.loads(RESULTS.read_text(encoding="utf-8"))}


def write_result(row: dict[str, object], known: Sequence[Fault]) -> dict[str, dict[str, object]]:
    """Put a row into the file, which keeps those of the faults that are in the list, in its order."""
    rows = read_results() | {str(row["name"]): row}  # another call may have written meanwhile
    kept = [rows[fault.name] for fault in known if fault.name in rows and rows[fault.name]["fault"] == fault.digest]
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(RESULTS)
    return rows


def table(known: Sequence[Fault], rows: dict[str, dict[str, object]]) -> str:
    """Verdicts by room."""
    verdicts = {
        fault.name: rows[fault.name]["verdict"]
        for fault in known
        if fault.name in rows and rows[fault.name]["fault"] == fault.digest and not fault.equivalent
    }
    lines = [f"{'room':<14}{'faults':>8}{'killed':>8}{'survived':>10}{'other':>7}{'equivalent':>12}{'not tried':>11}"]
    rooms = list(dict.fromkeys(fault.room for fault in known))
    for room in [*rooms, "all"]:
        here = [fault for fault in known if room in ("all", fault.room)]
        counts = [verdicts.get(fault.name) for fault in here if not fault.equivalent]
        killed, survived, waiting = (counts.count(value) for value in (KILLED, SURVIVED, None))
        other = len(counts) - killed - survived - waiting
        lines.append(
            f"{room:<14}{len(here):>8}{killed:>8}{survived:>10}{other:>7}{len(here) - len(counts):>12}{waiting:>11}"
        )
    tried = len(verdicts)
    killed = sum(verdict in (KILLED, TIMED_OUT) for verdict in verdicts.values())
    if tried:
        lines.append(f"{killed} of {tried} that were tried and can be noticed are noticed: {killed / tried:.1%}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", default="", help="name or file holds this regular expression")
    parser.add_argument("--room", help="one list, or several by commas, in this order")
    parser.add_argument("--jobs", type=int, default=1, help="faults at once, each in a copy of its own")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for the tests of one fault")
    parser.add_argument("--fresh", action="store_true", help="those that were killed before too")
    parser.add_argument("--table", action="store_true", help="try nothing")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    known, rows = faults(), read_results()
    rooms = options.room.split(",") if options.room else sorted({fault.room for fault in known})
    wanted = [
        fault
        for room in rooms
        for fault in known
        if fault.room == room
        and re.search(options.only, f"{fault.name} {fault.file}")
        and not fault.equivalent
        and (
            options.fresh
            or (row := rows.get(fault.name)) is None
            or (row["verdict"], row["fault"]) != (KILLED, fault.digest)
        )
    ]
    if not options.table:
        for number, (fault, verdict, test, seconds) in enumerate(try_all(wanted, options.jobs, options.timeout), 1):
            print(
                f"[{number}/{len(wanted)}] {verdict:<9} {fault.room}: {fault.name}  {test}  ({seconds:.0f} s)",
                flush=True,
            )
            row = {"name": fault.name, "room": fault.room, "file": fault.file, "verdict": verdict, "test": test}
            rows = write_result({**row, "fault": fault.digest}, known)
    print(table(known, rows))
    return 0 if all(rows[fault.name]["verdict"] in (KILLED, TIMED_OUT) for fault in wanted if fault.name in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
