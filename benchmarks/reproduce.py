"""The paper's whole comparison on a synthetic cohort with the numbers of its Table 1, by the package's own verbs.

    python benchmarks/reproduce.py [--size small|paper] [--out FOLDER] [--encoder FILE] [--workers N] [--keep FOLDER]

Runs, one after the other, what ``docs/reproduce.md`` describes: phantom -> prepare with frames -> the room that the
cohort leaves (``phantom_room.py``) -> all ten methods on three folds, ``binary`` and ``appearance`` (Tables 2 and 3,
Figs. 3 to 8) -> explanations of every run, scored -> ``index.html``. After a stop, at whatever moment, the same call
goes on: finished steps are kept, and each verb goes on by itself. ``steps.json`` holds each step's command, the
commits of the code that ran it, and its seconds over all calls.

``--keep`` copies what a repository keeps (tables, figures, scores, steps; no run, no prepared image) into a
folder, with a ``README.md`` that says which commit made each number.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

from triplenet.catalog import PAPERS_METHODS
from triplenet.files import make_folder, write_csv, write_json, write_text
from triplenet.report.components import table
from triplenet.report.markup import Markup, element
from triplenet.report.page import page, section

ROOT = Path(__file__).resolve().parents[1]
TASKS = {"binary": "Table 2, Figs. 3 to 8", "appearance": "Table 3, Figs. 3 to 8"}
STEPS, INDEX, SCORES, ROOM = "steps.json", "index.html", "explanation_scores.csv", "phantom_room.json"
SCORED = ("mass_inside", "peak_inside", "dice")
"""Columns of ``explanations.csv`` that the summary has first; any other number that follows them is taken too."""
NOT_SCORES = ("number", "patient", "right", "frame", "p_")
"""Numbers in ``explanations.csv`` that are none of a map's scores; ``p_`` begins a class's probability."""
Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Size:
    """How large everything is: options of the verbs."""

    phantom: tuple[str, ...]
    prepare: tuple[str, ...]
    benchmark: tuple[str, ...]
    encoder: str | None
    """None: as the recipe says, which needs ImageNet weights"""
    methods: tuple[str, ...] = tuple(PAPERS_METHODS)
    device: str = "auto"


SIZES: Mapping[str, Size] = {
    # Two cores, some hours: see docs/reproduce.md for the trials behind these numbers.
    "small": Size(
        ("--like", "paper", "--seed", "11", "--matrix", "128", "--thickness", "5", "--format", "nifti"),
        ("--size", "96", "--frames", "8", "--frame-size", "64"),
        ("--recipe", "quick", "--set", "training.epochs=12", "--set", "training.learning_rate=0.001"),
        "none",
        device="cpu",
    ),
    # The paper's conditions; a GPU.
    "paper": Size(
        ("--like", "paper", "--seed", "11", "--matrix", "512", "--format", "nifti"),
        ("--size", "256", "--frames", "64", "--frame-size", "224"),
        ("--recipe", "paper"),
        None,
    ),
    # Nothing but the way: minutes.
    "toy": Size(
        ("--patients", "30", "--seed", "11", "--matrix", "64", "--thickness", "10", "--format", "nifti"),
        ("--size", "64", "--frames", "8", "--frame-size", "32"),
        ("--recipe", "quick", "--set", "training.epochs=1"),
        "none",
        ("covnet", "baseline", "triple"),
        device="cpu",
    ),
}


@dataclass(frozen=True)
class Step:
    """A command and what is there when it is done."""

    name: str
    command: tuple[str, ...]
    """Of ``triplenet``, or of Python where the first word is a file"""
    made: Path
    """Relative to the folder of the reproduction"""
    again: bool = False
    """The command finds out by itself what is done, and is run whenever the steps are"""
    machine: tuple[str, ...] = ()
    """Options that decide how fast it is and nothing else"""


def steps(size: Size, out: Path, encoder: str | None = None, workers: int | None = None) -> Iterator[Step]:
    """What is to be done, in its order."""
    cohort = out / "cohort" / "cohort.csv"
    prepared = out / "prepared"
    jobs = () if workers is None else ("--jobs", str(workers))
    yield Step("phantom", ("phantom", str(out / "cohort"), *size.phantom), Path("cohort/cohort.csv"), machine=jobs)
    command: tuple[str, ...] = ("prepare", str(cohort), str(prepared), *size.prepare)
    yield Step("prepare", command, Path("prepared/prepared.json"), machine=jobs)
    room = (str(ROOT / "benchmarks" / "phantom_room.py"), str(cohort), "--out", str(out / ROOM))
    yield Step("room", room, Path(ROOM))
    weights = encoder or size.encoder
    how = (
        *size.benchmark,
        *(() if weights is None else ("--encoder", weights)),
        *("--device", size.device),
    )
    at_once = () if workers is None else ("--workers", str(workers))
    for task in TASKS:
        command = ("benchmark", str(prepared), "--out", str(out / task), "--task", task, "--methods")
        yield Step(
            task, (*command, ",".join(size.methods), *how), Path(task, "report.html"), again=True, machine=at_once
        )
    for task in TASKS:
        for run in finished_runs(out / task):
            name = "-".join(run.relative_to(out / task / "runs").parts)
            there = Path("explained", task, name)
            command = ("explain", str(run), "--out", str(out / there), "--device", size.device)
            yield Step(f"explain {task} {name}", command, there / "explanations.csv")


def finished_runs(benchmark: Path) -> list[Path]:
    """The folders of a benchmark's runs that have a model."""
    return sorted(path.parent for path in (benchmark / "runs").rglob("model.safetensors"))


