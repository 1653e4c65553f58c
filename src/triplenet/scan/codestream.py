"""What a compressed frame says of itself, before a native decoder believes it and makes room for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from triplenet.errors import TooLarge, UnreadableFile
from triplenet.scan.dicom_frames import Pixels

_J2K_START = b"\xff\x4f\xff\x51"  # start of codestream, image and tile size
_JPEG_START = b"\xff\xd8"
_SCAN = 0xDA
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})  # tables and an extension among the markers of frames
_JPEG_LS = 0xF7


@dataclass(frozen=True)
class Coded:
    """What a stream's own header says."""

    rows: int
    columns: int
    precision: int
    """Bits of a sample"""
    components: int


def check_codestream(stream: bytes, pixels: Pixels, where: object) -> None:
    """Refuse a frame whose stream is not what the header of its file says.

    A decoder makes room for what the stream claims, whatever the file's header says, and some die of what no stream
    can have. Fewer pixels, or a stream that does not tell, is left to the decoder and to the look at what comes out.

    :raises TooLarge: it unfolds to more than the header says
    :raises UnreadableFile: samples of an impossible size, or another number of them in a pixel
    """
    coded = coded_header(stream)
    if coded is None:
        return
    if coded.rows > pixels.rows or coded.columns > pixels.columns:
        raise TooLarge(
            f"a compressed frame of {coded.rows} x {coded.columns} pixels in a file that says "
            f"{pixels.rows} x {pixels.columns}",
            where=where,
        )
    if not 1 <= coded.precision <= pixels.bits_allocated or coded.components != pixels.samples:
        raise UnreadableFile(
            f"a compressed frame of {coded.components} x {coded.precision} bits a pixel in a file that says "
            f"{pixels.samples} x {pixels.bits_allocated}",
            where=where,
        )


def coded_header(stream: bytes) -> Coded | None:
    """What a JPEG, JPEG-LS or JPEG 2000 stream says; None where it does not tell."""
    try:
        if stream.startswith(_JPEG_START):
            return _jpeg(stream)
        start = stream.find(_J2K_START)  # behind the boxes of a JP2 file, where there are any
        if start < 0:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
        components, depth = struct.unpack_from(">HB", stream, start + 40)
    except struct.error:
        return None
    return Coded(bottom - top, right - left, (depth & 0x7F) + 1, components)


def _jpeg(stream: bytes) -> Coded | None:
    place = 2
    while True:
        mark, kind = struct.unpack_from(">BB", stream, place)
        if mark != 0xFF:
            return None
        place += 1 if kind == 0xFF else 2
        if kind == 0xFF or kind in _ALONE:
            continue
        if kind == _SCAN:
            return None
        (length,) = struct.unpack_from(">H", stream, place)
        if (0xC0 <= kind <= 0xCF and kind not in _NO_FRAME) or kind == _JPEG_LS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", stream, place + 2)
            return Coded(rows, columns, precision, components)
        place += length
