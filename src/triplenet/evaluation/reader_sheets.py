"""The filled-in sheets of a reader study, put together with its key: who answered what of which case.

A malformed answer is refused with its line and column; all of them are listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet.cohort.spreadsheet import Sheet, SheetRow, read_sheet
from triplenet.cohort.table import table_bytes
from triplenet.errors import BadAnswers, BadCohort, Fault
from triplenet.explanation.reader_study import DOES_NOT_APPLY, MAPS, RATINGS, SLICE, class_column, rating_column

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KeyPanel:
    """One panel of the key."""

    case: str
    shows: str
    truth: int
    methods: Mapping[str, str]
    """Letter -> method; none of a slice alone"""


@dataclass(frozen=True)
class ReaderKey:
    """What is behind the panels."""

    panels: Mapping[int, KeyPanel]
    classes: tuple[str, ...]
    methods: tuple[str, ...]
    """In the order of the alphabet"""
    cases: tuple[str, ...]


@dataclass(frozen=True)
class ReaderAnswers:
    """All answers, NaN where there is none; R readers, N cases, M methods."""

    readers: tuple[str, ...]
    cases: tuple[str, ...]
    classes: tuple[str, ...]
    methods: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    """(N,) class"""
    without_map: Floats
    """(R, N) class seen in the slice alone"""
    with_map: Floats
    """(R, N) class seen in the slice beside its maps"""
    preferred: Floats
    """(R, N) method, by its position in ``methods``"""
    ratings: Floats
    """(R, N, M) 1 to 5"""

    @property
    def votes(self) -> npt.NDArray[np.int64]:
        """(N, M) how many readers preferred each method's map of each case."""
        counts: npt.NDArray[np.int64] = (self.preferred[..., None] == np.arange(len(self.methods))).sum(axis=0)
        return counts

    @property
    def ratings_of_maps(self) -> Floats:
        """(N x M, R) what each map was rated, the maps of a case one after another, in the methods' order."""
        return np.moveaxis(self.ratings, 0, -1).reshape(-1, len(self.readers))


def read_key(path: Path | str) -> ReaderKey:
    """The key of a reader study.

    :raises PathMissing: there is no such file
    :raises BadAnswers: not a key that ``write_reader_study`` wrote
    """
    path = Path(path)
    sheet = _sheet(path, ("panel", "case", "shows", "truth"))
    do = "give the key.csv of the reader study, as it was written"
    header = sheet.header
    letters = [name for name in header if len(name) == 1 and name.isupper()]
    numbers = [name for name in header if name.startswith(class_column(0)[:-1])]
    if not {"panel", "case", "shows", "truth"} <= set(header) or not letters or not numbers or not sheet.rows:
        raise BadAnswers("not the key of a reader study", where=path, do=do)
    panels: dict[int, KeyPanel] = {}
    classes: tuple[str, ...] = ()
    for row in sheet.rows:
        cells = dict(zip(header, row.cells, strict=False))
        try:
            classes = tuple(cells[name] for name in numbers)
            methods = {letter: cells[letter] for letter in letters if cells[letter]}
            shown = KeyPanel(cells["case"], cells["shows"], classes.index(cells["truth"]), methods)
            panels[int(cells["panel"])] = shown
            if shown.shows not in (SLICE, MAPS) or len(methods) != (len(letters) if shown.shows == MAPS else 0):
                raise ValueError(cells["shows"])
        except (KeyError, ValueError) as error:
            raise BadAnswers(f"row {row.line} is not as it was written", where=path, do=do) from error
    cases = tuple(sorted({panel.case for panel in panels.values()}, key=lambda case: (len(case), case)))
    named = tuple(sorted({method for panel in panels.values() for method in panel.methods.values()}))
    both = sorted((case, shows) for case in cases for shows in (SLICE, MAPS))
    if sorted((panel.case, panel.shows) for panel in panels.values()) != both or len(named) != len(letters):
        raise BadAnswers("a case has not one panel of the slice and one of its maps", where=path, do=do)
    return ReaderKey(panels, classes, named, cases)


def read_sheets(paths: Sequence[Path | str], key: ReaderKey) -> ReaderAnswers:
    """The answers of all readers. A reader who wrote no name has the file's.

    :raises PathMissing: there is no such file
    :raises BadAnswers: an answer that cannot be, a panel without a line or with two; all faults are listed
    """
    given: dict[str, dict[int, Mapping[str, float]]] = {}
    for path in map(Path, paths):
        faults: list[Fault] = []
        sheet = _sheet(path, _columns(key))
        of_file = list(_rows(sheet, path, key, faults))
        for reader, row, panel, answers in of_file:
            if panel in given.setdefault(reader, {}):
                faults.append(_fault(row, "panel", "DUPLICATE_LINE", f"{reader} has answered panel {panel} already"))
            given[reader][panel] = answers
        for reader in dict.fromkeys(reader for reader, *_ in of_file):
            missing = [str(panel) for panel in key.panels if panel not in given[reader]]
            if missing:
                last = [row for one, row, *_ in of_file if one == reader][-1]
                few = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                faults.append(_fault(last, "panel", "MISSING_LINE", f"{reader} has no line for panel {few}"))
        if not of_file and not faults:
            faults.append(Fault(sheet.line, "panel", "EMPTY_SHEET", "the sheet has no lines"))
        if faults:
            faults.sort(key=lambda fault: fault.row)
            more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
            raise BadAnswers(f"{faults[0]}{more}", where=path, do="mend the sheet", faults=faults)
    return _gathered(given, key)


