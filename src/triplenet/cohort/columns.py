"""The columns of a cohort table, and the slips by which one of them would pass for a column of the user's own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from triplenet.cohort.cells import unfit_name
from triplenet.errors import BadCohort, Fault

COLUMNS = ("patient", "finding", "scan", "infection", "lung", "mask", "second_infection", "group", "site", "series")
REQUIRED = ("patient", "finding", "scan")
_SHORT = 5
"""Letters of a column's name up to which one letter off is a slip, and two are another word"""
_LONGEST = 40
"""Letters of what can still be one of these columns"""
_WORDS = frozenset(("long", "mark", "mass", "scar", "side", "size"))
"""Words of their own, though a letter from a column"""
_ADDED = ("mask", "masks", "segmentation", "seg", "file", "files", "path", "name", "id", "uid", "code")
"""What a column's name is lengthened by without becoming another thing: ``infection_mask``, ``group_id``"""


def check_header(path: Path, header: tuple[str, ...], line: int) -> None:
    """Refuse a header that lacks a column, names one twice, or names one almost.

    :param line: of the file
    :raises BadCohort: what is wrong; of misspelled columns, all of them
    """
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        slips = {meant: name for name in header if (meant := meant_column(name, missing)) is not None}
        hints = [f"did you mean {meant!r} by {name!r}?" for meant, name in slips.items()]
        raise BadCohort(
            f"the table lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            where=path,
            do=" ".join(hints) or f"its first line must name at least {', '.join(REQUIRED)}",
        )
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled:
        raise BadCohort(f"the column {doubled[0]} stands twice", where=path, do="name each column once")
    own = [name for name in header if name not in COLUMNS]
    faults = [Fault(line, name, "BAD_TEXT", fault) for name in own if (fault := unfit_name(name))]
    faults += _misspelled(own, [column for column in COLUMNS if column not in header], line)
    if faults:
        first, more = faults[0], f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise BadCohort(
            f"the column {first.column[:_LONGEST]!r} is not known{more}", where=path, do=first.text, faults=faults
        )
    if "mask" in header and ("infection" in header or "lung" in header):
        raise BadCohort(
            "the table has a mask column beside infection or lung",
            where=path,
            do="give either one labelled mask or binary ones",
        )


def _misspelled(own: Iterable[str], lacking: Iterable[str], line: int) -> list[Fault]:
    return [
        Fault(
            line,
            name,
            "UNKNOWN_COLUMN",
            f"did you mean {meant!r}? To keep a column of your own, rename it, for example extra_{_joined(name, '_')}",
        )
        for name in own
        if (meant := meant_column(name, lacking)) is not None
    ]


def meant_column(name: str, lacking: Iterable[str]) -> str | None:
    """Which of the columns that a table lacks a name stands for, if any."""
    plain = _joined(name.lower(), "")
    if plain in _WORDS or len(plain) > _LONGEST:
        return None
    stems = {plain, *_stems(plain)}
    for column in lacking:
        if _joined(column, "") in stems or _is_slip(name.lower(), column):
            return column
    return None


def _joined(name: str, by: str) -> str:
    return by.join(re.findall(r"[^\W_]+", name))


def _stems(plain: str) -> Iterable[str]:
    """The name without what lengthens it, at either end."""
    for added in _ADDED:
        for stem in {plain.removesuffix(added), plain.removeprefix(added)} - {plain, ""}:
            yield stem
            yield from _stems(stem)


def _is_slip(name: str, column: str) -> bool:
    """Whether a name is a letter or two from a column: one in a short name, which then begins alike, two in a long."""
    if len(column) > _SHORT:
        return _distance(name, column) <= 2
    alike = name[:1] == column[:1] or sorted(name) == sorted(column)
    return alike and _distance(name, column) <= 1


def _distance(one: str, other: str) -> int:
    """Letters to change, add, leave out or exchange with their neighbour (Damerau and Levenshtein)."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
