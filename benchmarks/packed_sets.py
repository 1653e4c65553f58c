"""Prepared sets as archives that are small enough to be carried to another machine, and results small enough to return.

    python benchmarks/packed_sets.py pack SETS PREPARED:TASK ...    -> SETS/NAME.TASK.tar.xz
    python benchmarks/packed_sets.py unpack ARCHIVE FOLDER
    python benchmarks/packed_sets.py results RUNS ARCHIVE           what a repository keeps of benchmarks: no model

Frames are left behind: 2D methods read none, and they are most of a set.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path

from triplenet.catalog import TASKS
from triplenet.prepare import store

FRAMES = (store.FRAMES, store.FRAME_LUNGS)
KEPT = (".csv", ".json", ".md")


def pack(sets: Path, prepared: Path, task: str) -> Path:
    """Write one set's archive."""
    if task not in TASKS:
        raise SystemExit(f"{task!r} is no task; known are {', '.join(TASKS)}")
    info = json.loads((prepared / store.INFO).read_text(encoding="utf-8"))
    info |= {"frames": 0, "frame_size": 0, "frame_lungs": False}
    info["files"] = {name: value for name, value in info["files"].items() if name not in FRAMES}
    sets.mkdir(parents=True, exist_ok=True)
    archive = sets / f"{prepared.resolve().name}.{task}.tar.xz"
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive, "w:xz") as packed:
        changed = Path(folder, store.INFO)
        changed.write_text(json.dumps(info), encoding="utf-8")
        packed.add(changed, store.INFO, filter=nameless)
        for name in info["files"]:
            packed.add(prepared / name, name, filter=nameless)
    return archive


def unpack(archive: Path, folder: Path) -> None:
    """Read one back; it appears whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=folder.parent))
    with tarfile.open(archive) as packed:
        packed.extractall(half, filter="data")
    half.rename(folder)


def results(runs: Path, archive: Path) -> None:
    """Tables, histories and predictions of all benchmarks in a folder."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    half = archive.with_name(f".{archive.name}")
    with tarfile.open(half, "w:gz") as packed:
        for path in sorted(runs.rglob("*")):
            if path.is_file() and path.suffix in KEPT:
                packed.add(path, path.relative_to(runs), filter=nameless)
    half.replace(archive)


def nameless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def main() -> None:
    """Do what the words say."""
    match sys.argv[1:]:
        case ["pack", sets, *given] if given:
            for one in given:
                prepared, _, task = one.rpartition(":")
                archive = pack(Path(sets), Path(prepared), task)
                print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")
        case ["unpack", archive, folder]:
            unpack(Path(archive), Path(folder))
        case ["results", runs, archive]:
            results(Path(runs), Path(archive))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
