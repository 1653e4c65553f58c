"""The volume of one file, whatever its format: what its header says, and the scan that is read behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from triplenet.errors import PathMissing, UnreadableFile
from triplenet.scan.hounsfield import Rescale, to_hu, volume_to_hu
from triplenet.scan.series import MemorySeries, Series
from triplenet.scan.volume import Geometry, HuArray, Source
from triplenet.scan.voxels import StoredVoxels


class VolumeHeader:
    """What the header of a volume file says, checked against the size of the file that holds the voxels.

    :ivar shape: (X, Y, Z) voxels
    :ivar voxels: where they lie, (Z, Y, X)
    :ivar rescale: from them to HU
    :ivar notes: what was assumed
    :ivar key_values: what programs write into a header for themselves
    """

    shape: tuple[int, int, int]
    voxels: StoredVoxels
    geometry: Geometry
    rescale: Rescale = Rescale()
    key_values: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []

    @property
    def technical(self) -> dict[str, Any]:
        """What ``Source.header`` tells of it."""
        return {"data_type": str(self.voxels.dtype)}

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file, to be read within the block."""
        try:
            with self.path.open("rb") as file:
                yield file
        except FileNotFoundError:
            raise PathMissing("no such file", where=self.path) from None
        except OSError as error:
            raise UnreadableFile(f"cannot be read ({error.strerror})", where=self.path) from None


def volume_series(header: VolumeHeader, source: Source) -> Series:
    """The CT volume behind a header."""
    return _Sliced(header, source) if header.voxels.packing == "plain" else _Whole(header, source)


class _Sliced(Series):
    """Plain voxels: slices are read on their own."""

    def __init__(self, header: VolumeHeader, source: Source) -> None:
        super().__init__(header.geometry, source)
        self._header = header
        self._numbers = _NotNumbers()

    def remarks(self) -> tuple[str, ...]:
        return self._numbers.remarks()

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        out = np.empty((len(indices), *self.geometry.shape[1:]), np.int16)
        stored = self._numbers.counted(self._header.voxels.chosen(indices))
        return out, [to_hu(values, self._header.rescale, out=hu)[1] for hu, values in zip(out, stored, strict=True)]


class _Whole(MemorySeries):
    """Packed voxels, or voxels as text: read once as a whole."""

    def __init__(self, header: VolumeHeader, source: Source) -> None:
        super().__init__(header.geometry, source)
        self._header = header
        self._numbers = _NotNumbers()

    def remarks(self) -> tuple[str, ...]:
        return self._numbers.remarks()

    def _load(self) -> tuple[HuArray, int]:
        voxels = self._header.voxels
        return volume_to_hu(self._numbers.counted(voxels.slices()), voxels.shape, self._header.rescale)


class _NotNumbers:
    """Counts the voxels that are no numbers (NaN, infinite), which are read as air."""

    def __init__(self) -> None:
        self._found = 0

    def counted(self, slices: Iterable[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
        """The slices as they come."""
        for values in slices:
            if values.dtype.kind == "f":
                self._found += values.size - int(np.count_nonzero(np.isfinite(values)))
            yield values

    def remarks(self) -> tuple[str, ...]:
        return (f"{self._found} voxels read are no numbers (NaN) and count as air",) if self._found else ()
