"""Headers whose voxels lie in another file: which must lie beside them."""

from __future__ import annotations

from pathlib import Path

from triplenet.errors import UnreadableFile, UnsafeArchive


def data_file(header: Path, name: str) -> Path:
    """The data file that a header names, in the header's own folder.

    :raises UnsafeArchive: the name or a link leads elsewhere
    :raises UnreadableFile: it is not there
    """
    beside = header.parent / name
    if name != Path(name).name or "\0" in name or beside.is_symlink():
        raise UnsafeArchive("the header names a data file outside its own folder", where=header)
    if not beside.is_file():
        raise UnreadableFile("the data file that the header names is not beside it", where=header)
    return beside
