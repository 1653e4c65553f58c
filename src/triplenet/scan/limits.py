"""How much a scan may claim before it is refused: checked from headers, before anything is decoded."""

from __future__ import annotations

import time
from dataclasses import dataclass

from triplenet.errors import TooLarge

DEFLATE_RATIO = 1032
"""No deflate stream can expand further than this (RFC 1951: 258 bytes from two bits)."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds on what is read.

    The defaults let through every clinical CT (1024 x 1024 x 1000 voxels) and stop what cannot be one.
    """

    files: int = 50_000
    """files looked at in one folder tree or zip"""
    voxels: int = 1_500_000_000
    """voxels of one scan: 3 GB as int16"""
    side: int = 16_384
    """rows, columns or slices"""
    header_bytes: int = 64 * 2**20
    """one file's header, functional groups of an enhanced CT included"""
    archive_bytes: int = 64 * 2**30
    """a zip's contents, unpacked"""
    archive_ratio: int = 250
    """unpacked size over packed size, of a zip member or a deflated DICOM file; a CT reaches 30"""
    unpacked_bytes: int = 256 * 2**20
    """what any packed file may unpack into whatever its ratio: an empty mask packs a thousand times"""
    volume_bytes: int = 768 * 2**20
    """the same for a volume file, counted as int16, which is what it takes here: an empty mask of 1,500 slices"""
    member_bytes: int = 16 * 2**20
    """the same for a member of a zip, of which there are many"""
    unpacking_s: float = 300.0
    """seconds that unpacking one file may take"""
    picture_pixels: int = 64_000_000
    """pixels of one PNG or JPEG"""

    def check_shape(self, shape: tuple[int, ...], where: object) -> None:
        """Refuse a volume of this shape if it is too large (TOO_LARGE)."""
        voxels = 1
        for side in shape:
            voxels *= side
        if max(shape) > self.side or voxels > self.voxels:
            raise TooLarge(
                f"the header claims {' x '.join(map(str, shape))} voxels", where=where, do="is the file damaged?"
            )

    def check_growth(self, unpacked: int, packed: int, where: object, whatever: int | None = None) -> None:
        """Refuse pixels that are packed as those of no scan are (TOO_LARGE).

        :param whatever: bytes that are let through whatever their ratio, ``unpacked_bytes`` by default
        """
        if unpacked > max(self.unpacked_bytes if whatever is None else whatever, packed * self.archive_ratio):
            raise TooLarge(
                f"{packed} bytes that unpack into {unpacked}, more than {self.archive_ratio} times as many",
                where=where,
                do="is it damaged?",
            )

    def unpacking(self, packed: int, where: object) -> Budget:
        """What a packed file of this many bytes may cost where nothing else says how large it is unpacked."""
        return Budget(max(self.unpacked_bytes, packed * self.archive_ratio), self.unpacking_s, where)

    def needing(self, wanted: int, where: object) -> Budget:
        """What a packed file may cost whose header, checked before, says how many bytes it unpacks into."""
        return Budget(wanted, self.unpacking_s, where)


class Budget:
    """Bytes and time that unpacking one file may cost, counted chunk by chunk while it is unpacked.

    :ivar left: bytes that may still be unpacked
    """

    def __init__(self, most: int, seconds: float, where: object) -> None:
        self.left = most
        self._most = most
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._where = where

    def spend(self, count: int) -> None:
        """Count bytes that were unpacked.

        :raises TooLarge: they are more than the budget, or it took longer
        """
        self.left -= count
        if self.left < 0:
            raise TooLarge(f"it unpacks into more than {self._most} bytes", where=self._where, do="is it damaged?")
        if time.monotonic() > self._end:
            raise TooLarge(
                f"unpacking it takes more than {self._seconds:g} seconds", where=self._where, do="unpack it first"
            )


DEFAULT_LIMITS = Limits()