def reproduce(
    size: Size, out: Path, *, run: Run, commit: str, encoder: str | None = None, workers: int | None = None
) -> int:
    """Do all steps that are not done; returns the exit code of the first that fails, else 0.

    :param run: runs a command, returns its exit code
    :param commit: of the code that runs
    """
    make_folder(out)
    said = _said(out)
    for step in steps(size, out, encoder, workers):
        command = shlex.join(_shown(word, out) for word in _words(step))
        note = said.get(step.name, {"command": command, "commits": [], "seconds": 0.0, "done": False})
        if note["command"] != command:
            raise SystemExit(f"{out} was begun by another command for {step.name}; name another --out, or remove it")
        if (out / step.made).exists() and not step.again:
            continue
        began = monotonic()
        code = run((*step.command, *step.machine))
        said[step.name] = note
        note["commits"] = [*dict.fromkeys([*note["commits"], commit])]
        note["seconds"] = round(note["seconds"] + monotonic() - began, 1)
        # 3: a run that failed stands as failed in every table; the others are there.
        note["done"] = code in (0, 3) and (out / step.made).exists()
        write_json(out / STEPS, said)
        if not note["done"]:
            return code or 1
    scores = explanation_scores(out)
    write_csv(out / SCORES, scores)
    write_text(out / INDEX, index(out, said, scores))
    return 0


def explanation_scores(out: Path) -> list[dict[str, object]]:
    """A row a task and method: the mean of each score over the test patients of all folds, and of how many.

    A score counts where it is defined, which for those against the true infection is where there is any.
    """
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(out.glob("explained/*/*/explanations.csv")):
        method = json.loads((path.parent / "explanations.json").read_text(encoding="utf-8"))["method"]
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                for name, cell in row.items():
                    if not name.startswith(NOT_SCORES) and (value := _number(cell)) is not None:
                        values[path.parent.parent.name, method][name].append(value)
    order = list(PAPERS_METHODS)
    rows = []
    for (task, method), found in sorted(
        values.items(), key=lambda one: (one[0][0] != "binary", order.index(one[0][1]))
    ):
        means: dict[str, object] = {}
        for name, numbers in found.items():
            means |= {name: round(fmean(numbers), 4), f"{name}_patients": len(numbers)}
        rows.append({"task": task, "method": method, **means})
    return rows


def index(out: Path, said: Mapping[str, Any], scores: Sequence[Mapping[str, object]]) -> str:
    """The page that leads to all that was made."""
    links = [element("li", element("a", f"{task}: {what}", href=f"{task}/report.html")) for task, what in TASKS.items()]
    parts = [section("pages", "Tables and figures", element("ul", links))]
    if scores:
        columns = [name for name in SCORED if any(name in row for row in scores)]
        rows = [
            (
                f"{row['task']}: {PAPERS_METHODS[str(row['method'])].title}",
                [element("td", str(row.get(name, "–")), class_="number") for name in columns],
            )
            for row in scores
        ]
        caption = f"Means over the test patients of three folds; more in {SCORES}"
        made = table(["method", *columns], rows, label="Scores of the explanations", caption=caption)
        parts.append(section("explanations", "Explanations against the true infection", made))
    if (out / ROOM).is_file():
        room = json.loads((out / ROOM).read_text(encoding="utf-8"))
        rows = [
            (f"{task}: {bound}", [_interval(room[task][bound][name]) for name in ("auc", "accuracy")])
            for task in TASKS
            for bound in ("opacity", "position", "slice", "volume")
        ]
        caption = "Out-of-fold, with 95 % intervals; benchmarks/phantom_room.py says what each reads"
        made = table(["reads", "AUC", "accuracy"], rows, label="Room of the cohort", caption=caption)
        parts.append(section("room", "What the cohort allows", made))
    rows = [
        (name, [element("td", f"{note['seconds']:.0f}", class_="number"), element("td", ", ".join(note["commits"]))])
        for name, note in said.items()
    ]
    made = table(["step", "seconds", "commits"], rows, label="Steps", caption=f"Commands are in {STEPS}")
    parts.append(section("steps", "What was done", made))
    return page(
        "The paper's comparison on a synthetic cohort",
        parts,
        eyebrow="triplenet reproduce",
        lead=["Every scan is synthetic: this shows how methods compare on phantoms, and says nothing about patients."],
    )


