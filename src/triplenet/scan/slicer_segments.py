"""The segments of a label volume that 3D Slicer saved as ``.seg.nrrd``: names, codes and values stand in its header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from triplenet.scan.mask import Mask
from triplenet.scan.segment_meaning import Column, Described, segments_of, wanted
from triplenet.scan.segment_names import SegmentNames

_NAME = re.compile(r"Segment(\d+)_Name")


def described_by_slicer(pairs: Mapping[str, str]) -> list[Described]:
    """The segments that key-value pairs of a NRRD header describe, by their label values; none in any other NRRD.

    A terminology entry is ``context~category~type~...``, each code ``scheme^value^meaning``.
    """
    found = []
    for key, label in pairs.items():
        match = _NAME.fullmatch(key)
        value = pairs.get(f"Segment{match[1]}_LabelValue", "") if match else ""
        if match is None or not value.isdecimal() or not 0 < int(value) < 256:
            continue
        entry = pairs.get(f"Segment{match[1]}_TerminologyEntry", "").split("~")
        found.append(Described(int(value), label, *(_code(entry, place) for place in (1, 2))))
    return found


def taken_for(found: Mask, pairs: Mapping[str, str], column: Column, names: SegmentNames, where: Path) -> Mask:
    """A label volume with only what a column means of its segments; as it is where its header describes none.

    :raises BadMask: none of the segments is meant, or it cannot be told which
    """
    described = described_by_slicer(pairs)
    if not described:
        return found
    meant = wanted(segments_of(described, names), column, where)
    value_of = np.zeros(256, np.uint8)
    for number, value in meant.values.items():
        value_of[number] = value
    notes = (*found.notes, *([meant.note] if meant.note else []))
    return Mask(value_of[found.labels], found.geometry, notes, meant.guessed)


def _code(entry: list[str], place: int) -> tuple[str, str, str]:
    scheme, value, meaning = (*(entry[place] if len(entry) > place else "").split("^", 2), "", "", "")[:3]
    return scheme, value, meaning
