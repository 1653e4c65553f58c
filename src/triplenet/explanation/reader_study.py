"""A reader study as a folder: panels without a word on whose map is which, a sheet for the answers, and the key.

``readers/README.txt``      what the readers are asked
``readers/answers.csv``     to be filled in, one copy a reader
``readers/panel-001.png``   first every case's slice alone, then, in another order, every case with its maps A, B, C ...
``key.csv``                 not for the readers: which patient and which method is behind each panel

Cases, their order and the letters are drawn by the seed; the letters anew for each case, so that none stands for a
method. ``evaluation.reader_answers`` reads the sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from textwrap import fill

import numpy as np

from triplenet.errors import CohortTooSmall, RunMismatch
from triplenet.explanation.case_picture import draw_case
from triplenet.explanation.cases import Case, Partition, chosen_patients, open_prepared
from triplenet.explanation.cases import cases as explained_cases
from triplenet.explanation.drawing import write_png
from triplenet.explanation.overlay import Style, style_of
from triplenet.explanation.panel import BLANK, Tile, panel
from triplenet.files import refuse_existing, whole_folder, write_csv, write_text
from triplenet.prepare.store import PreparedSet
from triplenet.training.run import Run, open_run

READERS, KEY, SHEET, README = "readers", "key.csv", "answers.csv", "README.txt"
SLICE, MAPS = "slice", "maps"
"""What a panel shows"""
DOES_NOT_APPLY = "-"
"""In the sheet: there is nothing to answer"""
RATINGS = (1, 5)
SIDE = 448
ACROSS = 4
"""Pictures in a line: as large on a screen as a slice must be to be read"""


@dataclass(frozen=True)
class ReaderStudy:
    """What was written."""

    folder: Path
    classes: tuple[str, ...]
    methods: tuple[str, ...]
    cases: int
    panels: int


def rating_column(letter: str) -> str:
    """The column of the sheet in which a map is rated."""
    return f"rating {letter}"


def class_column(number: int) -> str:
    """The column of the key that names a class, from 1."""
    return f"class {number}"


def write_reader_study(
    runs: Sequence[Run | Path | str] | Run | Path | str,
    out: Path | str,
    cases: int,
    *,
    partition: Partition = "test",
    prepared: PreparedSet | Path | str | None = None,
    style: Style | str = "absolute",
    seed: int = 0,
    device: str = "cpu",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ReaderStudy:
    """Write the folder, whole or not at all.

    :param runs: of one fold of one prepared set, each of another method: opened, or their folders
    :param cases: how many; as many of each class as there are, drawn by ``seed``
    :param prepared: the runs' prepared set, where it was moved
    :param style: ``absolute``, ``own-maximum`` or ``paper``, or one of your own
    :param on_progress: called with (maps made, maps in all)
    :raises OutputExists: ``out`` holds something
    :raises RunMismatch: runs that cannot be compared
    :raises CohortTooSmall: fewer patients with a finding than cases
    :raises UnknownName: no such style
    :raises BadRun: a training is not finished
    :raises BadPreparedSet: damaged, or another one than the runs'
    """
    out, chosen_style = Path(out), style_of(style)
    refuse_existing(out)
    opened = _comparable(runs)
    data = open_prepared(opened[0], prepared)
    rng = np.random.default_rng(seed)
    names = _drawn(opened[0], data, partition, cases, rng)
    explained = _explained(opened, data, partition, names, device, on_progress)
    methods = tuple(explained)
    letters = ascii_uppercase[: len(methods)]
    behind = {name: [methods[at] for at in rng.permutation(len(methods))] for name in names}
    order = [(SLICE, names[at]) for at in rng.permutation(cases)] + [(MAPS, names[at]) for at in rng.permutation(cases)]
    classes = opened[0].info.classes
    key, sheet = [], []
    with whole_folder(out) as new:
        for number, (shows, name) in enumerate(order, start=1):
            of = {method: each[name] for method, each in explained.items()}
            file = new / READERS / f"panel-{number:03d}.png"
            tiles = _tiles(of, behind[name] if shows == MAPS else (), number, chosen_style)
            write_png(file, panel(tiles, style=chosen_style, side=SIDE, scale=shows == MAPS))
            of_letter = dict(zip(letters, behind[name], strict=True))
            key.append(
                _key(number, names.index(name) + 1, shows, next(iter(of.values())), of_letter, classes)
                | {"fold": opened[0].info.fold, "seed": seed, "data_sha256": opened[0].info.data_sha256}
            )
            asked = "" if shows == MAPS else DOES_NOT_APPLY
            sheet.append(
                {"reader": "", "panel": number, "class": "", "preferred": asked}
                | dict.fromkeys(map(rating_column, letters), asked)
            )
        write_csv(new / READERS / SHEET, sheet)
        write_text(new / READERS / README, _readme(cases, letters, classes, chosen_style))
        write_csv(new / KEY, key)
    return ReaderStudy(out, classes, methods, cases, len(order))


def _comparable(runs: Sequence[Run | Path | str] | Run | Path | str) -> list[Run]:
    given = [runs] if isinstance(runs, Run | Path | str) else list(runs)
    opened = [run if isinstance(run, Run) else open_run(run) for run in given]
    if not 1 <= len(opened) <= len(ascii_uppercase):
        raise ValueError(f"a reader study is of 1 to {len(ascii_uppercase)} runs, not {len(opened)}")
    first = opened[0]
    for number, run in enumerate(opened):
        if run.info.method in [one.info.method for one in opened[:number]]:
            raise RunMismatch(
                f"two runs of {run.info.method}", where=run.folder, do="give one run of each method that is compared"
            )
        for what, one, other in (
            ("fold", run.info.fold, first.info.fold),
            ("prepared set", run.info.data_sha256[:12], first.info.data_sha256[:12]),
            ("classes", ", ".join(run.info.classes), ", ".join(first.info.classes)),
        ):
            if one != other:
                raise RunMismatch(
                    f"another {what} ({one}, not {other}) than that of {first.folder.name}",
                    where=run.folder,
                    do="give runs of one fold of one prepared set and task",
                )
    return opened


def _drawn(run: Run, prepared: PreparedSet, partition: Partition, cases: int, rng: np.random.Generator) -> list[str]:
    """Patients with a finding, of each class in turn while it has any."""
    names = np.array(list(chosen_patients(run, prepared, partition)), dtype=object)
    labels = prepared.labels(run.task)[prepared.rows(names.tolist())]
    by_class = [rng.permutation(names[labels == c]).tolist() for c in range(len(run.info.classes))]
    known = sum(map(len, by_class))
    if not 1 <= cases <= known:
        raise CohortTooSmall(
            f"{known} {partition} patients of fold {run.info.fold} have a finding, not {cases}",
            where=prepared.folder,
            do=f"ask for 1 to {known} cases",
        )
    in_turn = [of_class[at] for at in range(known) for of_class in by_class if at < len(of_class)]
    return in_turn[:cases]


def _explained(
    runs: Sequence[Run],
    prepared: PreparedSet,
    partition: Partition,
    names: Sequence[str],
    device: str,
    on_progress: Callable[[int, int], None],
) -> dict[str, dict[str, Case]]:
    """Method -> patient -> the patient as it sees him."""
    from triplenet.training.device import choose_device

    found: dict[str, dict[str, Case]] = {}
    done, total = 0, len(runs) * len(names)
    on_progress(done, total)
    for run in runs:
        chosen = chosen_patients(run, prepared, partition, names)
        of = found[run.info.method] = {}
        for case in explained_cases(run, prepared, chosen, device=str(choose_device(device))):
            of[case.patient.patient] = case
            done += 1
            on_progress(done, total)
    return found


def _tiles(of: Mapping[str, Case], order: Sequence[str], number: int, style: Style) -> list[list[Tile]]:
    """The slice, and the maps in the case's own order, in lines that fit. No outline: it would tell the truth.

    :param of: method -> the patient
    """
    flat = next((case for case in of.values() if case.frame is None), next(iter(of.values())))
    plain = draw_case(flat.image, flat.heat, side=SIDE).plain
    tiles = [Tile(plain, title=f"panel {number}")]
    for letter, method in zip(ascii_uppercase, order, strict=False):
        hot = draw_case(of[method].image, of[method].heat, side=SIDE, style=style).hot
        tiles.append(Tile(hot, title=letter))
    across = min(ACROSS, len(tiles))
    lines = [tiles[at : at + across] for at in range(0, len(tiles), across)]
    return [[*line, *[BLANK] * (across - len(line))] for line in lines]


def _key(
    number: int, case_number: int, shows: str, case: Case, letters: Mapping[str, str], classes: tuple[str, ...]
) -> dict[str, object]:
    assert case.label is not None  # only patients with a finding are drawn
    return {
        "panel": number,
        "case": case_number,
        "shows": shows,
        "patient number": case.number,
        "truth": classes[case.label],
        **(letters if shows == MAPS else dict.fromkeys(letters, "")),
        **{class_column(at): name for at, name in enumerate(classes, start=1)},
    }


def _readme(cases: int, letters: str, classes: tuple[str, ...], style: Style) -> str:
    named = "\n".join(f"  {number}  {name}" for number, name in enumerate(classes, start=1))
    low, high = RATINGS
    maps = f"{letters[0]} to {letters[-1]}" if len(letters) > 1 else letters
    said = style.note or "All maps have the same scale: a map with the colours of its lower end alone found little."
    scale = fill(said, 96, initial_indent="   ", subsequent_indent="   ")
    return f"""How to read these panels

There are {2 * cases} panels, panel-001.png to panel-{2 * cases:03d}.png, and a sheet for your answers,
answers.csv, which opens in any spreadsheet. Please save it as CSV again. It has one line a
panel; write your initials into the column reader of the first line. Work alone, in the order of
the numbers, and do not go back to an earlier panel.

1. Panels 1 to {cases}: a CT slice alone. In the column class, write the class to which you think
   the patient belongs, by its name or its number:

{named}

   The cells with a dash are not for these panels. If you can, stop here and go on another day.

2. Panels {cases + 1} to {2 * cases}: the same patients in another order. Beside the slice stand colour maps
   {maps}. Each shows where a computer program looked. A letter does not stand for the same program
   in every panel. Write
   - class: again the class to which you think the patient belongs, now that you see the maps;
   - preferred: the letter of the map that helps you most;
   - rating {letters[0]} and so on: from {low} (the map does not show the disease at all) to {high} (it shows
     exactly the disease). Where you see no disease: {low} if the map is full of colour, {high} if it is
     as good as empty.

{scale}

Leave a cell empty where you cannot say. Nobody is examined here but the programs.
Research software, not a medical device: do not use these panels for the care of a patient.
"""
