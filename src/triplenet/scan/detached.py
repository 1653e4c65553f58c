"""Headers whose voxels lie in another file: which must lie beside them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from triplenet.errors import UnreadableFile, UnsafeArchive

HEADER_BYTES = 2**20
"""More than any header takes: a hundred of Slicer's segments are 70 kB, and DICOM's elements may stand in one too."""


def data_file(header: Path, name: str) -> Path:
    """The data file that a header names, in the header's own folder.

    :raises UnsafeArchive: the name or a link leads elsewhere
    :raises UnreadableFile: it is not there
    """
    plain = name.removeprefix("./")
    if not plain or plain != PurePosixPath(plain).name or "\0" in plain or "\\" in plain:
        raise UnsafeArchive("the header names a data file outside its own folder", where=header)
    beside = header.parent / plain
    try:
        link, there = beside.is_symlink(), beside.is_file()
    except OSError as error:  # a name longer than the system takes
        raise UnreadableFile(
            f"the data file that the header names cannot be there ({error.strerror})", where=header
        ) from None
    if link:
        raise UnsafeArchive("the header names a data file outside its own folder", where=header)
    if not there:
        raise UnreadableFile("the data file that the header names is not beside it", where=header)
    return beside
