"""NRRD (``.nrrd``, ``.nhdr``), read here and not through SimpleITK.

SimpleITK's parser dies of header values that it cannot print, and up to 2.5.5 mirrors left-anterior-superior volumes.
The header is lines of ``field: value`` up to an empty line; the voxels follow, or lie in a file beside it, plain
or as gzip. Directions become LPS. What a header may say besides (units, thresholds, key-value pairs) is passed
over.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadGeometry, NotAVolume, PathMissing, TooLarge, UnreadableFile
from triplenet.scan.detached import data_file
from triplenet.scan.hounsfield import Rescale, volume_to_hu
from triplenet.scan.inflate import unpack_gzip
from triplenet.scan.limits import DEFAULT_LIMITS, DEFLATE_RATIO, Limits
from triplenet.scan.series import MemorySeries
from triplenet.scan.volume import Geometry, HuArray, Source, check_affine

SUFFIXES = (".nrrd", ".nhdr")

_HEADER_BYTES = 1024 * 1024  # a hundred segments of Slicer are 70 kB
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_NAMES = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0, 1.0), "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0), "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0), "las": (1.0, -1.0, 1.0),
}  # fmt: skip
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
_SCALAR_KINDS = frozenset({"domain", "space", "???", "none", "list", "time"})


class NrrdHeader:
    """What a NRRD header says, checked against the size of the file that holds the voxels.

    :ivar shape: (X, Y, Z) voxels
    :ivar key_values: what programs write for themselves, ``key:=value``
    """

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                head = file.read(_HEADER_BYTES)
        except FileNotFoundError:
            raise PathMissing("no such file", where=path) from None
        except OSError as error:
            raise UnreadableFile(f"cannot be read ({error.strerror})", where=path) from None
        self._fields, self.key_values, end = _fields(head, path)
        size = self._sizes()
        self.shape = (size[0], size[1], size[2] if len(size) > 2 else 1)
        limits.check_shape(self.shape, path)
        self.dtype = self._data_type()
        self.pixel = str(self.dtype)
        self.bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self.encoding = self._encoding()
        self._data, self._offset = self._find_data(end)
        self._check_size()
        self.geometry = self._geometry(len(size))

    def load(self) -> npt.NDArray[Any]:
        """All stored values, (Z, Y, X) in the file's own type."""
        shape = self.shape[::-1]  # the first NRRD axis runs fastest
        if self.encoding == "raw":
            return np.fromfile(self._data, self.dtype, int(np.prod(shape)), offset=self._offset).reshape(shape)
        try:
            with self._data.open("rb") as file:
                file.seek(self._offset)
                block = unpack_gzip(file, 0, self.bytes)
        except (zlib.error, OSError):
            raise UnreadableFile(f"damaged {self.encoding} stream", where=self.path) from None
        if len(block) < self.bytes:
            raise UnreadableFile("truncated: fewer voxels than the header claims", where=self.path)
        return np.frombuffer(block, self.dtype).reshape(shape)

    def _sizes(self) -> list[int]:
        dimension = self._numbers("dimension", whole=True)
        size = self._numbers("sizes", whole=True)
        if len(dimension) != 1 or len(size) != dimension[0] or not size or min(size) < 1:
            raise UnreadableFile("damaged NRRD header (dimension and sizes)", where=self.path)
        kinds = self._fields.get("kinds", "").lower().split()
        colour = any(kind not in _SCALAR_KINDS and n > 1 for kind, n in zip(kinds, size, strict=False))
        if len(size) < 2 or any(n != 1 for n in size[3:]) or colour:
            raise NotAVolume(f"{' x '.join(str(int(n)) for n in size[:6])} values are not one volume", where=self.path)
        return [int(n) for n in size[:3]]

    def _data_type(self) -> np.dtype[Any]:
        name = " ".join(self._fields.get("type", "").lower().split())
        if name not in _NAMES:
            raise NotAVolume(f"NRRD data of type {name[:40]!r} are not a grey volume", where=self.path)
        code = _NAMES[name]
        endian = self._fields.get("endian", "little").strip().lower()
        if endian not in ("little", "big") or ("endian" not in self._fields and code[1] != "1"):
            raise UnreadableFile("damaged NRRD header (endian)", where=self.path)
        return np.dtype((">" if endian == "big" else "<") + code)

    def _encoding(self) -> str:
        name = self._fields.get("encoding", "").strip().lower()
        if name not in _ENCODINGS:
            raise NotAVolume(
                f"NRRD data in the encoding {name[:20]!r} are not read",
                where=self.path,
                do="save them as raw or gzip",
            )
        return _ENCODINGS[name]

    def _find_data(self, end: int) -> tuple[Path, int]:
        name = self._fields.get("data file", self._fields.get("datafile"))
        skips = [
            self._fields.get(key, self._fields.get(key.replace(" ", ""), "0")) for key in ("byte skip", "line skip")
        ]
        if skips[1].strip() != "0" or not skips[0].strip().isdecimal() or len(skips[0]) > 12:
            raise NotAVolume("a NRRD with skipped lines, or bytes from its end, is not read", where=self.path)
        skip = int(skips[0])
        if skip and self.encoding != "raw":
            raise NotAVolume("a packed NRRD with skipped bytes is not read", where=self.path)
        if name is None:
            return self.path, end + skip
        if name.strip().upper().startswith("LIST") or "%" in name:
            raise NotAVolume("a NRRD whose voxels lie in several files is not read", where=self.path)
        return data_file(self.path, name.strip()), skip

    def _check_size(self) -> None:
        holds = self._data.stat().st_size - self._offset
        if self.encoding == "raw":
            if self.bytes > holds:
                raise UnreadableFile(
                    f"truncated: {self.bytes} bytes of voxels announced, {holds} there", where=self.path
                )
        elif self.bytes > holds * DEFLATE_RATIO:
            raise TooLarge("the header claims more voxels than the file can hold", where=self.path)

    def _geometry(self, dimensions: int) -> Geometry:
        space = self._fields.get("space", "left-posterior-superior").strip().lower()
        if space not in _TO_LPS:
            raise BadGeometry(f"a NRRD in the space {space[:40]!r} has no place in the patient", where=self.path)
        turn = np.array(_TO_LPS[space])
        axes = np.eye(3)
        if "space directions" in self._fields:
            vectors = self._vectors("space directions")[:dimensions]
            for k, vector in enumerate(vectors[:3]):
                axes[:, k] = vector
        elif "spacings" in self._fields:
            spacings = [n if np.isfinite(n) else 1.0 for n in self._numbers("spacings")][:3]
            axes = np.diag([*spacings, 1.0, 1.0, 1.0][:3])
        origin = self._vectors("space origin")[0] if "space origin" in self._fields else np.zeros(3)
        affine = np.eye(4)
        affine[:3, :3] = turn[:, None] * axes
        affine[:3, 3] = turn * origin
        affine = affine[:, [2, 1, 0, 3]]
        check_affine(affine, self.path)
        return Geometry((self.shape[2], self.shape[1], self.shape[0]), affine)

    def _vectors(self, key: str) -> list[npt.NDArray[np.float64]]:
        found = []
        for match in _VECTOR.finditer(self._fields[key]):
            if match[1] is None:
                continue
            try:
                found.append(np.array([float(part) for part in match[1].split(",")]))
            except ValueError:
                raise UnreadableFile(f"damaged NRRD header ({key})", where=self.path) from None
        if not found or any(vector.shape != (3,) for vector in found):
            raise UnreadableFile(f"damaged NRRD header ({key})", where=self.path)
        return found

    def _numbers(self, key: str, *, whole: bool = False) -> list[float]:
        try:
            values = [float(part) for part in self._fields.get(key, "").split()]
        except ValueError:
            values = []
        if not values or (whole and not all(np.isfinite(n) and n.is_integer() and abs(n) < 2**31 for n in values)):
            raise UnreadableFile(f"damaged NRRD header ({key})", where=self.path)
        return values


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


def _fields(head: bytes, path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """The fields of a header by their names in small letters, its key-value pairs, and where its data begin."""
    if not re.match(rb"NRRD000[1-5]\r?\n", head):
        raise UnreadableFile("not a NRRD file", where=path)
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and len(head) == _HEADER_BYTES:
        raise UnreadableFile("a NRRD header without an end", where=path)
    lines = head[: end.start() if end else len(head)].decode("utf-8", "replace").splitlines()[1:]
    found: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or line.startswith("#"):
            continue
        if value.startswith("="):
            pairs[name.strip()] = value[1:].strip()
        else:
            found[name.strip().lower()] = value.strip()
    return found, pairs, end.end() if end else len(head)
