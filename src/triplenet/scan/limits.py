"""How much a scan may claim before it is refused: checked from headers, before anything is decoded."""

from __future__ import annotations

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
    inflated_bytes: int = 400 * 2**20
    """a deflated DICOM data set, unpacked"""
    archive_bytes: int = 64 * 2**30
    """a zip's contents, unpacked"""
    archive_ratio: int = 250
    """one zip member's unpacked size over its packed size"""
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


DEFAULT_LIMITS = Limits()
