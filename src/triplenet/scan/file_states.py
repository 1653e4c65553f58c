"""Every file behind a scan's or mask's name, with its size and times: whether it is still what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triplenet.errors import ScanError
from triplenet.scan.detached import HEADER_BYTES
from triplenet.scan.dicomdir import list_referenced
from triplenet.scan.formats import volume_format
from triplenet.scan.input_files import files_below
from triplenet.scan.limits import DEFAULT_LIMITS

FileState = tuple[str, int, int, int]
"""name, bytes, and when content and inode were changed last (ns)"""

_DICOMDIR_CLASS = b"1.2.840.10008.1.3.10"
_META_BYTES = 1024


def file_states(path: Path) -> list[FileState]:
    """The states of the files that reading ``path`` may open, whatever the layout.

    Of a folder every file below it; of a header with its voxels elsewhere also the data files; of a DICOMDIR also what
    it refers to. The times are the content's, which a copy may bring along, and the inode's, which nothing can set.

    :raises OSError: the path itself is not there
    """
    return [_state(file, name) for file, name in files_behind(path)]


def files_behind(path: Path) -> Iterator[tuple[Path, str]]:
    """The files that reading ``path`` may open, and how ``file_states`` calls them.

    :raises OSError: as they are listed
    """
    if path.is_dir():
        yield from ((file, file.relative_to(path).as_posix()) for file in files_below(path))
        return
    yield path, path.name
    if path.is_file():
        yield from ((file, file.name) for file in _beside(path))


def _state(path: Path, name: str) -> FileState:
    try:
        info = path.stat()
    except OSError:  # a link that leads nowhere, which may lead somewhere later
        info = path.lstat()
    return (name, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _beside(path: Path) -> list[Path]:
    """The other files that a single file leads to."""
    kind = volume_format(path.name)
    detached = kind is not None and bool(kind.data_suffixes)
    with path.open("rb") as file:
        beginning = file.read(HEADER_BYTES if detached else _META_BYTES)
    if detached:
        return _named(path, beginning)
    if _DICOMDIR_CLASS in beginning:
        try:
            return [entry.path for entry in list_referenced(path, DEFAULT_LIMITS).entries]
        except ScanError:
            return list(files_below(path.parent))
    return []


def _named(header: Path, beginning: bytes) -> list[Path]:
    """Files of the header's folder that one of its lines names, in whatever way: one too many does no harm."""
    found = {}
    for line in beginning.decode("utf-8", "surrogateescape").splitlines():
        for text in (line, line.partition("=")[2], line.partition(":")[2]):
            name = text.strip().strip('"').removeprefix("./").strip()
            if 0 < len(name.encode("utf-8", "surrogateescape")) < 256 and "/" not in name and "\0" not in name:
                file = header.parent / name
                if name not in (".", "..", header.name) and file.is_file():
                    found[name] = file
    return [found[name] for name in sorted(found)]
