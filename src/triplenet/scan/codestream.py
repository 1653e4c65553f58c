"""What a compressed frame says of itself, before a native decoder believes it and makes room for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from triplenet.errors import TooLarge, UnreadableFile
from triplenet.scan.dicom_frames import Pixels

J2K_START = b"\xff\x4f\xff\x51"  # start of codestream, image and tile size
JPEG_START = b"\xff\xd8"
_SCAN = 0xDA
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})  # tables and an extension among the markers of frames
JPEG_LS = 0xF7
_PRECISIONS = {  # bits of a sample that each process knows (ITU-T T.81 table B.2, T.87); others have no decoder
    0xC0: (8,), 0xC1: (8, 12), 0xC2: (8, 12), 0xC3: range(2, 17), JPEG_LS: range(2, 17),
}  # fmt: skip
_J2K_PRECISIONS = range(1, 33)


@dataclass(frozen=True)
class Coded:
    """What a stream's own header says."""

    rows: int
    columns: int
    precision: int
    """Bits of a sample"""
    components: int
    possible: bool = True
    """Whether its kind of stream can have samples of that size"""


def check_codestream(stream: bytes, pixels: Pixels, where: object) -> Coded:
    """What a frame's stream says of itself, refused where it is not what the header of its file says.

    A decoder makes room for what the stream claims, whatever the file's header says, and dies of what no stream can
    have (a side of nothing, samples of 127 bits, another marker than the first one), and all that ran beside it.

    :raises TooLarge: it unfolds to more than the header says
    :raises UnreadableFile: it does not tell, or is of another size or of other samples
    """
    coded = coded_header(stream)
    if coded is None:
        raise UnreadableFile("a compressed frame without a header of its own", where=where)
    if (coded.rows, coded.columns) != (pixels.rows, pixels.columns):
        larger = coded.rows > pixels.rows or coded.columns > pixels.columns
        raise (TooLarge if larger else UnreadableFile)(
            f"a compressed frame of {coded.rows} x {coded.columns} pixels in a file that says "
            f"{pixels.rows} x {pixels.columns}",
            where=where,
        )
    fits = coded.possible and coded.precision <= pixels.bits_allocated
    if not fits or coded.components != pixels.samples:
        raise UnreadableFile(
            f"a compressed frame of {coded.components} x {coded.precision} bits a pixel in a file that says "
            f"{pixels.samples} x {pixels.bits_allocated}",
            where=where,
        )
    return coded


def coded_header(stream: bytes) -> Coded | None:
    """What a JPEG, JPEG-LS or JPEG 2000 stream says; None where it does not tell."""
    try:
        if stream.startswith(JPEG_START):
            return _jpeg(stream)[1]
        start = stream.find(J2K_START)  # behind the boxes of a JP2 file, where there are any
        if start < 0:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
        components, depth = struct.unpack_from(">HB", stream, start + 40)
    except struct.error:
        return None
    precision = (depth & 0x7F) + 1
    return Coded(bottom - top, right - left, precision, components, precision in _J2K_PRECISIONS)


def jpeg_process(stream: bytes) -> int | None:
    """The marker that says how a JPEG or JPEG-LS stream is coded; None where its beginning does not tell."""
    try:
        return _jpeg(stream)[0]
    except struct.error:
        return None


def _jpeg(stream: bytes) -> tuple[int | None, Coded | None]:
    """The process and the header of a frame, from behind the tables before it."""
    place = 2
    while True:
        mark, kind = struct.unpack_from(">BB", stream, place)
        if mark != 0xFF:
            return None, None
        place += 1 if kind == 0xFF else 2
        if kind == 0xFF or kind in _ALONE:
            continue
        if kind == _SCAN:
            return None, None
        (length,) = struct.unpack_from(">H", stream, place)
        if (0xC0 <= kind <= 0xCF and kind not in _NO_FRAME) or kind == JPEG_LS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", stream, place + 2)
            return kind, Coded(rows, columns, precision, components, precision in _PRECISIONS.get(kind, ()))
        place += length
