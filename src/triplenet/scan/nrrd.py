"""NRRD (``.nrrd``, ``.nhdr``), read here and not through SimpleITK.

SimpleITK's parser dies of header values that it cannot print, and up to 2.5.5 mirrors left-anterior-superior volumes.
The package pynrrd has neither fault, but reads headers of any length and unpacks whatever a stream unfolds to, which is
what has to be bounded here; what would be left of it is the splitting of lines. Teem's definition of the format counts:
http://teem.sourceforge.net/nrrd/format.html.

The header is lines of ``field: value`` up to an empty line; the voxels follow, or lie in a file beside it. Directions
become LPS. What a header may say besides (thresholds, key-value pairs, fields of later versions) is passed over.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadGeometry, NotAVolume, UnreadableFile
from triplenet.scan.detached import HEADER_BYTES, data_file
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.volume import Geometry, check_affine
from triplenet.scan.volume_file import VolumeHeader
from triplenet.scan.voxels import StoredVoxels, after_lines

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_NAMES = {name: code for code, names in _TYPES.items() for name in names}
_TEXT, _GZIP = ("txt", "text", "ascii"), ("gzip", "gz")
_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0, 1.0), "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0), "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0), "las": (1.0, -1.0, 1.0),
}  # fmt: skip
_NO_SIDES = frozenset({"", "scanner-xyz", "3d-right-handed", "3d-left-handed"})
_MM = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "": 1.0}  # millimetres in a unit
_LINE = re.compile(r"(.*?)(:=|: |:$)(.*)")
_BARE = re.compile(r"(\w+)(:)(\S*)")  # some writers leave out the space
_VECTOR = re.compile(r"\(([^()]*)\)|(none)", re.IGNORECASE)
_IN_SPACE = frozenset({"domain", "space", "time", "???", "none"})  # kinds of an axis that is no list of values


class NrrdHeader(VolumeHeader):
    """What a NRRD header says, checked against the size of the file that holds the voxels.

    :ivar key_values: what programs write for themselves, ``key:=value``
    """

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(path)
        with self._opened() as file:
            head = file.read(HEADER_BYTES)
        self._fields, self.key_values, end = _fields(head, path)
        axes = self._axes()
        x, y, z = ([self._sizes[k] for k in axes] + [1])[:3]
        self.shape = (x, y, z)
        self.voxels = self._find_voxels(end, limits)
        self.geometry = self._geometry(axes)

    def _axes(self) -> list[int]:
        """The axes of the array that lie in space: two or three."""
        dimension, self._sizes = self._whole_numbers("dimension"), self._whole_numbers("sizes")
        if dimension != [len(self._sizes)] or min(self._sizes) < 1:
            raise UnreadableFile("damaged NRRD header (dimension and sizes)", where=self.path)
        self._directions = self._vectors("space directions", len(self._sizes)) if self._has("space directions") else []
        if self._directions:
            axes = [k for k, direction in enumerate(self._directions) if direction is not None]
        else:
            kinds = self._text("kinds").lower().split() + ["???"] * len(self._sizes)
            axes = [k for k in range(len(self._sizes)) if kinds[k] in _IN_SPACE]
        more = set(axes[3:]).union(set(range(len(self._sizes))).difference(axes))
        if len(axes) < 2 or any(self._sizes[k] != 1 for k in more):
            size = " x ".join(str(n) for n in self._sizes[:6])
            raise NotAVolume(f"{size} values are not one volume", where=self.path, do="give one volume a file")
        return axes[:3]

    def _find_voxels(self, end: int, limits: Limits) -> StoredVoxels:
        name, encoding = self._text("data file"), self._text("encoding").lower()
        skip, lines = self._whole_number("byte skip"), self._whole_number("line skip")
        if encoding not in ("raw", *_TEXT, *_GZIP):
            do = "save them as raw or gzip"
            raise NotAVolume(f"NRRD data in the encoding {encoding[:20]!r} are not read", where=self.path, do=do)
        if name.upper().split()[:1] == ["LIST"] or "%" in name:
            do = "save it as one file"
            raise NotAVolume("a NRRD whose voxels lie in several files is not read", where=self.path, do=do)
        if skip < -1 or (skip == -1 and encoding != "raw") or lines < 0:
            raise UnreadableFile("damaged NRRD header (byte skip, line skip)", where=self.path)
        file, start = (data_file(self.path, name), 0) if name else (self.path, end)
        x, y, z = self.shape
        shape, dtype = (z, y, x), self._data_type()
        start = after_lines(file, start, lines, self.path)
        if encoding in _GZIP:
            return StoredVoxels(file, self.path, start, shape, dtype, "gzip", limits, skip=skip)
        if encoding in _TEXT:
            return StoredVoxels(file, self.path, start, shape, dtype, "text", limits)
        return StoredVoxels(file, self.path, None if skip == -1 else start + skip, shape, dtype, "plain", limits)

    def _data_type(self) -> np.dtype[np.generic]:
        name = " ".join(self._text("type").lower().split())
        if name not in _NAMES:
            raise NotAVolume(f"NRRD data of type {name[:40]!r} are not a grey volume", where=self.path)
        code = _NAMES[name]
        endian = self._text("endian").lower()
        if endian not in ("little", "big") and (code[1] != "1" or endian):
            raise UnreadableFile("damaged NRRD header (endian)", where=self.path)
        return np.dtype((">" if endian == "big" else "<") + code)

    def _geometry(self, axes: list[int]) -> Geometry:
        turn = self._to_lps()
        affine = np.eye(4)
        with np.errstate(all="ignore"):  # what is not finite is refused below
            affine[:3, :3] = (turn if self._directions else np.abs(turn))[:, None] * self._steps(axes)
            affine[:3, 3] = turn * self._origin(axes)
        affine = affine[:, [2, 1, 0, 3]]
        check_affine(affine, self.path)
        return Geometry((self.shape[2], self.shape[1], self.shape[0]), affine)

    def _to_lps(self) -> npt.NDArray[np.float64]:
        """What each coordinate of the file's space is multiplied with."""
        space = self._text("space").lower()
        if space not in _TO_LPS and space not in _NO_SIDES:
            raise BadGeometry(f"a NRRD in the space {space[:40]!r} has no place in the patient", where=self.path)
        if space in _NO_SIDES or not self._directions:
            self.notes.append("the NRRD file states no orientation in the patient: rows, columns and sides are assumed")
        units = {unit.strip('"').lower() for unit in self._text("space units").split()}
        unit = units.pop() if len(units) == 1 else ""
        if unit not in _MM or units:
            self.notes.append("lengths are given in a unit that is not known here and are taken as millimetres")
        elif _MM[unit] != 1.0:
            self.notes.append(f"lengths were given in {unit} and are taken as such")
        return np.array(_TO_LPS.get(space, (1.0, 1.0, 1.0))) * _MM.get(unit, 1.0)

    def _steps(self, axes: list[int]) -> npt.NDArray[np.float64]:
        """The vector from voxel to voxel along each axis, in columns, in the file's space."""
        if not self._directions:
            spacings = self._numbers("spacings", len(self._sizes)) if self._has("spacings") else []
            lengths = [spacings[k] if spacings and np.isfinite(spacings[k]) else 1.0 for k in axes]
            return np.diag([*lengths, 1.0][:3])
        vectors = [np.array(vector) for k in axes if (vector := self._directions[k]) is not None]
        if len(vectors) == 2:  # one slice in space
            normal = np.cross(vectors[0], vectors[1])
            vectors.append(normal / np.linalg.norm(normal))
        return np.stack(vectors, axis=1)

    def _origin(self, axes: list[int]) -> npt.NDArray[np.float64]:
        """The centre of the first voxel in the file's space."""
        if self._has("space origin"):
            found = self._vectors("space origin", 1)[0]
            return np.zeros(3) if found is None else np.array(found)
        if self._directions or not self._has("axis mins"):
            return np.zeros(3)
        mins = self._numbers("axis mins", len(self._sizes))
        centres = self._text("centerings").lower().split() + [""] * len(mins)
        half = np.diag(self._steps(axes)) / 2  # a voxel is a cell, and its lowest corner was given, unless it says node
        first = [mins[k] + (0.0 if centres[k] == "node" else half[n]) for n, k in enumerate(axes)]
        return np.array([*[n if np.isfinite(n) else 0.0 for n in first], 0.0][:3])

    def _has(self, key: str) -> bool:
        return key in self._fields

    def _text(self, key: str) -> str:
        return self._fields.get(key, "")

    def _vectors(self, key: str, count: int) -> list[tuple[float, ...] | None]:
        matches = list(_VECTOR.finditer(self._text(key)))
        try:
            found = [None if match[2] else _vector(match[1]) for match in matches]
        except ValueError:
            found = []
        sizes = {len(vector) for vector in found if vector is not None}
        if len(found) != count or _VECTOR.sub("", self._text(key)).strip() or sizes - {3}:
            raise UnreadableFile(f"damaged NRRD header ({key})", where=self.path)
        return found

    def _numbers(self, key: str, count: int | None = None) -> list[float]:
        try:
            values = [float(part) for part in self._text(key).split()]
        except ValueError:
            values = []
        if not values or (count is not None and len(values) != count):
            raise UnreadableFile(f"damaged NRRD header ({key})", where=self.path)
        return values

    def _whole_numbers(self, key: str) -> list[int]:
        values = self._numbers(key)
        if not all(abs(n) < 2**40 and n.is_integer() for n in values):
            raise UnreadableFile(f"damaged NRRD header ({key})", where=self.path)
        return [int(n) for n in values]

    def _whole_number(self, key: str) -> int:
        return self._whole_numbers(key)[0] if self._has(key) else 0


def _vector(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    return (*values, 0.0) if len(values) == 2 else values  # a picture's plane is taken as axial


def _fields(head: bytes, path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """The fields of a header by their names in small letters, its key-value pairs, and where its data begin."""
    if not re.match(rb"NRRD000[1-9]\r?\n", head):
        raise UnreadableFile("not a NRRD file", where=path)
    end = re.search(rb"\n\r?\n", head)
    if end is None and len(head) == HEADER_BYTES:
        raise UnreadableFile("a NRRD header without an end", where=path)
    found: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in head[: end.start() if end else len(head)].decode("utf-8", "replace").split("\n")[1:]:
        match = _LINE.match(line.rstrip("\r")) or _BARE.match(line)
        if match is None or line.startswith("#"):
            continue
        if match[2] == ":=":
            pairs[match[1].strip()] = match[3].strip()
            continue
        name = match[1].strip().lower()
        name = "data file" if name == "datafile" else " ".join(name.split())
        if name in found:
            raise UnreadableFile(f"damaged NRRD header ({name[:40]} stands twice)", where=path)
        found[name] = match[3].strip()
    return found, pairs, end.end() if end else len(head)
