"""Where each attribute of a DICOM object comes from, told by comparing what was written in several circumstances.

Nothing is looked up in the code that writes: an attribute whose values are those of the source in every circumstance is
copied, one that never changes is fixed, and one that changes follows from what was changed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset, dcmread

Place = tuple[str, ...]
"""Keywords of sequences and the attribute; of a content item the concepts above it and its own"""
Values = Mapping[Place, frozenset[str]]
EMPTY, LEFT_OUT = "", "-"
SEVERAL = "PurposeOfReferenceCodeSequence"
"""Items of a sequence that have different ones are told apart"""


@dataclass(frozen=True)
class Circumstance:
    """One writing: of which source, and what was written of it."""

    sources: Sequence[Dataset]
    objects: Sequence[Dataset]

    @staticmethod
    def read(sources: Sequence[Path], folder: Path) -> Circumstance:
        """Of these files, and of the folder that a result was written to."""
        return Circumstance(
            [dcmread(path) for path in sources], [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
        )

    @cached_property
    def _source_values(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for one in self.sources:
            for element in one.iterall():
                values = map(code_text, filter(is_code, element.value)) if element.VR == "SQ" else _written(element)
                found.setdefault(element.keyword, set()).update(values)
        return found

    @cached_property
    def _object_uids(self) -> set[str]:
        named = ("SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID")
        return {str(one[keyword].value) for one in self.objects for keyword in named}

    def source_keyword(self, keyword: str, values: frozenset[str]) -> str | None:
        """Of the source's attribute that has all these values: the same one, or of UIDs another one."""
        if values <= self._source_values.get(keyword, set()):
            return keyword
        if all(value.replace(".", "").isdigit() and value.count(".") > 3 for value in values):
            named = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
            return next((one for one in named if values <= self._source_values.get(one, set())), None)
        return None

    def without_objects(self, values: frozenset[str]) -> frozenset[str]:
        """Values but UIDs of other objects of the same result."""
        return values - self._object_uids

    @cached_property
    def by_class(self) -> Mapping[str, Values]:
        """Values at each place, by SOP class."""
        found: dict[str, dict[Place, set[str]]] = {}
        for one in self.objects:
            into = found.setdefault(str(one.SOPClassUID), {})
            for place, value in (*_attributes(one), *content_items(one)):
                into.setdefault(place, set()).add(value)
        return {
            sop_class: {place: frozenset(values) for place, values in places.items()}
            for sop_class, places in found.items()
        }


@dataclass(frozen=True)
class Origin:
    """Where the values at one place come from."""

    copied_from: str | None = None
    """A keyword of the source"""
    fixed: frozenset[str] | None = None
    follows: tuple[str, ...] = ()
    """From the circumstances that change it"""
    names_objects: bool = False
    """Whether other objects of the result are among what it names"""
    if_unknown: str | None = None
    """What stands there where the source does not tell; None if that is the same, "-" if the place is left out"""
    not_always: bool = False
    """Whether it stands there in some circumstances only"""


@dataclass(frozen=True)
class Writings:
    """One result written as it is, and after one thing was changed each."""

    plain: Circumstance
    other_scan: Circumstance
    changed: Mapping[str, Circumstance] = field(default_factory=dict)
    """What was changed, in words, to what came of it"""
    unknown: Circumstance | None = None
    """Of a source that tells as little as it may"""

    def origins(self, sop_class: str) -> dict[Place, Origin]:
        """Of every place of the objects of a class, in the order of the first."""
        places = dict.fromkeys(
            itertools.chain(self.plain.by_class[sop_class], self.other_scan.by_class.get(sop_class, {}))
        )
        return {place: self._origin(sop_class, place) for place in places}

    def _origin(self, sop_class: str, place: Place) -> Origin:
        first, second = (_at(one, sop_class, place) for one in (self.plain, self.other_scan))
        changed = tuple(
            word
            for word, one in self.changed.items()
            if sop_class in one.by_class and _at(one, sop_class, place) != first
        )
        if first == second and not changed:
            return Origin(fixed=first)
        told = [(one, values) for one, values in ((self.plain, first), (self.other_scan, second)) if values is not None]
        kept = [(one, one.without_objects(values) if len(place) > 1 else values) for one, values in told]
        names_objects = any(len(ours) < len(values) for (_, ours), (_, values) in zip(kept, told, strict=True))
        several = {"names_objects": names_objects, "not_always": len(told) < 2}
        if not any(ours for _, ours in kept):
            return Origin(**several)
        sources = {one.source_keyword(place[-1].partition(" [")[0], ours) for one, ours in kept}
        keyword = sources.pop()
        if not sources and keyword is not None and first != second:
            unknown = None if self.unknown is None else _if_unknown(self.unknown, sop_class, place, keyword)
            return Origin(copied_from=keyword, if_unknown=unknown, **several)
        return Origin(follows=(*(("the scan",) if first != second else ()), *changed), **several)


