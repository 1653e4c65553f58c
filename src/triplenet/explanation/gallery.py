"""The explanations of a run as a folder: a picture a patient, a panel a class, and a table.

``patient-001.png``     the slice, where the model looked, what speaks for the class where that is another map, the true
                        infection where it is known
``class-1-NAME.png``    patients of one class, right ones beside wrong ones, as in Figs. 6-8
``explanations.csv``    one line a patient
``explanations.json``   what was explained
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

import triplenet
from triplenet import catalog
from triplenet.explanation.caption import CLASS_EVIDENCE, Caption, class_evidence
from triplenet.explanation.case_picture import CaseTiles, case_tiles, outline_note
from triplenet.explanation.cases import Case, Partition, table_cell
from triplenet.explanation.drawing import write_png
from triplenet.explanation.map_cost import MapCost
from triplenet.explanation.map_kinds import MAPS, OWN, MapKind
from triplenet.explanation.overlay import ABSOLUTE, Style
from triplenet.explanation.panel import BLANK, Tile, panel
from triplenet.files import whole_folder, write_csv, write_json
from triplenet.model import INTENDED_USE, read_card
from triplenet.training.run import Run

TABLE, INFO = "explanations.csv", "explanations.json"
SIDE = 320
"""Pixels of a picture's side"""
ROWS = 4
"""Cases of a kind in a class's panel"""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_UNREAD = " The network does not read the rim of the image: there the map is 0."


@dataclass
class Gallery:
    """What was written."""

    folder: Path
    patients: int = 0
    right: int = 0
    labelled: int = 0
    panels: list[str] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    """The lines of the table; None where it has an empty cell"""
    cost: MapCost | None = None
    """What the maps took, where that was measured"""


def write_gallery(
    explained: Iterable[Case],
    run: Run,
    partition: Partition,
    folder: Path,
    *,
    target: int | None = None,
    kind: MapKind = MAPS[OWN],
    style: Style = ABSOLUTE,
    identifiers: bool = False,
    cost: MapCost | None = None,
) -> Gallery:
    """Write the folder, whole or not at all.

    :param target: the class that was asked for
    :param kind: of the heat maps
    :param identifiers: patients' pseudonyms in the names of the files and on the pictures, not only in the table
    :param cost: of the maps, complete when ``explained`` ends
    :raises OutputExists: ``folder`` holds something
    :raises OutputFailed: no room, no permission
    """
    made = Gallery(folder, cost=cost)
    explanation = catalog.method(run.info.method).explanation
    any_class = kind.caption(explanation)
    shown: dict[tuple[int, bool], list[tuple[Tile, ...]]] = {}
    outline = both = False
    card = read_card(run.model)
    unread = card.crop < card.size
    with whole_folder(folder) as new:
        for case in explained:
            name = f"patient-{case.number:03d}"
            if identifiers:
                name += f"-{_NOT_IN_NAMES.sub('_', case.patient.patient)}"
            words = kind.caption(explanation, None if case.target is None else run.info.classes[case.target])
            pseudonym = case.patient.patient if identifiers else None
            tiles = case_tiles(case, run.info.classes, side=SIDE, name=pseudonym, style=style)
            write_png(new / f"{name}.png", _case_panel(case, tiles, run.info.classes, words, unread, style))
            both |= tiles.class_hot is not None
            made.rows.append(_row(case, run, f"{name}.png"))
            made.patients += 1
            if case.label is not None and case.right is not None:
                made.labelled += 1
                made.right += case.right
                kept = shown.setdefault((case.label, case.right), [])
                if len(kept) < ROWS:
                    kept.append((tiles.plain, tiles.hot, *(() if tiles.class_hot is None else (tiles.class_hot,))))
                    outline |= tiles.has_outline
        for label, name in enumerate(run.info.classes):
            picture = _class_panel(
                name,
                {right: shown.get((label, right), []) for right in (True, False)},
                (any_class, *((CLASS_EVIDENCE,) if both else ())),
                _note(any_class, outline, unread, both),
                style,
            )
            if picture is not None:
                made.panels.append(f"class-{label + 1}-{_NOT_IN_NAMES.sub('_', name)}.png")
                write_png(new / made.panels[-1], picture)
        cells = [{name: table_cell(value) for name, value in row.items()} for row in made.rows]
        write_csv(new / TABLE, cells)
        write_json(new / INFO, _info(run, partition, target, kind, made, both))
    return made


