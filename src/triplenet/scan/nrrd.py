"""NRRD, through SimpleITK; the header is checked before SimpleITK touches the data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from triplenet.errors import NotAVolume, PathMissing, TooLarge, UnreadableFile
from triplenet.scan.detached import data_file
from triplenet.scan.hounsfield import Rescale, volume_to_hu
from triplenet.scan.limits import DEFAULT_LIMITS, DEFLATE_RATIO, Limits
from triplenet.scan.series import MemorySeries
from triplenet.scan.volume import Geometry, HuArray, Source, check_affine

SUFFIXES = (".nrrd", ".nhdr")

_DATA_FILE = re.compile(rb"^\s*data ?file\s*:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_HEADER = 64 * 1024


class NrrdHeader:
    """What a NRRD header says, checked against the file's size.

    :ivar shape: (X, Y, Z) voxels
    """

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.path = path
        if not path.is_file():
            raise PathMissing("no such file", where=path)
        holds = _data_file(path).stat().st_size
        reader = self._reader()
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise UnreadableFile(f"damaged NRRD header ({_reason(error)})", where=path) from None
        size = [int(n) for n in reader.GetSize()]
        dimension = reader.GetDimension()
        if reader.GetNumberOfComponents() != 1 or any(n != 1 for n in size[3:]) or dimension < 2:
            raise NotAVolume(
                f"{' x '.join(map(str, size))} with {reader.GetNumberOfComponents()} values a voxel is not one volume",
                where=path,
            )
        self.shape = (*size[:3], 1)[:3]
        limits.check_shape(self.shape, path)
        pixel = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
        bits = re.match(r"(8|16|32|64)-bit", pixel)
        if bits is None:
            raise NotAVolume(f"{pixel} is not a grey volume", where=path)
        claimed = int(np.prod(self.shape, dtype=np.int64)) * int(bits[1]) // 8
        if claimed > holds * DEFLATE_RATIO:
            raise TooLarge("the header claims more voxels than the file can hold", where=path)
        self.pixel = pixel
        n = dimension
        direction = np.eye(3)
        direction[: min(n, 3), : min(n, 3)] = np.reshape(reader.GetDirection(), (n, n))[:3, :3]
        affine = np.eye(4)
        affine[:3, :3] = direction * np.array([*reader.GetSpacing()[:3], 1.0][:3])
        affine[:3, 3] = [*reader.GetOrigin()[:3], 0.0][:3]
        affine = affine[:, [2, 1, 0, 3]]
        check_affine(affine, path)
        self.geometry = Geometry((self.shape[2], self.shape[1], self.shape[0]), affine)

    def load(self) -> npt.NDArray[Any]:
        """All stored values, (Z, Y, X) in the file's own type."""
        reader = self._reader()
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise UnreadableFile(f"damaged NRRD data ({_reason(error)})", where=self.path) from None
        return np.asarray(SimpleITK.GetArrayFromImage(image)).reshape(self.geometry.shape)

    def _reader(self) -> Any:
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("NrrdImageIO")
        reader.SetFileName(str(self.path))
        return reader


class _NrrdSeries(MemorySeries):
    def __init__(self, header: NrrdHeader, source: Source) -> None:
        super().__init__(header.geometry, source)
        self._header = header

    def _load(self) -> tuple[HuArray, int]:
        return volume_to_hu(self._header.load(), Rescale())


def open_nrrd(path: Path, limits: Limits = DEFAULT_LIMITS) -> MemorySeries:
    """The CT volume of a NRRD file, known from its header."""
    header = NrrdHeader(path, limits)
    return _NrrdSeries(header, Source("nrrd", str(path), (), {"data_type": header.pixel}))


def _data_file(path: Path) -> Path:
    """The file that holds the voxels: the header's own, or one beside it that it names."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if not head.startswith(b"NRRD"):
        raise UnreadableFile("not a NRRD file", where=path)
    fields, blank, _ = head.replace(b"\r\n", b"\n").partition(b"\n\n")
    if not blank and len(head) == _HEADER:
        raise UnreadableFile("a NRRD header without an end", where=path)
    named = _DATA_FILE.search(fields)
    return path if named is None else data_file(path, named[1].decode("utf-8", "replace"))


def _reason(error: RuntimeError) -> str:
    """The last line of an ITK message, which is the one that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"
