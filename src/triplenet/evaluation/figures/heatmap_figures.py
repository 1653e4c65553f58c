"""Heat maps of all methods on the same patients, right ones above wrong ones, a panel a class (Figs. 6-8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from triplenet import catalog
from triplenet.evaluation.figures.figure_style import Drawn, title_of, write_picture
from triplenet.evaluation.results import Results
from triplenet.explanation.caption import caption
from triplenet.explanation.cases import Case, cases, chosen_patients
from triplenet.explanation.map_scores import Overlap
from triplenet.explanation.overlay import enlarged, enlarged_mask, grey, outlined, overlay
from triplenet.explanation.panel import Tile, panel
from triplenet.prepare.store import PreparedSet
from triplenet.training.job import Job
from triplenet.training.run import Run

SIDE = 224
ROWS = 3
"""Patients of a kind: right, wrong"""
#: Whose predictions part the patients into right and wrong: the first that is there.
LEADERS = ("triple", "triple-wsdl", "double")


def heatmap_figures(results: Results, folder: Path, prepared: PreparedSet, *, device: str = "cpu") -> Iterator[Drawn]:
    """A panel for each class that has test patients in the first finished fold."""
    runs = results.runs_of_one_fold()
    if not runs:
        return
    leader = next((name for name in LEADERS if name in runs), next(iter(runs)))
    picked = _picked(results, runs[leader])
    for c in range(len(results.classes)):
        patients = [patient for right in (True, False) for patient in picked[c, right]]
        if patients:
            kinds = {True: picked[c, True], False: picked[c, False]}
            yield _panel(results, runs, leader, c, kinds, folder, prepared, device)


def _picked(results: Results, run: Run) -> dict[tuple[int, bool], list[str]]:
    """(class, right) -> the first patients in the fold's order."""
    test = run.predictions().of("test")
    picked: dict[tuple[int, bool], list[str]] = {
        (c, right): [] for c in range(len(results.classes)) for right in (True, False)
    }
    for patient, label, predicted in zip(test.patients, test.labels.tolist(), test.predicted.tolist(), strict=True):
        if label >= 0 and len(picked[label, label == predicted]) < ROWS:
            picked[label, label == predicted].append(patient)
    return picked


def _panel(
    results: Results,
    runs: Mapping[str, Run],
    leader: str,
    c: int,
    kinds: Mapping[bool, list[str]],
    folder: Path,
    prepared: PreparedSet,
    device: str,
) -> Drawn:
    name = results.classes[c]
    patients = [*kinds[True], *kinds[False]]
    columns: dict[str, list[Case]] = {}
    for method, run in runs.items():
        chosen = chosen_patients(run, prepared, "test", patients)
        job = Job(method, run.info.fold, run.recipe.training.seed)
        explained = {
            case.patient.patient: replace(case, probabilities=results.shown(job, case.probabilities[None])[0])
            for case in cases(run, prepared, chosen, device=device)
        }
        columns[method] = [explained[patient] for patient in patients]
    said = {True: f"recognised by {title_of(leader)}", False: f"mistaken by {title_of(leader)}"}
    words = [said[right] for right in (True, False) for _ in kinds[right]]
    # As in the report, not as in a fold.
    number_of = {patient.patient: number for number, patient in enumerate(prepared.patients, start=1)}
    tiles, rows = [], []
    for row in range(len(patients)):
        first = next((found[row] for found in columns.values() if found[row].frame is None), None)
        first = first or next(iter(columns.values()))[row]
        number = number_of[patients[row]]
        tiles.append(
            [_slice(first, number, words[row]), *(_heatmap(found[row], results.classes) for found in columns.values())]
        )
        rows += [_row(method, found[row], number, results.classes) for method, found in columns.items()]
    explanations = dict.fromkeys(caption(catalog.method(method).explanation).title for method in columns)
    picture = panel(
        tiles,
        headings=("slice, true infection outlined", *(title_of(method) for method in columns)),
        note=f"Maps: {', '.join(explanations)}. All have the same scale from 0 to 1: a dark map found little.",
        side=SIDE,
    )
    file = f"heatmaps-{c + 1}"
    png = write_picture(folder, file, picture, rows)
    run = runs[leader]
    missing = "".join(
        f" No test patient of this class was {said[right]}." for right in (True, False) if not kinds[right]
    )
    return Drawn(
        file,
        f"Where they looked: {name}",
        f"Test patients of class {name} (fold {run.info.fold}, seed {run.recipe.training.seed}), the first "
        f"{ROWS} recognised and the first {ROWS} mistaken by {title_of(leader)}, in the fold's order.{missing} As "
        "Figs. 6-8 of the paper.",
        png,
    )


def _slice(case: Case, number: int, words: str) -> Tile:
    shape = (SIDE, SIDE)
    plain = grey(np.rint(enlarged(case.image, shape)).clip(0, 255).astype(np.uint8))
    if case.infection is not None and bool(case.infection.any()):
        plain = outlined(plain, enlarged_mask(case.infection, shape), width=2)
    return Tile(plain, (f"patient {number}: {case.patient.finding}", words))


def _heatmap(case: Case, classes: tuple[str, ...]) -> Tile:
    shape = (SIDE, SIDE)
    image = np.rint(enlarged(case.image, shape)).clip(0, 255).astype(np.uint8)
    hot = overlay(image, enlarged(case.heat, shape))
    if case.infection is not None and bool(case.infection.any()):
        hot = outlined(hot, enlarged_mask(case.infection, shape), width=1)
    found = case.overlap()
    inside = "" if found is None or found.mass_inside is None else f"{found.mass_inside:.0%} of the map in the outline"
    frame = "" if case.frame is None else f"frame {case.frame} from the feet"
    says = f"{classes[case.predicted]} {case.probabilities[case.predicted]:.2f}, {'right' if case.right else 'wrong'}"
    return Tile(hot, tuple(line for line in (says, inside, frame) if line))


def _row(method: str, case: Case, number: int, classes: tuple[str, ...]) -> dict[str, object]:
    found = case.overlap()
    scores = dict.fromkeys(Overlap.__dataclass_fields__, None) if found is None else asdict(found)
    return {
        "patient": case.patient.patient,
        "number": number,
        "method": method,
        "label": "" if case.label is None else classes[case.label],
        "predicted": classes[case.predicted],
        "probability": f"{case.probabilities[case.predicted]:.6f}",
        "heat_max": f"{case.heat.max():.6f}",
        **{name: "" if value is None else value for name, value in scores.items()},
    }
