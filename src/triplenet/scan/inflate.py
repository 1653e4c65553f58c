"""Bounded unpacking: never more in memory than was asked for, whatever a stream would unfold to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Literal

from triplenet.errors import UnreadableFile
from triplenet.scan.limits import Budget, Limits

Packing = Literal["gzip", "zlib"]

CHUNK = 2**20
_READ = 2**18  # zlib copies what it has not used yet at each call


def unpacked(file: BinaryIO, packing: Packing, count: int, limits: Limits, where: object) -> Iterator[bytes]:
    """Pieces of the first ``count`` bytes that a stream unfolds to, fewer if it ends before.

    A gzip file may consist of several members. Where the stream ends within a ``CHUNK`` behind those bytes,
    its checksum is looked at too.

    :raises UnreadableFile: the stream is damaged
    :raises TooLarge: it takes longer than the limits allow
    """
    left, more = count, CHUNK
    last = b""
    for piece, ends in _members(file, packing, limits.needing(count + 2 * CHUNK, where), where):
        if left > 0:
            if last:
                yield last
            last = piece[:left]
            left -= len(last)
            more -= len(piece) - len(last)
        else:
            more -= len(piece)
        if left <= 0 and (ends or more <= 0):
            break
    if last:
        yield last


def _members(file: BinaryIO, packing: Packing, budget: Budget, where: object) -> Iterator[tuple[bytes, bool]]:
    """All that a stream unfolds to, in pieces, each with whether a member and its checksum end with it."""
    engine = _engine(packing)
    packed = b""
    while True:
        packed = engine.unconsumed_tail or packed or file.read(_READ)
        try:
            piece = engine.decompress(packed, CHUNK)
        except zlib.error:
            raise UnreadableFile(f"damaged {packing} stream", where=where) from None
        if not piece and not packed:
            return
        budget.spend(len(piece))
        yield piece, engine.eof
        packed = b""
        if engine.eof:
            if packing == "zlib":
                return
            packed = engine.unused_data
            engine = _engine(packing)


def _engine(packing: Packing) -> zlib._Decompress:
    return zlib.decompressobj(31 if packing == "gzip" else 15)