def keep(out: Path, folder: Path) -> None:
    """Copy what a repository keeps of a reproduction, and say which commit made it."""
    said = _said(out)
    make_folder(folder)
    for name in (STEPS, SCORES, ROOM):
        if (out / name).is_file():
            shutil.copyfile(out / name, folder / name)
    for task in TASKS:
        for part, ends in (("tables", (".md", ".csv")), ("figures", (".png", ".csv"))):
            for path in sorted((out / task / part).glob("*.*")):
                if path.suffix in ends:
                    make_folder(folder / task / part)
                    shutil.copyfile(path, folder / task / part / path.name)
    lines = ["# What made these numbers", "", "| step | commits | seconds |", "| --- | --- | --- |"]
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for name, note in said.items():
        groups[name.split()[0] if name.startswith("explain ") else name].append(note)
    for name, notes in groups.items():
        commits = ", ".join(dict.fromkeys(commit for note in notes for commit in note["commits"]))
        lines.append(f"| {name} | {commits} | {sum(note['seconds'] for note in notes):.0f} |")
    shown = [note["command"] for name, notes in groups.items() if name != "explain" for note in notes]
    lines += ["", "```sh", *shown, "```", ""]
    write_text(folder / "README.md", "\n".join(lines))


def commit_of(root: Path = ROOT) -> str:
    """The commit of the code, with ``+`` where files differ from it; ``unknown`` outside of a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    name = git("rev-parse", "--short=10", "HEAD")
    if not name:
        return "unknown"
    return name + ("+" if git("status", "--porcelain", "--", "src", "benchmarks") else "")


def run_verb(command: Sequence[str]) -> int:
    """Run one of ``triplenet``'s verbs, or a script, by this Python."""
    return subprocess.run([sys.executable, *_python_words(command)], check=False).returncode


def _python_words(command: Sequence[str]) -> list[str]:
    return list(command) if command[0].endswith(".py") else ["-m", "triplenet", *command]


def _words(step: Step) -> list[str]:
    return ["python", *step.command] if step.command[0].endswith(".py") else ["triplenet", *step.command]


def _shown(word: str, out: Path) -> str:
    """A word of a command without the places of this machine."""
    for place, name in ((out, out.name), (ROOT, ".")):
        if word == str(place) or word.startswith(f"{place}/"):
            return str(Path(name, *Path(word).relative_to(place).parts))
    return Path(word).name if Path(word).is_absolute() else word


def _said(out: Path) -> dict[str, Any]:
    path = out / STEPS
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _number(cell: str) -> float | None:
    if cell in ("yes", "no"):
        return float(cell == "yes")
    try:
        return float(cell)
    except ValueError:
        return None


def _interval(values: Sequence[float | None]) -> Markup:
    value, low, high = ("–" if one is None else f"{one:.3f}" for one in values)
    return element("td", f"{value} ({low} to {high})", class_="number")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--out", type=Path, help="by default reproduced/SIZE")
    parser.add_argument("--encoder", help="the encoders' first weights: a file, imagenet, or none")
    parser.add_argument("--workers", type=int, help="processes and trainings at once; by default as the machine allows")
    parser.add_argument("--keep", type=Path, help="copy tables, figures and scores into this folder")
    options = parser.parse_args()
    size, out = SIZES[options.size], options.out or Path("reproduced", options.size)
    code = reproduce(size, out, run=run_verb, commit=commit_of(), encoder=options.encoder, workers=options.workers)
    if code:
        raise SystemExit(code)
    if options.keep is not None:
        keep(out, options.keep)
    print(f"look at {out / INDEX}")


if __name__ == "__main__":
    main()
