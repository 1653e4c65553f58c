"""The arrays of a prepared set on the disk: written with their room claimed, read without a memory map.

A map of a file that is cut, or of a disk that fills or fails, ends the process with a bus error; read and written so,
the same is an error with a name.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from triplenet.errors import BadPreparedSet
from triplenet.files import claim_room

NPY_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    TokenError,
    TypeError,
    RecursionError,
    MemoryError,
    OverflowError,
)
"""What numpy raises of a damaged header, which it parses as Python."""

Bytes = npt.NDArray[np.uint8]


class ArrayFile:
    """A uint8 array in an ``.npy`` file; each part is read from the disk when it is asked for.

    Indexed as an array is: ``file[row]``, ``file[rows]``, ``file[first:last]``; ``np.asarray(file)`` reads all of it.

    :raises BadPreparedSet: the file is missing or damaged, now or, since another process cut it, at any reading
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        """:param shape: that it must have"""
        self.path = path
        self.shape = shape
        try:
            with path.open("rb") as stream:
                if npy.read_magic(stream) != (1, 0):
                    raise ValueError("another version of the format")
                found, fortran, dtype = npy.read_array_header_1_0(stream)
                self._offset = stream.tell()
                size = os.fstat(stream.fileno()).st_size
                self._handle = os.dup(stream.fileno())
        except NPY_DAMAGE as error:
            raise _damaged(path) from error
        weakref.finalize(self, os.close, self._handle)
        if found != shape or dtype != self.dtype or fortran:
            raise BadPreparedSet(f"has shape {found} instead of {shape}", where=path)
        if size < self._offset + self.nbytes:
            raise _damaged(path)

    @property
    def nbytes(self) -> int:
        """Of the whole array."""
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Bytes]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, rows: SupportsIndex | slice | Iterable[int] | npt.NDArray[Any]) -> Bytes:
        if isinstance(rows, SupportsIndex) and not isinstance(rows, np.ndarray):
            return np.asarray(self._rows([int(rows)])[0])
        numbers = np.arange(len(self))[rows if isinstance(rows, slice | np.ndarray) else list(rows)]
        return self._rows(numbers.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a file is always read into a new array")
        return np.asarray(self[:], dtype=dtype)

    def _rows(self, rows: list[int]) -> Bytes:
        found = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for place, row in enumerate(rows):
            if not -len(self) <= row < len(self):
                raise IndexError(f"row {row} of {len(self)}")
            self._fill(found[place : place + 1], row % len(self))
        return found

    def _fill(self, into: Bytes, row: int) -> None:
        """:param into: (1, ...)"""
        size, done = prod(self.shape[1:]), 0
        buffer, start = into.data.cast("B"), self._offset + row * size
        while done < size:
            try:
                more = os.preadv(self._handle, [buffer[done:]], start + done)
            except OSError as error:
                raise BadPreparedSet(f"cannot be read ({error.strerror})", where=self.path) from error
            if more == 0:
                raise BadPreparedSet("was cut while it was read", where=self.path, do="prepare the cohort again")
            done += more


def write_arrays(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], samples: Iterable[Mapping[str, Bytes]]
) -> dict[str, ArrayFile]:
    """Write uint8 arrays row by row; returns them opened.

    :param shapes: by file name, (N, ...)
    :param samples: N times what to write, by the names' stems: (...)
    :raises OSError: no room, which is claimed first
    """
    with ExitStack() as stack:
        streams = {name: stack.enter_context((folder / name).open("wb")) for name in shapes}
        for name, shape in shapes.items():
            npy.write_array_header_1_0(streams[name], {"descr": "|u1", "fortran_order": False, "shape": shape})
            streams[name].flush()
            claim_room(streams[name], streams[name].tell() + prod(shape))
        for sample in samples:
            for name, stream in streams.items():
                stream.write(np.ascontiguousarray(sample[Path(name).stem], dtype=np.uint8).data)
    return {name: ArrayFile(folder / name, shape) for name, shape in shapes.items()}


def _damaged(path: Path) -> BadPreparedSet:
    return BadPreparedSet("missing or damaged", where=path, do="prepare the cohort again")
