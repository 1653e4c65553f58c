"""What a compressed frame says of its own size, before a decoder believes it and makes room for it."""

from __future__ import annotations

import struct

from triplenet.errors import TooLarge

_J2K_START = b"\xff\x4f\xff\x51"  # start of codestream, image and tile size
_JPEG_START = b"\xff\xd8"
_SCAN = 0xDA
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})  # tables and an extension among the markers of frames
_JPEG_LS = 0xF7


def check_coded_size(stream: bytes, rows: int, columns: int, where: object) -> None:
    """Refuse a frame that unfolds to more than the header of its file says (TOO_LARGE).

    A decoder makes room for what the stream claims, whatever the file's header says. Less than that, or a stream
    that does not tell, is left to the decoder and to the look at what comes out of it.
    """
    size = coded_size(stream)
    if size is not None and (size[0] > rows or size[1] > columns):
        raise TooLarge(
            f"a compressed frame of {size[0]} x {size[1]} pixels in a file that says {rows} x {columns}", where=where
        )


def coded_size(stream: bytes) -> tuple[int, int] | None:
    """(rows, columns) as a JPEG, JPEG-LS or JPEG 2000 stream has them; None where it does not tell."""
    try:
        if stream.startswith(_JPEG_START):
            return _jpeg(stream)
        start = stream.find(_J2K_START)  # behind the boxes of a JP2 file, where there are any
        if start < 0:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    except struct.error:
        return None
    return bottom - top, right - left


def _jpeg(stream: bytes) -> tuple[int, int] | None:
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
            rows, columns = struct.unpack_from(">HH", stream, place + 3)
            return rows, columns
        place += length
