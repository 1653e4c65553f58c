"""The arrays of a prepared set as training reads them: rows on the device, resident or streamed.

A cohort's images are small (64 KB a patient) and normally lie on the device as a whole. Frames of a large cohort may
not fit; then a batch's rows are read from the file by a thread while the batch before is computed. Both give the
same bytes in the same order, so which it is changes no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from triplenet.catalog import UNLABELLED
from triplenet.prepare.array_file import ArrayFile
from triplenet.processes import free_memory

Bytes = npt.NDArray[np.uint8]
SHARE = 0.5
"""Of the free memory of a device that the data may take; the rest is the training's."""


@dataclass(frozen=True)
class BatchIndex:
    """Which rows, known to the processor and to the device: copying them step by step would make it wait."""

    host: Sequence[int]
    device: Tensor
    """(n,) int64"""

    @classmethod
    def of(cls, host: Sequence[int], device: torch.device) -> BatchIndex:
        """Told to the device once."""
        return cls(host, torch.tensor(list(host), dtype=torch.int64).to(device))

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, part: slice) -> BatchIndex:
        return BatchIndex(self.host[part], self.device[part])


class BatchSource(Protocol):
    """N rows of uint8, wherever they lie."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def fetch(self, positions: BatchIndex) -> Tensor:
        """Some rows, on the device, in this order."""

    def prefetch(self, positions: BatchIndex) -> None:
        """These will be taken next."""


class DeviceArray:
    """All rows on the device."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._rows.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, positions: BatchIndex) -> Tensor:
        return self._rows[positions.device]

    def prefetch(self, positions: BatchIndex) -> None:
        """Nothing to do: they are there."""


class StreamedArray:
    """Rows of a file, fetched when they are needed, at best one batch before."""

    def __init__(self, source: Bytes | ArrayFile, rows: npt.NDArray[np.int64], device: torch.device) -> None:
        """:param rows: the rows of ``source`` that these are"""
        self._source = source
        self._rows = rows
        self._device = device
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._coming: tuple[list[int], Future[Tensor]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._source.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, positions: BatchIndex) -> Tensor:
        wanted = list(positions.host)
        coming, self._coming = self._coming, None
        fetched = coming[1].result() if coming is not None and coming[0] == wanted else self._read(wanted)
        return fetched.to(self._device, non_blocking=True)

    def prefetch(self, positions: BatchIndex) -> None:
        wanted = list(positions.host)
        self._coming = (wanted, self._reader.submit(self._read, wanted))

    def _read(self, positions: list[int]) -> Tensor:
        shape = (len(positions), *self._source.shape[1:])
        fetched = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        into = fetched.numpy()
        for place, row in enumerate(self._rows[positions]):
            into[place] = self._source[row]
        return fetched


class HiddenRows:
    """Masks of which some are not to be seen: unlabelled in every pixel."""

    def __init__(self, rows: BatchSource, hidden: Tensor) -> None:
        """:param hidden: (N,) bool, on the device"""
        self._rows = rows
        self._hidden = hidden

    @property
    def shape(self) -> tuple[int, ...]:
        return self._rows.shape

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, positions: BatchIndex) -> Tensor:
        """Some rows, on the device, in this order."""
        masks = self._rows.fetch(positions)
        hidden = self._hidden[positions.device].view(-1, *[1] * (masks.ndim - 1))
        return masks.masked_fill(hidden, UNLABELLED)

    def prefetch(self, positions: BatchIndex) -> None:
        """These will be taken next."""
        self._rows.prefetch(positions)


def on_device(
    source: Bytes | ArrayFile, rows: npt.NDArray[np.int64], device: torch.device, *, stream: bool
) -> BatchSource:
    """These rows of an array of the prepared set."""
    if stream:
        return StreamedArray(source, rows, device)
    return DeviceArray(torch.from_numpy(np.ascontiguousarray(source[rows])).to(device))


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes leave enough of the device's memory free; True where nobody knows."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    return free is None or size <= SHARE * free
