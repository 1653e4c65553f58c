"""Bounded unpacking: never more in memory than was asked for, whatever a stream would unfold to."""

from __future__ import annotations

import zlib
from typing import BinaryIO

CHUNK = 4 * 2**20


def unpack_gzip(file: BinaryIO, offset: int, count: int) -> bytearray:
    """Bytes ``offset .. offset + count`` of what a gzip stream unfolds to, fewer if it ends before.

    :raises zlib.error: the stream is damaged
    """
    out = bytearray(count)
    skip, filled = offset, 0
    engine = zlib.decompressobj(31)
    packed = b""
    while filled < count:
        packed = engine.unconsumed_tail or packed or file.read(CHUNK)
        piece = engine.decompress(packed, CHUNK)
        if not packed and not piece:
            break
        packed = b""
        if skip:
            cut = min(skip, len(piece))
            piece, skip = piece[cut:], skip - cut
        take = min(len(piece), count - filled)
        out[filled : filled + take] = piece[:take]
        filled += take
        if engine.eof:  # a gzip file may consist of several members
            packed = engine.unused_data
            engine = zlib.decompressobj(31)
    return out[:filled]
