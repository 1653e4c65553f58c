"""MetaImage (``.mha``, ``.mhd``), read here and not through SimpleITK, whose parser a damaged header can crash.

The other packages that read it (itk, medpy) are built on the same parser, and unpack whatever a stream unfolds to.

The header is lines of ``Key = Value`` that end with ``ElementDataFile``; the voxels follow, or lie in a file beside
it, plain, as one zlib stream or as text. Origin and directions are LPS, as SimpleITK has them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet.errors import NotAVolume, UnreadableFile
from triplenet.scan.detached import HEADER_BYTES, data_file
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.volume import Geometry, check_affine
from triplenet.scan.volume_file import VolumeHeader
from triplenet.scan.voxels import StoredVoxels

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4",  # four bytes, whatever the system
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


class MetaImageHeader(VolumeHeader):
    """What a MetaImage header says, checked against the size of the file that holds the voxels."""

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(path)
        with self._opened() as file:
            head = file.read(HEADER_BYTES)
        self._fields, end = _fields(head)
        if self._text("ObjectType") != "Image" or "ElementDataFile" not in self._fields:
            raise UnreadableFile("not a MetaImage", where=path)
        dimensions = self._whole_numbers("NDims", 1)[0]
        size = self._whole_numbers("DimSize", min(dimensions, 5))
        if not 2 <= len(size) <= 4 or min(size) < 1:
            raise UnreadableFile(f"impossible MetaImage size {size}", where=path)
        if any(n > 1 for n in size[3:]) or self._text("ElementNumberOfChannels", "1") != "1":
            raise NotAVolume("several volumes or several values a voxel", where=path, do="give one volume a file")
        self.shape = (size[0], size[1], size[2] if len(size) > 2 else 1)
        self.voxels = self._find_voxels(end, limits)
        self.geometry = self._geometry(len(size))

    def _find_voxels(self, end: int, limits: Limits) -> StoredVoxels:
        name = self._text("ElementDataFile")
        if name.upper().split()[:1] == ["LIST"] or "%" in name:
            do = "save it as one file"
            raise NotAVolume("a MetaImage whose slices lie in several files is not read", where=self.path, do=do)
        file, start = (self.path, end) if name.upper() == "LOCAL" else (data_file(self.path, name), 0)
        x, y, z = self.shape
        shape, dtype = (z, y, x), self._data_type()
        if self._flag("CompressedData"):
            return StoredVoxels(file, self.path, start, shape, dtype, "zlib", limits)
        if not self._flag("BinaryData", default=True):
            return StoredVoxels(file, self.path, start, shape, dtype, "text", limits)
        if "HeaderSize" in self._fields and self._text("HeaderSize") != "0":  # counted from the file's beginning
            at_end = self._text("HeaderSize") == "-1"
            offset = None if at_end else self._whole_numbers("HeaderSize", 1)[0]
            return StoredVoxels(file, self.path, offset, shape, dtype, "plain", limits)
        return StoredVoxels(file, self.path, start, shape, dtype, "plain", limits)

    def _data_type(self) -> np.dtype[np.generic]:
        name = self._text("ElementType")
        if name not in _TYPES:
            raise NotAVolume(f"MetaImage data of type {name[:40]} are not a grey volume", where=self.path)
        big = self._flag("BinaryDataByteOrderMSB") or self._flag("ElementByteOrderMSB")
        return np.dtype((">" if big else "<") + _TYPES[name])

    def _geometry(self, dimensions: int) -> Geometry:
        n = dimensions
        spacing = self._numbers(("ElementSpacing", "ElementSize"), [1.0] * n)
        origin = self._numbers(("Offset", "Origin", "Position"), [0.0] * n)
        turn = np.reshape(self._numbers(("TransformMatrix", "Rotation", "Orientation"), np.eye(n).ravel()), (n, n))
        affine = np.eye(4)
        m = min(n, 3)
        with np.errstate(all="ignore"):  # what is not finite is refused below
            affine[:m, :m] = turn[:m, :m].T * spacing[:m]  # the file lists the direction of each axis in a row
        affine[:m, 3] = origin[:m]
        affine = affine[:, [2, 1, 0, 3]]
        check_affine(affine, self.path)
        return Geometry((self.shape[2], self.shape[1], self.shape[0]), affine)

    def _text(self, key: str, default: str = "") -> str:
        return self._fields.get(key, default)

    def _flag(self, key: str, *, default: bool = False) -> bool:
        return self._text(key, str(default))[:1].upper() in ("T", "1")

    def _numbers(self, keys: tuple[str, ...], default: npt.ArrayLike) -> npt.NDArray[np.float64]:
        wanted = np.asarray(default, np.float64)
        text = next((self._fields[key] for key in keys if key in self._fields), None)
        if text is None:
            return wanted
        try:
            found = np.array([float(part) for part in text.split()])
        except ValueError:
            found = np.empty(0)
        if found.shape != wanted.shape:
            raise UnreadableFile(f"damaged MetaImage header: {keys[0]}", where=self.path)
        return found

    def _whole_numbers(self, key: str, count: int) -> list[int]:
        parts = self._text(key).split()
        if len(parts) != count or not all(part.isdecimal() and len(part) < 12 for part in parts):
            raise UnreadableFile(f"damaged MetaImage header: {key}", where=self.path)
        return [int(part) for part in parts]


def _fields(head: bytes) -> tuple[dict[str, str], int]:
    """The fields up to ``ElementDataFile``, and where the line of that ends; lines of another form are passed over."""
    found: dict[str, str] = {}
    end = 0
    while end < len(head):
        start, end = end, (head.find(b"\n", end) + 1) or len(head)
        line = head[start:end].decode("utf-8", "replace")
        name, equals, value = line.partition("=") if "=" in line else line.partition(":")
        key = name.strip()
        if equals and key:
            found[key] = value.strip()
        if key == "ElementDataFile":
            break
    return found, end