def _case_panel(
    case: Case, tiles: CaseTiles, classes: Sequence[str], words: Caption, unread: bool, style: Style
) -> Image.Image:
    """The slice, its maps, and the true infection where it is known."""
    pictures = [("slice", tiles.plain), (words.title, tiles.hot)]
    if tiles.class_hot is not None and case.class_target is not None:
        pictures.append((class_evidence(classes[case.class_target]).title, tiles.class_hot))
    if tiles.has_outline:
        pictures.append(("true infection", tiles.outlined))
    titles, row = zip(*pictures, strict=True)
    note = _note(words, tiles.has_outline, unread, tiles.class_hot is not None)
    return panel([row], headings=titles, note=note, style=style, side=SIDE)


def _class_panel(
    name: str, kinds: Mapping[bool, Sequence[tuple[Tile, ...]]], maps: Sequence[Caption], note: str, style: Style
) -> Image.Image | None:
    """Right cases beside wrong ones; a kind without a case is left out and said to be none."""
    there = {right: cases for right, cases in kinds.items() if cases}
    if not there:
        return None
    rows = [
        [
            tile
            for cases in there.values()
            for tile in (cases[number] if number < len(cases) else [BLANK] * (1 + len(maps)))
        ]
        for number in range(max(map(len, there.values())))
    ]
    said = {True: "recognised", False: "mistaken"}
    headings = [text for right in there for text in (f"{name}, {said[right]}", *(words.name for words in maps))]
    missing = "".join(f" No patient shown of this class was {said[right]}." for right in kinds if right not in there)
    return panel(rows, headings=headings, note=note + missing, style=style, side=SIDE)


def _note(words: Caption, outline: bool, unread: bool, both: bool) -> str:
    notes = (words.note, CLASS_EVIDENCE.note if both else "", outline_note() if outline else "")
    return " ".join(note for note in notes if note) + (_UNREAD if unread else "")


def _row(case: Case, run: Run, file: str) -> dict[str, object]:
    classes = run.info.classes
    return {
        "number": case.number,
        "file": file,
        "patient": case.patient.patient,
        "finding": case.patient.finding,
        "label": None if case.label is None else classes[case.label],
        "predicted": classes[case.predicted],
        "right": case.right,
        **{f"p_{name}": float(chance) for name, chance in zip(classes, case.probabilities, strict=True)},
        "explained": None if case.target is None else classes[case.target],
        "frame": case.frame,
        "frame_rule": case.frame_rule,
        **case.scores(),
    }


def _info(
    run: Run, partition: Partition, target: int | None, kind: MapKind, made: Gallery, both: bool
) -> dict[str, object]:
    explanation = catalog.method(run.info.method).explanation
    return {
        "format": "triplenet explanations",
        "version": 1,
        "method": run.info.method,
        "explanation": explanation,
        "map": kind.name,
        "scale": kind.scale,
        "note": kind.caption(explanation).note,
        "class_evidence": CLASS_EVIDENCE.note if both else None,
        "task": run.info.task.name,
        "classes": list(run.info.classes),
        "explained": "the predicted class" if target is None else run.info.classes[target],
        "fold": run.info.fold,
        "partition": partition,
        "patients": made.patients,
        "right": made.right,
        "labelled": made.labelled,
        "panels": made.panels,
        "cost": None if made.cost is None else made.cost.as_dict(),
        "data_sha256": run.info.data_sha256,
        "made_with": triplenet.__version__,
        "intended_use": INTENDED_USE,
    }
