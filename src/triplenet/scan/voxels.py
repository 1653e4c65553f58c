"""The voxels of one volume as a file holds them: checked against its size first, then read slice by slice.

NIfTI, NRRD and MetaImage differ in their headers only; behind each lies one array, plain, packed or written as text.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from triplenet.errors import TooLarge, UnreadableFile
from triplenet.scan.inflate import Packing, unpacked
from triplenet.scan.limits import DEFLATE_RATIO, Limits

_LINES_BYTES = 2**20
_TEXT_BYTES = 32  # a number as text, with what parts it from the next one


@dataclass(frozen=True)
class StoredVoxels:
    """An array (Z, Y, X) in a file.

    :param path: the file that holds it
    :param header: the file that describes it, for messages
    :param offset: where it, or its packed stream, begins; None for the end of the file less its size
    :param skip: bytes that the stream unfolds to before it
    :raises UnreadableFile: the file holds fewer voxels than the header claims
    :raises TooLarge: it cannot hold them, or they are packed as no scan's are
    """

    path: Path
    header: Path
    offset: int | None
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    packing: Packing | Literal["plain", "text"]
    limits: Limits
    skip: int = 0

    def __post_init__(self) -> None:
        self.limits.check_shape(self.shape, self.header)
        try:
            holds = self.path.stat().st_size - (self.offset or 0)
        except OSError as error:
            raise UnreadableFile(f"cannot be read ({error.strerror})", where=self.header) from None
        if self.packing == "plain" and self.bytes > holds:
            raise UnreadableFile(f"truncated: {self.bytes} bytes of voxels announced, {holds} there", where=self.header)
        if self.packing == "text" and self.voxels > holds:
            raise UnreadableFile(f"truncated: {self.voxels} voxels announced in {holds} bytes", where=self.header)
        if self.packing in ("plain", "text"):
            return
        if self.skip + self.bytes > max(holds, 0) * DEFLATE_RATIO:
            raise TooLarge("the header claims more voxels than the file can hold", where=self.header)
        self.limits.check_growth(2 * self.voxels, holds, self.header, self.limits.volume_bytes)

    @property
    def voxels(self) -> int:
        """How many."""
        depth, height, width = self.shape
        return depth * height * width

    @property
    def bytes(self) -> int:
        """What they take unpacked."""
        return self.voxels * self.dtype.itemsize

    def load(self) -> npt.NDArray[Any]:
        """All values, (Z, Y, X) in the file's own type."""
        out = np.empty(self.shape, self.dtype)
        for values, stored in zip(out, self.slices(), strict=True):
            values[...] = stored
        return out

    def slices(self) -> Iterator[npt.NDArray[Any]]:
        """The slices one after the other, each (Y, X) in the file's own type: memory for one of them.

        :raises UnreadableFile: the file is damaged, or ends before the last voxel
        """
        try:
            with self.path.open("rb") as file:
                yield from self._slices(file)
        except OSError as error:
            raise UnreadableFile(f"cannot be read ({error.strerror})", where=self.header) from None

    def chosen(self, indices: Sequence[int]) -> Iterator[npt.NDArray[Any]]:
        """The slices of these numbers of a plain file, no others being read."""
        try:
            with self.path.open("rb") as file:
                for k in indices:
                    yield self._plain(file, k)
        except OSError as error:
            raise UnreadableFile(f"cannot be read ({error.strerror})", where=self.header) from None

    def _slices(self, file: BinaryIO) -> Iterator[npt.NDArray[Any]]:
        if self.packing == "plain":
            for k in range(self.shape[0]):
                yield self._plain(file, k)
            return
        file.seek(self.offset or 0)
        if self.packing == "text":
            yield from self._text(file)
            return
        pieces = unpacked(file, self.packing, self.skip + self.bytes, self.limits, self.header)
        shape = self.shape[1:]
        found = 0
        for block in _blocks(pieces, self.skip, shape[0] * shape[1] * self.dtype.itemsize):
            found += 1
            yield block.view(self.dtype).reshape(shape)
        if found < self.shape[0]:
            raise self._truncated()

    def _plain(self, file: BinaryIO, k: int) -> npt.NDArray[Any]:
        # Read, not mapped: a file that is cut meanwhile ends in a refusal, not in a bus error.
        height, width = self.shape[1:]
        one = height * width * self.dtype.itemsize
        first = self.path.stat().st_size - self.bytes if self.offset is None else self.offset
        file.seek(first + k * one)
        values = np.fromfile(file, self.dtype, height * width)
        if values.size < height * width:
            raise self._truncated()
        return values.reshape(height, width)

    def _text(self, file: BinaryIO) -> Iterator[npt.NDArray[Any]]:
        words = file.read(self.voxels * _TEXT_BYTES).replace(b",", b" ")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of text that is no number, earlier versions of numpy only warn
                values = np.fromstring(words, np.float64, self.voxels, sep=" ")
        except (ValueError, DeprecationWarning):
            values = np.empty(0)
        if values.size < self.voxels:
            raise UnreadableFile("the text holds fewer numbers than the header claims voxels", where=self.header)
        with np.errstate(invalid="ignore"):  # a number that the type cannot hold is no HU either
            yield from values.reshape(self.shape).astype(self.dtype)

    def _truncated(self) -> UnreadableFile:
        return UnreadableFile("truncated: fewer voxels than the header claims", where=self.header)


def after_lines(path: Path, start: int, lines: int, header: Path) -> int:
    """Where the voxels begin in a file whose header has them behind so many lines.

    :raises UnreadableFile: it has fewer, or they are no lines
    """
    if not lines:
        return start
    try:
        with path.open("rb") as file:
            file.seek(start)
            before = file.read(_LINES_BYTES)
    except OSError as error:
        raise UnreadableFile(f"cannot be read ({error.strerror})", where=header) from None
    at = 0
    for _ in range(min(lines, _LINES_BYTES)):
        at = before.find(b"\n", at) + 1
        if not at:
            raise UnreadableFile("fewer lines before the voxels than the header says", where=header)
    return start + at


def _blocks(pieces: Iterable[bytes], skip: int, size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Bytes in pieces of any size as blocks of one size each, without the first ``skip``; no part of a block."""
    block = np.empty(size, np.uint8)
    filled = 0
    for piece in pieces:
        rest = np.frombuffer(piece, np.uint8)[skip:]
        skip = max(0, skip - len(piece))
        while rest.size:
            taken = rest[: size - filled]
            block[filled : filled + taken.size] = taken
            filled += taken.size
            rest = rest[taken.size :]
            if filled == size:
                yield block
                block, filled = np.empty(size, np.uint8), 0
