"""Tables of what DICOM objects contain: each attribute or content item, its type, and where its value comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from benchmarks.statements.attribute_origins import EMPTY, LEFT_OUT, Origin, Place
from benchmarks.statements.markdown_text import code, codes, table
from benchmarks.statements.material import TIME
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag

Origins = Mapping[Place, Origin]
OTHER = "beyond-the-modules"
_LONGEST, _MOST = 72, 4
_CAPITALS = {"sop", "sr", "sc", "voi", "lut", "ct", "ko", "icc"}
_UNKNOWN = {LEFT_OUT: "left out", EMPTY: "empty"}


def common(by_class: Mapping[str, Origins]) -> dict[Place, Origin]:
    """What is the same in the objects of every class."""
    first, *others = by_class.values()
    return {place: origin for place, origin in first.items() if all(one.get(place) == origin for one in others)}


def attribute_tables(origins: Origins, classes: Sequence[str], level: str) -> Iterator[str]:
    """A heading and a table a module, in the order of the standard's; those in no module of these classes last."""
    by_module: dict[str, list[tuple[Place, Origin]]] = {}
    for place, origin in origins.items():
        if place[0] != "ContentSequence":
            by_module.setdefault(module_of(place, classes), []).append((place, origin))
    order = [*dict.fromkeys(module for one in classes for module in modules(one)), OTHER]
    for module in sorted(by_module, key=order.index):
        title = "In no module" if module == OTHER else module_title(module)
        yield f"{level} {title}\n"
        yield table(
            ("attribute", "tag", "VR", "type", "value from"),
            (
                (attribute_name(place), _tag(place), _vr(place), type_of(place, classes), told(origin, place[-1]))
                for place, origin in by_module[module]
            ),
        )


def content_table(origins: Origins) -> str:
    """The content tree."""
    rows = []
    for place, origin in origins.items():
        if place[0] == "ContentSequence":
            kind, _, concept = place[-1].partition(": ")
            relationship, _, value_type = kind.rpartition(" ")
            value = "" if value_type == "CONTAINER" and origin.fixed == {EMPTY} else told(origin)
            rows.append(("› " * (len(place) - 2) + concept, relationship.lower(), value_type, value))
    return table(("concept", "relationship", "value type", "value from"), rows)


def told(origin: Origin, keyword: str = "") -> str:
    """An origin in words.

    :param keyword: of the attribute, which is not repeated where it is copied
    """
    if origin.fixed is not None:
        return _fixed(sorted(origin.fixed))
    if TIME in origin.follows:
        return TIME
    words = f"made of {', '.join(origin.follows)}" if origin.follows else ""
    if origin.copied_from is not None:
        words = "copied" if origin.copied_from == keyword else f"source's {code(origin.copied_from)}"
        if origin.if_unknown is not None:
            words += f", or {_UNKNOWN.get(origin.if_unknown) or code(origin.if_unknown)}"
    if origin.names_objects:
        words = f"{words}, and other objects of the result".removeprefix(", and ")
    return f"{words}; not in every object" if origin.not_always else words


def _fixed(values: list[str]) -> str:
    if values == [EMPTY]:
        return "empty"
    if len(values) > _MOST or any(len(value) > _LONGEST for value in values):
        return f"fixed ({len(values)} values)" if len(values) > 1 else code(f"{values[0][:_LONGEST]}...")
    return codes(value for value in values if value)


def attribute_name(place: Place) -> str:
    """Keyword, with those of the sequences around it."""
    return " > ".join(place)


def _plain(keyword: str) -> str:
    return keyword.partition(" [")[0]


def _tag(place: Place) -> str:
    tag = tag_for_keyword(_plain(place[-1]))
    return str(Tag(tag)) if tag is not None else ""


def _vr(place: Place) -> str:
    tag = tag_for_keyword(_plain(place[-1]))
    return dictionary_VR(tag) if tag is not None else ""


def extended(places: Iterable[Place], sop_class: str) -> list[str]:
    """Attributes that are in none of a class's modules."""
    outermost = dict.fromkeys(_plain(place[0]) for place in places)
    return [one for one in outermost if module_of((one,), [sop_class]) == OTHER]


@cache
def modules(sop_class: str) -> tuple[str, ...]:
    """Of a class, in the order of the standard."""
    return tuple(one["key"] for one in get_iod_module_map()[get_sop_class_iod_map()[sop_class]])


@cache
def _types(module: str) -> Mapping[Place, str]:
    return {(*one["path"], one["keyword"]): one["type"] for one in get_module_attribute_map()[module]}


def module_of(place: Place, classes: Sequence[str]) -> str:
    """The first module of these classes that an attribute's outermost one belongs to."""
    outermost = (_plain(place[0]),)
    return next((one for name in classes for one in modules(name) if outermost in _types(one)), OTHER)


def type_of(place: Place, classes: Sequence[str]) -> str:
    """The attribute's type in the standard; empty where the module of these classes does not tell."""
    plain = tuple(map(_plain, place))
    return next((_types(one)[plain] for name in classes for one in modules(name) if plain in _types(one)), "")


def module_title(module: str) -> str:
    """A module's name."""
    return " ".join(word.upper() if word in _CAPITALS else word.capitalize() for word in module.split("-"))
