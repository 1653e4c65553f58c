"""The paper's whole comparison on a synthetic cohort with the numbers of its Table 1, by the package's own verbs.

    python benchmarks/reproduce.py [--size small|paper] [--out FOLDER] [--encoder FILE] [--workers N] [--keep FOLDER]

Runs, one after the other, what ``docs/reproduce.md`` describes: phantom -> prepare with frames -> the room that the
cohort leaves (``phantom_room.py``) -> all ten methods on three folds, ``binary`` and ``appearance`` (Tables 2 and 3,
Figs. 3 to 8, the heat maps against the lesions, comparators from outside the paper beside the methods) -> what each
part of Triple Net does (``ablations``) -> ``index.html``. After a stop, at whatever moment, the same call goes on:
finished steps are kept, and each verb goes on by itself. ``steps.json`` holds each step's command, the commits of the
code that ran it, and its seconds over all calls but those that were killed outright.

``--keep`` copies what a repository keeps (tables, figures, statistics, scores of the maps, steps; no run, no prepared
image) into a folder, with a ``README.md`` that says which commit made each number.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from triplenet.benchmark.benchmark_files import MAPS, REPORT, STATISTICS, TABLES
from triplenet.catalog import PAPERS_METHODS
from triplenet.evaluation.tables import MARKS
from triplenet.explanation.map_scores import MEASURES
from triplenet.files import make_folder, write_json, write_text
from triplenet.pages.components import table
from triplenet.pages.markup import Markup, element
from triplenet.pages.page import page, section

ROOT = Path(__file__).resolve().parents[1]
TASKS = {"binary": "Table 2, Figs. 3 to 8", "appearance": "Table 3, Figs. 3 to 8"}
ABLATIONS = "ablations"
PAGES = {**TASKS, ABLATIONS: "what each part of Triple Net does, binary"}
STEPS, INDEX, ROOM = "steps.json", "index.html", "phantom_room.json"
_TABLE2 = ("table2.csv", {"AUC": "auc", "accuracy": "accuracy", "sensitivity": "sensitivity", "F": "f1"})
SHOWN = {
    "binary": _TABLE2,
    "appearance": ("table3.csv", {"AUC": "auc", "accuracy": "accuracy", "recall": "sensitivity", "F": "f1"}),
    ABLATIONS: _TABLE2,
}
"""Benchmark -> what the index shows of its table: heading -> column"""
PARTS = (
    "no-contrast=triple:loss.weights.contrastive=0,loss.curriculum=off",
    "no-curriculum=triple:loss.curriculum=off",
    "all-in-denominator=triple:loss.contrastive.denominator=all",
    "no-segmentation=triple:loss.weights.segmentation=0",
    "no-attention=triple:network.attention=none",
    "detached=triple:network.detach_attention=true",
    "bilinear=triple:network.attention_resize=bilinear",
    "true-mask=triple:network.attention=true-mask",
    "masks-30=triple:training.mask_share=0.3",
    "masks-10=triple:training.mask_share=0.1",
    "masks-3=triple:training.mask_share=0.03",
)
"""Triple Net without, or with another, part"""
TRAINING, FEWER = 852, (400, 200, 100)
"""Patients that teach in a fold, and how many of them a learning curve takes"""


def fewer_patients(epochs: int) -> Iterator[str]:
    """Variants of fewer training patients, each trained for as many steps as all of them are in so many epochs."""
    for method in ("baseline", "triple"):
        for number in FEWER:
            name = f"{method}-{number}"
            longer = round(epochs * TRAINING / number)
            yield f"{name}={method}:training.patients={number},training.epochs={longer}"


Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Size:
    """How large everything is: options of the verbs."""

    phantom: tuple[str, ...]
    prepare: tuple[str, ...]
    benchmark: tuple[str, ...]
    encoder: str | None
    """None: as the recipe says, which needs ImageNet weights"""
    variants: tuple[str, ...]
    """Rows of the ablations beside baseline and Triple Net"""
    methods: tuple[str, ...] = tuple(PAPERS_METHODS)
    folds: str = "1,2,3"
    """Of the ablations"""
    device: str = "auto"


#: Phantoms are of one make: of 1,279 a few pairs look as alike as one patient's images would, and none is one patient.
_ALL_APART = "--allow-leakage"
SIZES: Mapping[str, Size] = {
    # Two cores, some hours: see docs/reproduce.md for the trials behind these numbers.
    "small": Size(
        ("--like", "paper", "--seed", "11", "--matrix", "128", "--thickness", "5", "--format", "nifti"),
        ("--size", "64", "--frames", "8", "--frame-size", "48", _ALL_APART),
        ("--recipe", "quick", "--set", "training.epochs=8", "--set", "training.learning_rate=0.001"),
        "none",
        (*PARTS, *fewer_patients(8)),
        folds="1",
        device="cpu",
    ),
    # The paper's conditions; a GPU.
    "paper": Size(
        ("--like", "paper", "--seed", "11", "--matrix", "512", "--format", "nifti"),
        ("--size", "256", "--frames", "64", "--frame-size", "224", _ALL_APART),
        ("--recipe", "paper"),
        None,
        (*PARTS, *fewer_patients(1000)),
    ),
    # Nothing but the way: minutes.
    "toy": Size(
        ("--patients", "30", "--seed", "11", "--matrix", "64", "--thickness", "10", "--format", "nifti"),
        ("--size", "64", "--frames", "8", "--frame-size", "32"),
        ("--recipe", "quick", "--set", "training.epochs=1"),
        "none",
        PARTS[-4:-2],
        ("covnet", "baseline", "triple"),
        folds="1",
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
    beside: tuple[str, ...] = ()
    """Options that add rows and change none: a folder that was begun without them is gone on with"""


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
        command = (*command, ",".join(size.methods), *how)
        yield Step(task, command, Path(task, REPORT), again=True, machine=at_once, beside=("--comparators", "all"))
    command = ("benchmark", str(prepared), "--out", str(out / ABLATIONS), "--task", "binary", "--methods")
    variants = (word for variant in size.variants for word in ("--variant", variant))
    more = ("baseline,triple", "--folds", size.folds, "--reference", "triple", "--no-score-maps", *variants)
    yield Step(ABLATIONS, (*command, *more, *how), Path(ABLATIONS, REPORT), again=True, machine=at_once)


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
        begun, command = (
            shlex.join(_shown(word, out) for word in (*_words(step), *more)) for more in ((), step.beside)
        )
        note = said.get(step.name, {"command": command, "commits": [], "seconds": 0.0, "done": False})
        if note["command"] not in (begun, command):
            raise SystemExit(f"{out} was begun by another command for {step.name}; name another --out, or remove it")
        if (out / step.made).exists() and not step.again:
            continue
        said[step.name] = note
        note["command"] = command
        note["commits"] = [*dict.fromkeys([*note["commits"], commit])]
        # Before it runs: of a call that is killed the commit remains, since its runs do too.
        write_json(out / STEPS, said)
        began = monotonic()
        code = 1
        try:
            code = run((*step.command, *step.beside, *step.machine))
        finally:
            note["seconds"] = round(note["seconds"] + monotonic() - began, 1)
            # 3: a run that failed stands as failed in every table; the others are there.
            note["done"] = code in (0, 3) and (out / step.made).exists()
            write_json(out / STEPS, said)
        if not note["done"]:
            return code or 1
    write_text(out / INDEX, index(out, _known(said)))
    return 0


def index(out: Path, said: Mapping[str, Any]) -> str:
    """The page that leads to all that was made, with the main numbers of it."""
    links = [element("li", element("a", f"{task}: {what}", href=f"{task}/{REPORT}")) for task, what in PAGES.items()]
    parts = [section("pages", "Tables and figures", element("ul", links))]
    for task, what in PAGES.items():
        made = results_in_short(out / task, task)
        if made is not None:
            parts.append(section(task, what.partition(",")[0], made))
    made = maps_in_short(out)
    if made is not None:
        parts.append(section("maps", "Heat maps against the lesions", made))
    if (out / ROOM).is_file():
        room = json.loads((out / ROOM).read_text(encoding="utf-8"))
        rows = [
            (f"{task}: {bound}", [_interval(room[task][bound][name], percent=True) for name in ("auc", "accuracy")])
            for task in TASKS
            for bound in ("opacity", "position", "slice", "volume")
        ]
        caption = "Out-of-fold, with 95 % intervals; benchmarks/phantom_room.py says what each reads"
        made = table(["reads", "AUC (%)", "accuracy (%)"], rows, label="Room of the cohort", caption=caption)
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


def results_in_short(folder: Path, task: str) -> Markup | None:
    """The main columns of a benchmark's Table 2 or 3; None where no run finished."""
    name, columns = SHOWN[task]
    reference = "Triple Net" if task == ABLATIONS else "the baseline"
    rows = [
        (_row_title(row), [_spread(row, column) for column in columns.values()])
        for row in _read_csv(folder / TABLES / name)
    ]
    if not rows:
        return None
    header = ["method", *(f"{heading} (%)" for heading in columns)]
    caption = f"Means over the test folds ± population spread; ⁺ and ⁻: significantly better or worse than {reference}"
    return table(header, rows, label=f"Results of {task}", caption=caption)


