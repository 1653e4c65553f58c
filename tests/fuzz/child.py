"""Reads damaged inputs, one after the other, in a process of its own: a native decoder that dies takes only it along.

    python tests/fuzz/child.py FOLDER --kinds nrrd,nifti --seed 7 --count 100 --seconds 10
    python tests/fuzz/child.py FOLDER --files nrrd.7-12.nrrd ...

Says ``begin KIND NUMBER`` before each input and ``end KIND NUMBER VERDICT`` behind it, so that its parent knows which
one killed it: that one lies in ``FOLDER/work`` still. One that takes too long ends the process.
"""

from __future__ import annotations

import argparse
import faulthandler
import re
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.kinds import KINDS, damaged, verdict

_ALL_MB = 16_000


def judged(kind: str, number: int, data: bytes, folder: Path, budget_s: float, budget_mb: int) -> str:
    """Read one input; what came of it, ``FINDING ...`` where it broke the rule."""
    path = folder / "work" / KINDS[kind].name
    path.write_bytes(data)
    print("begin", kind, number, flush=True)
    before, began = _most_mb(), time.monotonic()
    faulthandler.dump_traceback_later(2 * budget_s, exit=True)
    try:
        said = verdict(kind, path, folder / kind)
    except BaseException:
        said = "FINDING " + " | ".join(line.strip() for line in traceback.format_exc().splitlines()[-5:])
    faulthandler.cancel_dump_traceback_later()
    took = time.monotonic() - began
    grown = _most_mb() - before
    if took > budget_s or grown > budget_mb:
        said = f"FINDING {took:.0f} s and {grown} MB"
    print("end", kind, number, said, flush=True)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input of the first kind")
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=1e9, help="for each kind")
    parser.add_argument("--files", type=Path, nargs="*", default=[])
    parser.add_argument("--budget-s", type=float, default=20, help="of an input of a few kilobytes, read in every way")
    parser.add_argument("--budget-mb", type=int, default=1000, help="what it may take besides what the process has")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_ALL_MB * 2**20, resource.RLIM_INFINITY))
    budget = options.budget_s, options.budget_mb
    (options.folder / "work").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(options.files):
        kind = path.name.partition(".")[0]
        if not (options.folder / kind).is_dir():
            _sources(kind, options.folder)
        judged(kind, number, path.read_bytes(), options.folder, *budget)
    first = options.first
    for kind in filter(None, options.kinds.split(",")):
        sources = _sources(kind, options.folder)
        began = time.monotonic()
        for number in range(first, options.count):
            if time.monotonic() - began > options.seconds:
                break
            data = damaged(sources, kind, options.seed, number)
            if judged(kind, number, data, options.folder, *budget).startswith("FINDING"):
                kept = options.folder / "found" / f"{kind}.{options.seed}-{number}{Path(KINDS[kind].name).suffix}"
                kept.parent.mkdir(exist_ok=True)
                kept.write_bytes(data)
        first = 0


def _most_mb() -> int:
    """The most memory that this process had; getrusage would count what its parent had before it began."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024


def _sources(kind: str, folder: Path) -> list:
    shutil.rmtree(folder / kind, ignore_errors=True)
    (folder / kind).mkdir()
    return list(KINDS[kind].sources(folder / kind))


if __name__ == "__main__":
    main()
