"""Heat maps of all methods on the same patients, right ones above wrong ones, a panel a class (Figs. 6-8).

``heatmaps-1.png``               the maps of class 1's patients, all on one scale; with its SVG and its numbers
``heatmaps-1-own-maximum.png``   the same, each map divided by its own maximum
``heatmaps-1-paper.png``         as the paper prints it: a row a patient, a column a method, JET
``heatmaps-1/``                  every picture by itself
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from triplenet import catalog
from triplenet.evaluation.figures.figure_style import Drawn, write_picture
from triplenet.evaluation.figures.heatmap_tiles import SCALES, SIDE, Column, columns, patient_tiles, write_parts
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.results import Results
from triplenet.explanation.caption import caption
from triplenet.explanation.cases import Case, cases, chosen_patients, table_cell
from triplenet.explanation.drawing import write_png
from triplenet.explanation.overlay import ABSOLUTE, OWN_MAXIMUM, PAPER, Style
from triplenet.explanation.panel import BLANK, Tile, panel
from triplenet.prepare.store import PreparedSet
from triplenet.training.job import Job
from triplenet.training.run import Run

ACROSS = 6
"""Pictures in a line: a figure as wide as a page whose letters can be read"""
ROWS = 3
"""Patients of a kind: right, wrong"""
PARTS = "heatmaps-*"
"""Folders of single pictures"""
OWN, AS_PAPER = "-own-maximum", "-paper"
ALIKE = "All have the same scale from 0 to 1: a dark map found little."
#: Whose predictions part the patients into right and wrong: the first that is there.
LEADERS = ("triple", "triple-wsdl", "double")

Kinds = Mapping[bool, Sequence[str]]
"""Patients recognised by the leader, and those mistaken"""


@dataclass(frozen=True)
class _Explained:
    """One fold's patients as each method sees them."""

    results: Results
    runs: Mapping[str, Run]
    leader: str
    cases: Mapping[str, Mapping[str, Case]]
    """Method -> patient"""


def heatmap_figures(results: Results, folder: Path, prepared: PreparedSet, *, device: str = "cpu") -> Iterator[Drawn]:
    """A panel for each class that has test patients in the first finished fold."""
    runs = results.runs_of_one_fold()
    if not runs:
        return
    leader = next((name for name in LEADERS if name in runs), next(iter(runs)))
    picked = _picked(results, runs[leader])
    wanted = {patient for kinds in picked for each in kinds.values() for patient in each}
    found = _Explained(
        results,
        runs,
        leader,
        {method: _explain(method, run, results, prepared, wanted, device) for method, run in runs.items()},
    )
    for c, kinds in enumerate(picked):
        if any(kinds.values()):
            yield _panel(found, c, kinds, folder)


def _picked(results: Results, run: Run) -> tuple[Kinds, ...]:
    """Class -> right or wrong -> the first patients in the fold's order."""
    test = run.predictions().of("test")
    picked: tuple[dict[bool, list[str]], ...] = tuple({True: [], False: []} for _ in results.classes)
    for patient, label, predicted in zip(test.patients, test.labels.tolist(), test.predicted.tolist(), strict=True):
        if label >= 0 and len(picked[label][label == predicted]) < ROWS:
            picked[label][label == predicted].append(patient)
    return picked


def _explain(
    method: str, run: Run, results: Results, prepared: PreparedSet, wanted: set[str], device: str
) -> dict[str, Case]:
    chosen = chosen_patients(run, prepared, "test", sorted(wanted))
    job = Job(method, run.info.fold, run.recipe.training.seed)
    return {
        case.patient.patient: replace(case, probabilities=results.shown(job, case.probabilities[None])[0])
        for case in cases(run, prepared, chosen, device=device)
    }


def _panel(found: _Explained, c: int, kinds: Kinds, folder: Path) -> Drawn:
    results, runs, leader = found.results, found.runs, found.leader
    said = {True: f"recognised by {title_of(leader)}", False: f"mistaken by {title_of(leader)}"}
    patients = [
        (said[right], columns({method: each[patient] for method, each in found.cases.items()}))
        for right in (True, False)
        for patient in kinds[right]
    ]
    rows = [_row(column, results.classes) for _, maps in patients for column in maps]
    explanations = dict.fromkeys(caption(catalog.method(run.info.method).explanation).title for run in runs.values())
    kinds_of_map = f"Maps: {', '.join(explanations)}."
    shown = {
        scale: tuple(patient_tiles(maps, results.classes, words, style) for words, maps in patients)
        for scale, style in SCALES.items()
    }
    file = f"heatmaps-{c + 1}"
    png = write_picture(folder, file, _wrapped(shown["absolute"], f"{kinds_of_map} {ALIKE}", ABSOLUTE), rows)
    write_png(folder / f"{file}{OWN}.png", _wrapped(shown["own-maximum"], kinds_of_map, OWN_MAXIMUM))
    in_jet = [patient_tiles(maps, results.classes, words, PAPER) for words, maps in patients]
    write_png(folder / f"{file}{AS_PAPER}.png", _as_paper(in_jet, f"{kinds_of_map} {ALIKE}"))
    write_parts(folder / file, [maps for _, maps in patients], shown)
    name = results.classes[c]
    missing = "".join(
        f" No test patient of this class was {said[right]}." for right in (True, False) if not kinds[right]
    )
    return Drawn(
        file,
        f"Where they looked: {name}",
        f"Test patients of class {name} ({_where(runs[leader])}), the first "
        f"{ROWS} recognised and the first {ROWS} mistaken by {title_of(leader)}, in the fold's order.{missing} As "
        "Figs. 6-8 of the paper.",
        png,
        shown["absolute"],
        own_maximum=shown["own-maximum"],
        also=(f"{file}{OWN}", f"{file}{AS_PAPER}"),
    )


def _wrapped(patients: Sequence[tuple[Tile, ...]], note: str, style: Style) -> Image.Image:
    """All patients below each other, each in as many lines as its maps take."""
    return panel([line for tiles in patients for line in _lines(tiles)], note=note, style=style, side=SIDE)


def _as_paper(patients: Sequence[tuple[Tile, ...]], note: str) -> Image.Image:
    """As the paper prints it: a row a patient, a column a method, JET."""
    headings = [tile.title for tile in patients[0]]
    rows = [[replace(tile, title="") for tile in tiles] for tiles in patients]
    return panel(rows, headings=headings, note=note, style=PAPER, side=SIDE)


def _lines(tiles: tuple[Tile, ...]) -> Iterator[tuple[Tile, ...]]:
    """The pictures of a patient in lines that fit; under the slice there is none."""
    first, maps = tiles[0], tiles[1:]
    across = min(ACROSS, len(tiles)) - 1
    for at in range(0, len(maps), across):
        line = (first if at == 0 else BLANK, *maps[at : at + across])
        yield (*line, *[BLANK] * (across + 1 - len(line)))


def _row(column: Column, classes: tuple[str, ...]) -> dict[str, object]:
    case = column.case
    row = {
        "patient": case.patient.patient,
        "number": case.number,
        "method": column.method,
        "map": column.title,
        "label": None if case.label is None else classes[case.label],
        "predicted": classes[case.predicted],
        "probability": float(case.probabilities[case.predicted]),
        **case.scores(),
    }
    return {name: table_cell(value) for name, value in row.items()}


def _where(run: Run) -> str:
    return f"fold {run.info.fold}, seed {run.recipe.training.seed}"