def maps_in_short(out: Path) -> Markup | None:
    """How each map scores by the primary measure, the tasks side by side; None where no maps were scored."""
    header, titles = ["map"], dict[str, str]()
    cells: dict[str, dict[str, Markup]] = {}
    for task in TASKS:
        if not (out / task / MAPS).is_file():
            continue
        primary = json.loads((out / task / MAPS).read_text(encoding="utf-8"))["primary"]
        percent = MEASURES[primary].percent
        header.append(f"{task}: {MEASURES[primary].title}" + (" (%)" if percent else ""))
        cells[task] = {}
        for row in _read_csv(out / task / TABLES / "map_scores.csv"):
            titles[row["map"]] = row["title"]
            cells[task][row["map"]] = _score(row, primary, percent=percent)
    rows = [
        (title, [found.get(name, element("td", "–", class_="number")) for found in cells.values()])
        for name, title in titles.items()
    ]
    caption = (
        "The primary measure: means over the test patients with a lesion, with 95 % intervals. Below a score stands "
        "which map that sees no network it does not exceed, or that it is a ceiling and no explanation"
    )
    return table(header, rows, label="Scores of the heat maps", caption=caption) if rows else None


def keep(out: Path, folder: Path) -> None:
    """Copy what a repository keeps of a reproduction, and say which commit made it."""
    said = _known(_said(out))
    make_folder(folder)
    write_json(folder / STEPS, said)
    for path in _kept(out):
        make_folder(folder / path.parent)
        shutil.copyfile(out / path, folder / path)
    lines = ["# What made these numbers", "", "| step | commits | seconds |", "| --- | --- | --- |"]
    lines += [f"| {name} | {', '.join(note['commits'])} | {note['seconds']:.0f} |" for name, note in said.items()]
    lines += ["", "```sh", *(note["command"] for note in said.values()), "```", ""]
    write_text(folder / "README.md", "\n".join(lines))


