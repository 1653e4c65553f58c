"""What the segments of a segmentation are: lung, infection, or something else. Codes first, then names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydicom import Dataset

from triplenet.catalog import INFECTION, LUNG
from triplenet.errors import BadMask
from triplenet.scan.segment_codes import Kind, category_of_code, kind_of_code
from triplenet.scan.segment_names import NO_NAMES, Named, SegmentNames, kind_of_name

Column = Literal["infection", "lung", "mask"]
"""As a cohort table calls its masks: ``mask`` has lung and infection in one"""

_ADVICE = "give another one, or say what its segments are in a file (--segments)"


@dataclass(frozen=True)
class Segment:
    """One segment with what it is."""

    number: int
    label: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.number} {' '.join(self.label.replace(';', ',').split())!r}"  # notes are joined by semicolons


@dataclass(frozen=True)
class Wanted:
    """What a column takes of a segmentation.

    :param values: the label value of each segment number, 0 for those that are left out
    :param note: which segments were joined and left out; empty where there was nothing to choose
    :param guessed: nothing says that the segment taken is what the column means
    """

    values: dict[int, int]
    note: str = ""
    guessed: bool = False


@dataclass(frozen=True)
class Described:
    """A segment as a file describes it: label, and category and type as (scheme, value, meaning)."""

    number: int
    label: str
    category: tuple[str, str, str] = ("", "", "")
    type: tuple[str, str, str] = ("", "", "")


def described_in(dataset: Dataset) -> list[Described]:
    """The segments of a DICOM Segmentation; a label map's background (number 0) is none."""
    return [
        Described(
            int(item.SegmentNumber),
            str(item.get("SegmentLabel", "")),
            _code(item, "SegmentedPropertyCategoryCodeSequence"),
            _code(item, "SegmentedPropertyTypeCodeSequence"),
        )
        for item in dataset.SegmentSequence
        if int(item.SegmentNumber) > 0
    ]


def segments_of(coded: Sequence[Described], own: SegmentNames = NO_NAMES) -> tuple[Segment, ...]:
    """What segments are.

    Codes that are the same for several segments do not tell these apart, so that names come first there.

    :param own: a site's own names and codes, which overrule the rest
    """
    alike = len(coded) > 1 and len({(segment.category[:2], segment.type[:2]) for segment in coded}) == 1
    return tuple(Segment(one.number, one.label, _kind(one, own, names_first=alike)) for one in coded)


def wanted(segments: Sequence[Segment], column: Column, where: object) -> Wanted:
    """What a column takes of the segments.

    A single segment whose meaning nobody can tell is what the column says; several are refused, since all of them or
    none could be meant. A lung column takes the infection too.

    :raises BadMask: none of them is meant, or it cannot be told which
    """
    unknown = [segment for segment in segments if segment.kind == "unknown"]
    if len(segments) == 1 and unknown and column != "mask":
        note = f"segment {segments[0]} is taken for {column}, which its name does not say"
        return Wanted({segments[0].number: 1}, note, guessed=True)
    value_of: dict[Kind, int] = {
        "infection": {"infection": 1},
        "lung": {"lung": 1, "infection": 1},
        "mask": {"lung": LUNG, "infection": INFECTION},
    }[column]  # type: ignore[assignment]  # the keys are kinds
    needed = ("lung", "infection") if column == "mask" else (column,)
    meant = [segment for segment in segments if segment.kind in value_of]
    if not any(segment.kind in needed for segment in meant) or (column == "mask" and unknown):
        what = "what its segments are cannot be told" if unknown else f"it holds no {' and no '.join(needed)}"
        raise BadMask(
            f"the segmentation is no {'labelled' if column == 'mask' else column} mask: {what} ({_listed(segments)})",
            where=where,
            do=_ADVICE,
        )
    values = {segment.number: value_of.get(segment.kind, 0) for segment in segments}
    if len(segments) == 1:
        return Wanted(values)
    left = [segment for segment in segments if segment not in meant]
    kinds = ("lung", "infection") if column == "mask" else (None,)
    taken = [
        f"{kind or column} is segment {' with '.join(map(str, those))}"
        for kind in kinds
        if (those := [segment for segment in meant if kind in (None, segment.kind)])
    ]
    return Wanted(values, ", ".join(taken) + (f", without {_listed(left)}" if left else ""))


def _kind(segment: Described, own: SegmentNames, *, names_first: bool) -> Kind:
    said = own.kind_of((segment.label,), (segment.type[:2], segment.category[:2]))
    if said != "unknown":
        return said
    if names_first and (named := kind_of_name(segment.label)) not in ("unknown", "finding"):
        return _plainly(named)
    return _kind_by_code(segment)


def _kind_by_code(segment: Described) -> Kind:
    category = category_of_code(*segment.category[:2])
    kind = kind_of_code(*segment.type[:2])
    label = kind_of_name(segment.label)
    if kind == "lung" and category == "abnormal" and label == "infection":
        return "infection"  # of the lung
    if kind != "unknown":
        return kind
    generic = category_of_code(*segment.type[:2])
    if "abnormal" in (category, generic):
        # "Lung nodule" and "RUL" under a lesion's code are lesions. No lesion is called just "Lung" or "Heart": some
        # writers give every segment the same code.
        return "lung" if label == "lung" else "other" if label == "other" else "infection"
    meaning = kind_of_name(segment.type[2]) if generic == "none" else "unknown"
    if category == "anatomy" and segment.type[1] and generic == "none":
        return "lung" if {"lung", "lobe"} & {meaning, label} else "other"
    return _plainly(label if meaning == "unknown" else meaning)


def _plainly(named: Named) -> Kind:
    if named == "lobe":
        return "lung"
    return "other" if named == "finding" else named


def _code(item: Dataset, keyword: str) -> tuple[str, str, str]:
    """Scheme, value and meaning of a code; empty where there is none."""
    sequence = item.get(keyword)
    if not sequence:
        return "", "", ""
    code = sequence[0]
    value = code.get("CodeValue", "") or code.get("LongCodeValue", "") or code.get("URNCodeValue", "")
    return str(code.get("CodingSchemeDesignator", "")), str(value), str(code.get("CodeMeaning", ""))


def _listed(segments: Sequence[Segment]) -> str:
    return ", ".join(map(str, segments))
