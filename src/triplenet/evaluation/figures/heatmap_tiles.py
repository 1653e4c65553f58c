"""What Figs. 6-8 are made of: of one patient the slice and each method's map, in each way that a map can be drawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from triplenet.evaluation.method_tables import title_of
from triplenet.explanation.case_picture import case_tiles, draw_case
from triplenet.explanation.cases import Case
from triplenet.explanation.drawing import write_png
from triplenet.explanation.overlay import ABSOLUTE, OWN_MAXIMUM, Style
from triplenet.explanation.panel import Tile
from triplenet.files import whole_folder

SIDE = 224
#: In the order in which a page shows them.
SCALES: Mapping[str, Style] = {"absolute": ABSOLUTE, "own-maximum": OWN_MAXIMUM}


@dataclass(frozen=True)
class Column:
    """One map of a patient."""

    name: str
    """In the names of files"""
    title: str
    """Over the picture"""
    method: str
    case: Case


def columns(of: Mapping[str, Case]) -> tuple[Column, ...]:
    """All maps of one patient, in the order of the methods.

    :param of: method -> the patient as it sees him
    """
    return tuple(column for method, case in of.items() for column in _of_method(method, case))


def patient_tiles(
    maps: Sequence[Column], classes: tuple[str, ...], said: str, style: Style = ABSOLUTE
) -> tuple[Tile, ...]:
    """The slice with its infection outlined, and each map over it.

    :param maps: of one patient
    :param said: whether the patient was recognised
    """
    drawn = [case_tiles(column.case, classes, side=SIDE, style=style) for column in maps]
    first = drawn[_flat(maps)]
    slice_ = replace(first.outlined, title="slice, true infection outlined", lines=(first.plain.lines[0], said))
    shown = (
        # Of a 3D method it is said which frame.
        replace(tiles.hot, title=column.title, lines=(*tiles.hot.lines, *tiles.plain.lines[1:]))
        for column, tiles in zip(maps, drawn, strict=True)
    )
    return (slice_, *shown)


def write_parts(
    folder: Path, patients: Sequence[Sequence[Column]], drawn: Mapping[str, Sequence[tuple[Tile, ...]]]
) -> None:
    """Every picture by itself, in place of an earlier call's: the slice, its outline, each map in each scale.

    ``patient-004-slice.png``, ``patient-004-outlined.png``, ``patient-004-triple-absolute.png``, and so on; the number
    is the patient's in the prepared set.

    :param patients: of each all maps
    :param drawn: scale -> what ``patient_tiles`` drew of each patient
    :raises OutputFailed: no room, no permission
    """
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder) as new:
        for number, maps in enumerate(patients):
            first = maps[_flat(maps)].case
            begin = f"patient-{first.number:03d}"
            write_png(new / f"{begin}-slice.png", draw_case(first.image, first.heat, side=SIDE).plain)
            write_png(new / f"{begin}-outlined.png", drawn["absolute"][number][0].picture)
            for scale in SCALES:
                for column, tile in zip(maps, drawn[scale][number][1:], strict=True):
                    write_png(new / f"{begin}-{column.name}-{scale}.png", tile.picture)


def _of_method(method: str, case: Case) -> Iterator[Column]:
    """The method's own map; beside one that does not depend on the class, the evidence of the class."""
    yield Column(method, title_of(method), method, case)
    evidence = getattr(case, "class_heat", None)
    if evidence is not None:
        yield Column(
            f"{method}-class-evidence", f"{title_of(method)}, class evidence", method, replace(case, heat=evidence)
        )


def _flat(maps: Sequence[Column]) -> int:
    """Which of the columns shows the slice that 2D methods read, on which a mask lies; else the first."""
    return next((number for number, column in enumerate(maps) if column.case.frame is None), 0)