def _kept(out: Path) -> Iterator[Path]:
    """Relative to the folder of the reproduction; of the heat maps the panels on one scale, all else is too large."""
    names = [ROOM, *(f"{task}/{name}" for task in PAGES for name in (MAPS, STATISTICS))]
    yield from (Path(name) for name in names if (out / name).is_file())
    for task in PAGES:
        for part, ends in ((TABLES, (".md", ".csv")), ("figures", (".png", ".csv"))):
            for path in sorted((out / task / part).glob("*.*")):
                if path.suffix in ends and not path.stem.endswith(("-own-maximum", "-paper")):
                    yield path.relative_to(out)


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
    """Run one of ``triplenet``'s verbs, or a script, by this Python; it ends with this process, which waits for it."""
    with subprocess.Popen([sys.executable, *_python_words(command)]) as running:
        try:
            return running.wait()
        except BaseException:
            running.terminate()
            raise


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


def _known(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the steps that there are; earlier code had more, whose results nothing here reads."""
    return {name: said[name] for name in ("phantom", "prepare", "room", *PAGES) if name in said}


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _row_title(row: Mapping[str, str]) -> str:
    return f"{row['title']} ({row['remark']})" if row["remark"] else row["title"]


def _spread(row: Mapping[str, str], column: str) -> Markup:
    """In per cent, as Tables 2 and 3 have it."""
    value, spread = row.get(column), row.get(f"{column}_spread")
    if not value:
        return element("td", "–", class_="number")
    mark = dict(MARKS).get(row.get(f"{column}_mark", ""), "")
    about = f" ± {100 * float(spread):.2f}" if spread else ""
    return element("td", f"{100 * float(value):.2f}{mark}{about}", class_="number")


def _score(row: Mapping[str, str], column: str, *, percent: bool) -> Markup:
    """A map's score with its interval, and the remark below."""
    if not row.get(column):
        return element("td", "–", class_="number")
    values = [float(row[name]) for name in (column, f"{column}_low", f"{column}_high")]
    return _interval(values, percent=percent, remark=row["remark"])


def _interval(values: Sequence[float | None], *, percent: bool, remark: str = "") -> Markup:
    scale, digits = (100, 1) if percent else (1, 3)
    value, low, high = ("–" if one is None else f"{scale * one:.{digits}f}" for one in values)
    below = element("span", remark, class_="interval") if remark else None
    return element("td", f"{value} ({low} to {high})", below, class_="number")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--out", type=Path, help="by default reproduced/SIZE")
    parser.add_argument("--encoder", help="the encoders' first weights: a file, imagenet, or none")
    parser.add_argument("--workers", type=int, help="processes and trainings at once; by default as the machine allows")
    parser.add_argument("--keep", type=Path, help="copy tables, figures and scores into this folder")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, which the running step is told of
    size, out = SIZES[options.size], options.out or Path("reproduced", options.size)
    code = reproduce(size, out, run=run_verb, commit=commit_of(), encoder=options.encoder, workers=options.workers)
    if code:
        raise SystemExit(code)
    if options.keep is not None:
        keep(out, options.keep)
    print(f"look at {out / INDEX}")


if __name__ == "__main__":
    main()
