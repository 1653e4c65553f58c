"""Attributes of a DICOM data set, parsed from their bytes as they stand in the file.

Most attributes of a series are the same bytes in every file, so what was parsed once is remembered; that makes
reading the headers of a series faster than pydicom's own conversion, which reads every value anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import TEXT_VR_DELIMS

Element = RawDataElement | DataElement

_CHARACTER_SET = int(Tag("SpecificCharacterSet"))
_UNDEFINED = 0xFFFFFFFF


@cache
def tag(keyword: str) -> int:
    """The number of an attribute, such as ``Rows``."""
    return int(Tag(keyword))


class Attributes:
    """Typed access to the elements of one data set or of one item of a sequence.

    An attribute that is missing, empty, or no number where one is wanted counts as missing: what follows from
    that is decided by those who need it.
    """

    __slots__ = ("_dataset", "_elements")

    def __init__(self, elements: Mapping[int, Element], dataset: Dataset | None = None) -> None:
        self._elements = elements
        self._dataset = dataset  # which knows how to parse a sequence

    @classmethod
    def of(cls, dataset: Dataset) -> Attributes:
        """Those of a pydicom data set."""
        raw = {int(key): dataset.get_item(key) for key in dataset.keys()}  # noqa: SIM118 - iterating converts
        return cls(raw, dataset)

    @classmethod
    def of_elements(cls, elements: Iterable[Element]) -> Attributes:
        return cls({int(element.tag): element for element in elements})

    def __contains__(self, keyword: str) -> bool:
        return tag(keyword) in self._elements

    @property
    def cut(self) -> bool:
        """Whether a value is shorter than it is said to be: the file ends inside it."""
        raw = (element for element in self._elements.values() if isinstance(element, RawDataElement))
        return any(len(element.value or b"") < element.length != _UNDEFINED for element in raw)

    def uid(self, keyword: str) -> str:
        """A UID, without remembering it: each file has its own."""
        return self._bytes(keyword).decode("ascii", "replace").strip("\0 ")

    def text(self, keyword: str) -> str:
        """A text, values joined by a backslash as in the file; empty where there is none."""
        element = self._elements.get(tag(keyword))
        if element is None:
            return ""
        if isinstance(element, DataElement):
            return str(element.value)
        return _decoded(element.value or b"", self._character_set())

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values of a text with several."""
        joined = self.text(keyword)
        return tuple(part.strip() for part in joined.split("\\")) if joined else ()

    def whole(self, keyword: str) -> int | None:
        """A whole number, binary (as bits without sign) or written out."""
        element = self._elements.get(tag(keyword))
        if not isinstance(element, RawDataElement) or not element.value:
            return None
        return _whole(element.value, element.is_little_endian, keyword in _BINARY)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """``count`` finite numbers."""
        return _numbers(self._bytes(keyword), count)

    def items(self, keyword: str) -> list[Attributes]:
        """The items of a sequence."""
        items = None if self._dataset is None else self._dataset.get(keyword)
        return [Attributes.of(item) for item in items or ()]

    def _bytes(self, keyword: str) -> bytes:
        element = self._elements.get(tag(keyword))
        return (element.value or b"") if isinstance(element, RawDataElement) else b""

    def _character_set(self) -> bytes:
        element = self._elements.get(_CHARACTER_SET)
        return (element.value or b"") if isinstance(element, RawDataElement) else b""


_BINARY = frozenset(
    {
        "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit", "TemporalPositionIndex",
        "FrameAcquisitionNumber",
    }
)  # fmt: skip


@lru_cache(maxsize=4096)
def _decoded(value: bytes, character_set: bytes) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii").strip("\0 ")
    encodings = convert_encodings(character_set.decode("ascii", "replace").strip("\0 ").split("\\"))
    return decode_bytes(value, encodings, TEXT_VR_DELIMS).strip("\0 ")


@lru_cache(maxsize=4096)
def _whole(value: bytes, little: bool, binary: bool) -> int | None:
    if binary:
        return int.from_bytes(value, "little" if little else "big")
    try:
        return int(value.strip(b"\0 "))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _numbers(value: bytes, count: int) -> tuple[float, ...] | None:
    try:
        values = tuple(float(part.strip(b"\0 ")) for part in value.split(b"\\"))
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None
