"""A scan that is read in another process, which a file that kills its decoder may end without ending this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TypeVar

from triplenet.errors import ScanError
from triplenet.processes import BUDGET_S, Worker
from triplenet.scan.reading import open_but, with_fallback
from triplenet.scan.series import Series
from triplenet.scan.source_frames import SourceFrame
from triplenet.scan.volume import Geometry, HuArray, Source

T = TypeVar("T")
_held: list[Series] = []
"""In the other process: what was opened last."""


def with_fallback_elsewhere(
    worker: Worker,
    path: Path | str,
    use: Callable[[Series], T],
    series: str | None = None,
    *,
    allow_gaps: bool = False,
    budget_s: float = BUDGET_S,
) -> T:
    """As ``with_fallback``: what ``use``, which runs here, makes of a scan that ``worker`` reads.

    :param budget_s: seconds that reading may take in all
    :raises ReaderLost, ReaderTimeout, ReaderFault: reading ended otherwise than with a scan or a refusal
    """
    left = _Budget(budget_s)

    def open_there(unusable: dict[str, ScanError]) -> Series:
        found = worker.call(_open, Path(path), series, allow_gaps, unusable, budget_s=left.seconds())
        return _SeriesElsewhere(worker, left, *found)

    return with_fallback(path, use, series, allow_gaps=allow_gaps, opener=open_there)


class _Budget:
    def __init__(self, seconds: float) -> None:
        self._until = monotonic() + seconds

    def seconds(self) -> float:
        return max(0.0, self._until - monotonic())


class _SeriesElsewhere(Series):
    """A series whose slices another process decodes."""

    def __init__(self, worker: Worker, left: _Budget, geometry: Geometry, source: Source, key: str | None) -> None:
        super().__init__(geometry, source)
        self.key = key
        self._worker = worker
        self._left = left

    def remarks(self) -> tuple[str, ...]:
        return self._worker.call(_remarks, budget_s=self._left.seconds())

    def source_frames(self) -> tuple[SourceFrame, ...]:
        return self._worker.call(_source_frames, budget_s=self._left.seconds())

    def _decode(self, indices: Sequence[int]) -> tuple[HuArray, list[int]]:
        return self._worker.call(_decode, list(indices), budget_s=self._left.seconds())


def _open(
    path: Path, series: str | None, allow_gaps: bool, unusable: dict[str, ScanError]
) -> tuple[Geometry, Source, str | None]:
    _held.clear()
    opened = open_but(path, series, allow_gaps=allow_gaps, unusable=unusable)
    _held.append(opened)
    return opened.geometry, opened.source, opened.key


def _decode(indices: list[int]) -> tuple[HuArray, list[int]]:
    return _held[0]._decode(indices)


def _source_frames() -> tuple[SourceFrame, ...]:
    return _held[0].source_frames()


def _remarks() -> tuple[str, ...]:
    return _held[0].remarks()
