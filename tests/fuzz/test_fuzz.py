"""Damaged inputs of every kind: a result, or a refusal in one line with a code that is not INTERNAL, within budget.

    make test-slow                                            # each kind for half a minute
    TRIPLENET_FUZZ_SEED=7 TRIPLENET_FUZZ_S=600 TRIPLENET_FUZZ_COUNT=1000000 .venv/bin/pytest -m slow tests/fuzz -k nrrd

Inputs are read in a process of their own, which one of them may kill; a new one goes on behind it. An input that breaks
the rule is written into ``tests/fuzz/found``, named by kind, seed and number; moved into ``tests/fuzz/cases``, it is
tried by every test run from then on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.kinds import KINDS

HERE = Path(__file__).parent
FOUND = HERE / "found"
SEED = int(os.environ.get("TRIPLENET_FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("TRIPLENET_FUZZ_S", "25"))
COUNT = os.environ.get("TRIPLENET_FUZZ_COUNT", "5000")  # so that a faster machine tries the same ones
CASES = sorted((HERE / "cases").iterdir())
FEW = 40  # inputs of each kind in every test run
MOST_FINDINGS = 5


@dataclass
class Tried:
    """What came of inputs.

    :ivar verdicts: how often each verdict came, by kind
    :ivar findings: what broke the rule, by kind and number
    """

    verdicts: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    findings: dict[tuple[str, int], str] = field(default_factory=dict)

    def watch(self, command: Sequence[str], folder: Path) -> tuple[str, int] | None:
        """Run a child; the input that killed it, if one did."""
        done = subprocess.run([sys.executable, str(HERE / "child.py"), str(folder), *command],
                              capture_output=True, text=True, errors="replace", check=False)  # fmt: skip
        begun: tuple[str, int] | None = None
        for line in done.stdout.splitlines():
            what, kind, number, *said = line.split(" ", 3)
            begun = (kind, int(number)) if what == "begin" else None
            if what == "end":
                self.verdicts[kind][said[0].partition(" ")[0]] += 1
                if said[0].startswith("FINDING"):
                    self.findings[kind, int(number)] = said[0]
        if done.returncode == 0:
            return None
        assert begun is not None, f"the child ended before it read anything: {done.stderr[-2000:]}"
        self.findings[begun] = f"the process ended with {done.returncode}: {done.stderr[-4000:]}"
        return begun


def try_damaged(kinds: Sequence[str], folder: Path, kept: Path, *limits: str) -> Tried:
    """Damaged inputs of some kinds; what breaks the rule is kept. Behind what kills the process a new one goes on."""
    tried = Tried()
    left, first = list(kinds), 0
    while left and len(tried.findings) < MOST_FINDINGS:
        command = ("--kinds", ",".join(left), "--seed", str(SEED), "--first", str(first), *limits)
        killer = tried.watch(command, folder)
        if killer is None:
            break
        kind, number = killer
        name = KINDS[kind].name
        (folder / "found").mkdir(exist_ok=True)
        shutil.copyfile(folder / "work" / name, folder / "found" / f"{kind}.{SEED}-{number}{Path(name).suffix}")
        left, first = left[left.index(kind) :], number + 1
    if (folder / "found").is_dir():
        shutil.copytree(folder / "found", kept, dirs_exist_ok=True)
    return tried


def is_there(needed: str) -> bool:
    return not needed or find_spec(needed) is not None or shutil.which(needed) is not None


PRESENT = [kind for kind, made in KINDS.items() if is_there(made.needs.replace("pyjpegls", "jpeg_ls"))]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs_are_read_or_refused(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if kind not in PRESENT:
        pytest.skip(f"{KINDS[kind].needs} makes them")
    tried = try_damaged([kind], tmp_path, FOUND, "--seconds", str(SECONDS), "--count", COUNT)
    with capsys.disabled():
        print(f"\n{kind}: seed {SEED}, {SECONDS:g} s: {dict(tried.verdicts[kind].most_common())}")  # noqa: T201
    assert not tried.findings, f"seed {SEED}, kept in tests/fuzz/found: {tried.findings}"
    assert tried.verdicts[kind].total() > FEW and "read" in tried.verdicts[kind] and len(tried.verdicts[kind]) > 1


def test_a_few_damaged_inputs_of_every_kind_are_read_or_refused(tmp_path: Path) -> None:
    tried = try_damaged(PRESENT, tmp_path, FOUND, "--count", str(FEW))
    assert not tried.findings, f"seed {SEED}, kept in tests/fuzz/found: {tried.findings}"
    assert all(tried.verdicts[kind].total() == FEW for kind in PRESENT)


def test_what_was_once_a_finding_is_none(tmp_path: Path) -> None:
    """Each in turn; behind one that kills the process, a new one goes on."""
    tried = Tried()
    left = [path for path in CASES if path.name.partition(".")[0] in PRESENT]
    broke = []
    while left:
        killer = tried.watch(["--files", *map(str, left)], tmp_path)
        broke += [left[number].name for _, number in tried.findings]
        tried.findings.clear()
        left = left[killer[1] + 1 :] if killer else []
    assert not broke
    assert all(path.name.partition(".")[0] in KINDS for path in CASES)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("kills", "the process ended with -11"),
        ("hangs", "the process ended with 1: Timeout"),
        ("dallies", "FINDING 2 s"),
        ("raises", "KeyError: 'a'"),
        ("grows", " MB"),
    ],
)
def test_what_breaks_the_rule_is_found(tmp_path: Path, what: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: a reader that breaks of what holds no "Pulmo", put on the child's path."""
    ways = {
        "kills": "__import__('ctypes').string_at(0)",
        "hangs": "__import__('time').sleep(60)",
        "dallies": "__import__('time').sleep(2.3)",
        "raises": "{}['a']",
        "grows": "(b'x' * 4 * 10**8)[:1]",
    }
    (tmp_path / "sitecustomize.py").write_text(f"""
import triplenet.scan
real = triplenet.scan.read_segment_names
def broken(path):
    if b"Pulmo" not in path.read_bytes():
        {ways[what]}
    return real(path)
triplenet.scan.read_segment_names = broken
""")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    budget = ("--budget-s", "2", "--budget-mb", "150")
    tried = try_damaged(["segment-names"], tmp_path / "room", tmp_path / "found", "--count", "15", *budget)
    assert tried.findings and all(said in finding for finding in tried.findings.values())
    assert tried.verdicts["segment-names"]["read"]
    kept = {path.name for path in (tmp_path / "found").iterdir()}
    assert kept == {f"segment-names.{SEED}-{number}.toml" for _, number in tried.findings}
    assert not any(b"Pulmo" in path.read_bytes() for path in (tmp_path / "found").iterdir())
