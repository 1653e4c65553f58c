"""How a DICOM file is encoded: as its bytes show, since tools that convert files forget to correct the preface."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from triplenet.scan.input_files import Entry
from triplenet.scan.limits import Limits

_PREAMBLE = 128
_MARK = b"DICM"
_PREFACE = b"\x02\x00"
_FIRST_GROUPS = (b"\x08\x00", _PREFACE, b"\x00\x08")
_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # whose length has four bytes
_KEPT = 1024  # bytes of a value in the preface; UIDs have 64
_GROUP_LENGTH, _MEDIA_CLASS, _SYNTAX = 0x0000, 0x0002, 0x0010
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Encoding:
    """Where and how the data set of a file is encoded.

    :param marked: whether the file says that it is DICOM
    :param said: the transfer syntax as the preface has it; empty where there is none, likewise ``media_class``
    :param start: of the data set in the file
    :param deflated: its offsets count in what ``inflate`` gives
    """

    marked: bool
    said: str
    media_class: str
    start: int
    implicit: bool
    little: bool
    deflated: bool


def read_encoding(file: BinaryIO) -> Encoding | None:
    """The encoding of a file, with or without preamble and preface; None for one that does not begin like DICOM."""
    head = file.read(_PREAMBLE + len(_MARK))
    place = next((at for at in (_PREAMBLE, 0) if head[at : at + len(_MARK)] == _MARK), None)
    marked = place is not None
    if not marked and head[:2] not in _FIRST_GROUPS:
        return None
    preface, start = _preface(file, 0 if place is None else place + len(_MARK))
    said = _text(preface.get(_SYNTAX, b""))
    file.seek(start)
    first = file.read(8)
    shown = _shown(first)
    deflated = said == DeflatedExplicitVRLittleEndian and (shown is None or shown[0])
    if deflated or shown is None:
        shown = said == ImplicitVRLittleEndian or not said, said != ExplicitVRBigEndian
    return Encoding(marked, said, _text(preface.get(_MEDIA_CLASS, b"")), start, *shown, deflated)


def inflate(entry: Entry, start: int, limits: Limits) -> BytesIO:
    """A deflated data set from its beginning, within the limits.

    :raises TooLarge: it unpacks into more than they allow
    :raises zlib.error: damaged
    """
    with entry.open() as file:
        file.seek(start)
        packed = file.read()
    wrapped = len(packed) > 2 and packed[0] & 15 == 8 and int.from_bytes(packed[:2], "big") % 31 == 0
    engine = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)  # some writers wrap the stream
    budget = limits.unpacking(len(packed), entry.name)
    out = BytesIO()
    while packed and not engine.eof:
        piece = engine.decompress(packed, _CHUNK)
        budget.spend(len(piece))
        out.write(piece)
        packed = engine.unconsumed_tail
    out.seek(0)
    return out


def _preface(file: BinaryIO, place: int) -> tuple[dict[int, bytes], int]:
    """The elements of group 2 by their number, and where the data set begins behind them."""
    found: dict[int, bytes] = {}
    end = -1
    while True:
        file.seek(place)
        element = file.read(12)
        if len(element) < 8 or element[:2] != _PREFACE:
            return found, place
        if place == end and _text(found.get(_SYNTAX, b"")) == DeflatedExplicitVRLittleEndian:
            return found, place  # packed bytes that happen to look like another element
        number = int.from_bytes(element[2:4], "little")
        representation = element[4:6]
        if representation not in _REPRESENTATIONS:
            width, length = 8, int.from_bytes(element[4:8], "little")
        elif representation in _LONG:
            width, length = 12, int.from_bytes(element[8:12], "little")
        else:
            width, length = 8, int.from_bytes(element[6:8], "little")
        file.seek(place + width)
        found[number] = file.read(min(length, _KEPT))
        place += width + length
        if number == _GROUP_LENGTH and length == 4:
            end = place + struct.unpack("<I", found[number].ljust(4, b"\0"))[0]


def _shown(first: bytes) -> tuple[bool, bool] | None:
    """Whether a data set's first bytes are (implicit, little endian); None where they begin none.

    Data sets begin with a low group, so the smaller reading of its number is the right one.
    """
    if len(first) < 8:
        return None
    little = int.from_bytes(first[:2], "little") <= int.from_bytes(first[:2], "big")
    if int.from_bytes(first[:2], "little" if little else "big") > 0x00FF:
        return None
    return first[4:6] not in _REPRESENTATIONS, little


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")