def _at(one: Circumstance, sop_class: str, place: Place) -> frozenset[str] | None:
    return one.by_class.get(sop_class, {}).get(place)


def _if_unknown(one: Circumstance, sop_class: str, place: Place, keyword: str) -> str | None:
    values = _at(one, sop_class, place)
    if values is None:
        return LEFT_OUT
    kept = one.without_objects(values)
    return None if kept and one.source_keyword(keyword, kept) is not None else ", ".join(sorted(values))


def _attributes(dataset: Dataset, above: Place = ()) -> Iterator[tuple[Place, str]]:
    for element in dataset:
        keyword = element.keyword or str(element.tag)
        place = (*above, keyword)
        if keyword == "ContentSequence":
            continue
        if element.VR != "SQ":
            yield from ((place, value) for value in _written(element))
            continue
        if not element.value:
            yield place, EMPTY
        for label, item in _labelled(keyword, element.value):
            if is_code(item):
                yield (*above, label), code_text(item)
            else:
                yield from _attributes(item, (*above, label))


def _labelled(keyword: str, items: Sequence[Dataset]) -> Iterator[tuple[str, Dataset]]:
    purposes = [item[SEVERAL][0].CodeMeaning if item.get(SEVERAL) else "" for item in items]
    for item, purpose in zip(items, purposes, strict=True):
        yield (f"{keyword} [{purpose}]" if len(set(purposes)) > 1 else keyword), item


def content_items(dataset: Dataset, above: Place = ()) -> Iterator[tuple[Place, str]]:
    """Content items below, each with its value in words; of a container its template, if it has one."""
    for item in dataset.get("ContentSequence", ()):
        concept = code_text(item.ConceptNameCodeSequence[0]) if item.get("ConceptNameCodeSequence") else "(no name)"
        place = (*(above or ("ContentSequence",)), f"{item.RelationshipType} {item.ValueType}: {concept}")
        yield place, content_value(item)
        yield from content_items(item, place)


def content_value(item: Dataset) -> str:
    """The value of a content item in words."""
    kind = item.ValueType
    if kind == "CODE":
        return code_text(item.ConceptCodeSequence[0])
    if kind == "NUM":
        (measured,) = item.MeasuredValueSequence
        return f"{measured.NumericValue} {code_text(measured.MeasurementUnitsCodeSequence[0])}"
    if kind in ("IMAGE", "COMPOSITE"):
        return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    if kind == "CONTAINER":
        return template_of(item)
    return str(item.get({"UIDREF": "UID", "TEXT": "TextValue", "PNAME": "PersonName"}.get(kind, ""), EMPTY))


def template_of(item: Dataset) -> str:
    """The template that a container says it follows."""
    told = item.get("ContentTemplateSequence")
    return f"TID {told[0].TemplateIdentifier}" if told else EMPTY


def is_code(item: Dataset) -> bool:
    """Whether an item is a code and nothing else."""
    return "CodeMeaning" in item and "CodingSchemeDesignator" in item and "Manufacturer" not in item


def code_text(item: Dataset) -> str:
    """A code as DICOM's texts write it."""
    return f'({item.get("CodeValue", "")}, {item.CodingSchemeDesignator}, "{item.CodeMeaning}")'


def _written(element: DataElement) -> list[str]:
    """What is written in an element, value by value; of many bytes their hash."""
    value: Any = element.value
    if element.VR == "SQ":
        return []
    if isinstance(value, bytes):
        return [hashlib.sha256(value).hexdigest()] if value else [EMPTY]
    if value is None or value == "":
        return [EMPTY]
    many = [value] if isinstance(value, str) or not hasattr(value, "__iter__") or element.VR == "PN" else list(value)
    if element.VR in ("DS", "IS", "FD", "FL", "US", "SS", "UL", "SL"):
        return ["\\".join(f"{float(one):.10g}" for one in many)] if len(many) > 1 else [f"{float(many[0]):.10g}"]
    return ["\\".join(map(str, many))]