def _gathered(given: Mapping[str, Mapping[int, Mapping[str, float]]], key: ReaderKey) -> ReaderAnswers:
    shape = (len(given), len(key.cases))
    truth = np.zeros(len(key.cases), dtype=np.int64)
    without, seen, preferred = (np.full(shape, np.nan) for _ in range(3))
    ratings = np.full((*shape, len(key.methods)), np.nan)
    for number, panel in key.panels.items():
        n = key.cases.index(panel.case)
        truth[n] = panel.truth
        for r, answers in enumerate(given.values()):
            found = answers[number]
            if panel.shows == SLICE:
                without[r, n] = found["class"]
                continue
            seen[r, n], preferred[r, n] = found["class"], found["preferred"]
            for letter, method in panel.methods.items():
                ratings[r, n, key.methods.index(method)] = found[rating_column(letter)]
    return ReaderAnswers(tuple(given), key.cases, key.classes, key.methods, truth, without, seen, preferred, ratings)


def _rows(
    sheet: Sheet, path: Path, key: ReaderKey, faults: list[Fault]
) -> Iterator[tuple[str, SheetRow, int, Mapping[str, float]]]:
    """Reader, row, panel and answers of each line; what is wrong with one is added to the faults."""
    lacking = [name for name in _columns(key) if name not in sheet.header]
    if lacking:
        faults.append(Fault(sheet.line, lacking[0], "MISSING_COLUMN", "the sheet has no such column"))
        return
    reader = path.stem
    for row in sheet.rows:
        if len(row.cells) != len(sheet.header):
            text = f"has not {len(sheet.header)} cells but {len(row.cells)}"
            faults.append(_fault(row, "*", "BAD_ROW", text))
            continue
        cells = dict(zip(sheet.header, row.cells, strict=True))
        reader = cells["reader"] or reader  # written once, it holds for the lines below
        number = cells["panel"]
        if not number.isascii() or not number.isdigit() or int(number) not in key.panels:
            faults.append(_fault(row, "panel", "UNKNOWN_PANEL", f"{number!r} is none of the key's panels"))
            continue
        panel = key.panels[int(number)]
        answers = {}
        for column in ("class", "preferred", *(rating_column(letter) for letter in _letters(key))):
            try:
                answers[column] = _answer(column, cells[column], panel, key)
            except ValueError as error:
                faults.append(_fault(row, column, "BAD_ANSWER", str(error)))
                answers[column] = np.nan
        yield reader, row, int(number), answers


def _answer(column: str, cell: str, panel: KeyPanel, key: ReaderKey) -> float:
    """An answer as a number; NaN without one.

    :raises ValueError: it cannot be
    """
    if cell in ("", DOES_NOT_APPLY):
        return np.nan
    if column == "class":
        known = {str(number): number - 1 for number in range(1, len(key.classes) + 1)}
        known |= {name.casefold(): number for number, name in enumerate(key.classes)}  # a name goes before a number
        if cell.casefold() not in known:
            raise ValueError(f"{cell!r} is no class: write {', '.join(key.classes)}, or 1 to {len(key.classes)}")
        return known[cell.casefold()]
    if panel.shows == SLICE:
        raise ValueError(f"{cell!r}, but this panel shows no map: leave it empty")
    if column == "preferred":
        if cell.upper() not in panel.methods:
            raise ValueError(f"{cell!r} is none of the letters {', '.join(panel.methods)}")
        return key.methods.index(panel.methods[cell.upper()])
    low, high = RATINGS
    if cell not in map(str, range(low, high + 1)):
        raise ValueError(f"{cell!r} is no whole number from {low} to {high}")
    return int(cell)


def _letters(key: ReaderKey) -> tuple[str, ...]:
    return next(tuple(panel.methods) for panel in key.panels.values() if panel.shows == MAPS)


def _columns(key: ReaderKey) -> tuple[str, ...]:
    return ("reader", "panel", "class", "preferred", *map(rating_column, _letters(key)))


def _sheet(path: Path, known: tuple[str, ...]) -> Sheet:
    try:
        return read_sheet(table_bytes(path), path, known)
    except BadCohort as error:
        raise BadAnswers(error.what, where=error.where, do=error.do) from error


def _fault(row: SheetRow, column: str, code: str, text: str) -> Fault:
    return Fault(row.line, column, code, text, row.number)
