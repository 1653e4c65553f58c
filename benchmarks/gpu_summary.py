"""One summary of what ``on_gpu.sh`` has measured so far: ``summary.json`` with all of it, ``summary.md`` to be read.

python benchmarks/gpu_summary.py WORK OUT
python benchmarks/gpu_summary.py --graph WORK     prints true where the recorded step is the faster one, else false
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from triplenet.files import write_json, write_text

AIM_MINUTES, AIM_SHARE = 5.0, 0.55
"""Of a fold of Triple Net, and of the memory's bound in a step"""
OUTCOMES = {
    "0": "done",
    "3": "done, but for runs that failed",
    "124": "stopped at its limit",
    "137": "killed at its limit",
    "left-out": "no time was left",
}
SPEEDS = {
    "step_ms": "step (ms)",
    "bound_ms": "memory bound (ms)",
    "share_of_bound": "share of the bound",
    "step_gb": "GB a step",
    "gb_per_s": "GB/s",
    "launches": "launches",
    "kernels": "kernels",
    "idle_share": "idle",
    "data_cost": "data cost",
    "speed_up": "against a plain loop",
    "peak_memory_gib": "memory (GiB)",
    "fold_minutes": "fold (min)",
}
SHOWN = ("method", "fold", "status", "text", "epochs", "seconds", "accuracy", "auc", "sensitivity", "specificity", "f1")
"""Columns of a benchmark's tables"""


def gather(work: Path) -> dict[str, Any]:
    """All that the steps have written."""
    lines = [line.split("\t") for line in _read(work / "steps.tsv").splitlines()]
    found: dict[str, Any] = {
        "steps": [
            {"name": name, "outcome": OUTCOMES.get(code, f"failed with {code}"), "seconds": int(seconds)}
            for name, code, seconds in lines
        ]
    }
    for name in ("speed", "compiled", "same_bits"):
        text = _read(work / f"{name}.json")
        if text:
            found[name] = json.loads(text)
    found["benchmarks"] = {
        folder.name: {path.stem: _rows(path) for path in sorted(folder.glob("tables/table[123].csv"))}
        | {"runs": _rows(folder / "runs.csv")}
        for folder in sorted((work / "runs").glob("*"))
    }
    return found


def speeds(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``method, mode`` -> what was measured, of all calls."""
    return {
        f"{method}, {mode}": measured
        for call in ("speed", "compiled")
        for method, modes in found.get(call, {}).get("methods", {}).items()
        for mode, measured in modes.items()
    }


def graph_is_faster(found: Mapping[str, Any]) -> bool:
    """Whether the trainings are to be recorded."""
    modes = found.get("speed", {}).get("methods", {}).get("triple", {})
    times = [modes.get(mode, {}).get("step_ms") for mode in ("graph", "eager")]
    return None not in times and times[0] < times[1]


def aims(found: Mapping[str, Any]) -> list[str]:
    """Whether Triple Net reaches them, and how."""
    ours = {name: one for name, one in speeds(found).items() if name.startswith("triple,") and "step_ms" in one}
    if not ours:
        return ["Triple Net's step was not measured."]
    name = min(ours, key=lambda one: ours[one]["step_ms"])
    best = ours[name]
    lines = [_aim(f"{best['share_of_bound']:.0%} of the memory bound", best["share_of_bound"] >= AIM_SHARE, "55 %")]
    if "fold_minutes" in best:
        reached = best["fold_minutes"] <= AIM_MINUTES
        lines.append(_aim(f"{best['fold_minutes']} minutes a fold", reached, "5 minutes"))
    if "compile" in name:
        lines.append("The bound is that of separate kernels; compiled ones move less.")
    return [f"The fastest is {name}:", *lines]


def _aim(what: str, reached: bool, aim: str) -> str:
    return f"{what}, {'as was aimed at' if reached else 'short of the aim'} ({aim})."


def markdown(found: Mapping[str, Any]) -> str:
    """What was found, as a page."""
    machine = found.get("speed", {})
    parts = ["# On a GPU", ""]
    if machine:
        parts += [
            f"{machine['device']}, torch {machine['versions']['torch']}, {machine['precision']}: copy "
            f"{machine['copy_gb_per_s']} GB/s, triad {machine['triad_gb_per_s']} GB/s, products "
            f"{machine['matmul_tflops']} TFLOP/s.",
            "",
        ]
    parts += [" ".join(aims(found)), "", "## Steps", ""]
    parts += _table(["step", "outcome", "s"], ([one["name"], one["outcome"], one["seconds"]] for one in found["steps"]))
    if speeds(found):
        parts += ["## A training step", ""]
        parts += _table(["method, mode", *SPEEDS.values()], _speed_rows(found))
    if "same_bits" in found:
        parts += ["## Deterministic training", ""]
        columns = ["again", "resumed", "recorded", "as_eager", "failed"]
        rows = (
            [method, *(one.get(column, "") for column in columns), *_seconds(one)]
            for method, one in found["same_bits"]["methods"].items()
        )
        parts += _table(["method", *columns, "epoch (s)", "deterministic"], rows)
    for name, tables in found["benchmarks"].items():
        for table, rows in tables.items():
            if rows:
                columns = [column for column in rows[0] if column in SHOWN]
                parts += [f"## {name}: {table}", ""]
                parts += _table(columns, ([row[column] for column in columns] for row in rows))
    return "\n".join(parts)


def _speed_rows(found: Mapping[str, Any]) -> Iterator[list[object]]:
    for name, one in speeds(found).items():
        if "failed" in one:
            yield [name, one["failed"], *[""] * (len(SPEEDS) - 1)]
        else:
            yield [name, *("" if one.get(key) is None else one[key] for key in SPEEDS)]


def _seconds(one: Mapping[str, Any]) -> list[object]:
    seconds = one.get("seconds", {})
    return [seconds.get("as it comes", ""), seconds.get("deterministic", "")]


def _table(header: Sequence[str], rows: Iterator[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines] + [""]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(_read(path).splitlines()))


def main() -> None:
    """Write both, or tell which is faster."""
    if sys.argv[1] == "--graph":
        print(str(graph_is_faster(gather(Path(sys.argv[2])))).lower())
        return
    work, out = Path(sys.argv[1]), Path(sys.argv[2])
    found = gather(work)
    write_json(out / "summary.json", found)
    write_text(out / "summary.md", markdown(found))


if __name__ == "__main__":
    main()
