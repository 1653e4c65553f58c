"""Notes of many scans, by kind and counted: numbers in them do not make another kind."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
SEPARATOR = "; "


def by_kind(notes: Iterable[str]) -> list[tuple[str, int]]:
    """A note of each kind and how many scans have one of it, the most frequent first.

    :param notes: of each scan, several joined by ``SEPARATOR``
    :returns: the first note of a kind; where others differ from it in their numbers, it says that these are one scan's
    """
    found: dict[str, dict[str, None]] = {}
    counts: dict[str, int] = {}
    for joined in notes:
        for kind, note in {_NUMBER.sub("#", note): note for note in joined.split(SEPARATOR) if note}.items():
            found.setdefault(kind, {})[note] = None
            counts[kind] = counts.get(kind, 0) + 1
    return [(_said(list(found[kind])), counts[kind]) for kind in sorted(counts, key=lambda kind: -counts[kind])]


def _said(notes: list[str]) -> str:
    return notes[0] if len(notes) == 1 else f"{notes[0]} (the numbers are of one of them)"
