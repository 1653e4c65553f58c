"""Notes of many scans, by kind and counted: numbers in them do not make another kind."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
SEPARATOR = "; "


def by_kind(notes: Iterable[str]) -> list[tuple[str, int]]:
    """The first note of each kind and how many scans have one of it, the most frequent first.

    :param notes: of each scan, several joined by ``SEPARATOR``
    """
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    for joined in notes:
        for kind, note in {_NUMBER.sub("#", note): note for note in joined.split(SEPARATOR) if note}.items():
            first.setdefault(kind, note)
            counts[kind] = counts.get(kind, 0) + 1
    return [(first[kind], counts[kind]) for kind in sorted(counts, key=lambda kind: -counts[kind])]
