"""The next scans' files into the system's cache while one is worked on, so that no share need be waited for."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from triplenet.errors import ScanError
from triplenet.scan.file_states import files_behind

Item = TypeVar("Item")
BYTES_AHEAD = 2 * 2**30
"""Of all items together that are read ahead"""


def read_ahead(items: Iterable[Item], paths_of: Callable[[Item], Sequence[Path]], ahead: int) -> Iterator[Item]:
    """Yield the items; the files of the next ones are on their way meanwhile. What cannot be read is not its affair.

    :param paths_of: the files and folders of an item
    :param ahead: items, 1 or more
    """
    waiting: SimpleQueue[Sequence[Path] | None] = SimpleQueue()
    thread = threading.Thread(target=_fetch, args=(waiting, BYTES_AHEAD // ahead), daemon=True)
    thread.start()
    coming: deque[Item] = deque()
    try:
        for item in items:
            waiting.put(paths_of(item))
            coming.append(item)
            if len(coming) > ahead:
                yield coming.popleft()
        yield from coming
    finally:
        waiting.put(None)


def _fetch(waiting: SimpleQueue[Sequence[Path] | None], most: int) -> None:
    while (paths := waiting.get()) is not None:
        left = most
        for path in paths:
            with suppress(OSError, ScanError):
                for file, _ in files_behind(path):
                    left -= _will_need(file, left)
                    if left <= 0:
                        break


def _will_need(path: Path, most: int) -> int:
    """Ask the system to read a file; bytes that were asked for."""
    if not path.is_file():  # opening a pipe could block for ever
        return 0
    handle = os.open(path, os.O_RDONLY)
    try:
        size = min(os.fstat(handle).st_size, most)
        os.posix_fadvise(handle, 0, size, os.POSIX_FADV_WILLNEED)
        return size
    finally:
        os.close(handle)
