"""The files behind the slices of a DICOM scan, for objects that refer to them: whole headers, which hold identities."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from triplenet.errors import UnreadableFile
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_header import DAMAGE
from triplenet.scan.input_files import Entry
from triplenet.scan.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """Where a slice of a DICOM scan stands."""

    path: Path
    """Its file, or the zip that holds it"""
    member: str | None
    """Of the zip"""
    size: int
    """Bytes of the file"""
    number: int
    """Which frame of the file, from 1"""

    @classmethod
    def of(cls, frame: Frame) -> SourceFrame:
        """Of a frame as it was read; without the open archive, so that another process can be told."""
        entry = frame.file
        return cls(entry.path, None if entry.archive is None else entry.name, entry.size, frame.index + 1)


def read_source(frames: Sequence[SourceFrame], limits: Limits = DEFAULT_LIMITS) -> tuple[Dataset, ...]:
    """The headers of the files, each once, in the order in which the frames name them first; without pixels.

    :raises UnreadableFile: one is gone or damaged
    """
    files = dict.fromkeys((frame.path, frame.member, frame.size) for frame in frames)
    found = []
    archives: dict[Path, zipfile.ZipFile] = {}
    try:
        for path, member, size in files:
            name = path.name if member is None else member
            try:
                if member is not None and path not in archives:
                    archives[path] = zipfile.ZipFile(path)
                entry = Entry(name, path, size, None if member is None else archives[path])
                with entry.open_seekable(limits) as file:
                    header = dcmread(file, stop_before_pixels=True, force=True)
                header.decode()  # of whatever character set
            except DAMAGE as error:
                raise UnreadableFile(f"damaged DICOM file ({type(error).__name__})", where=name) from None
            found.append(header)
    finally:
        for archive in archives.values():
            archive.close()
    return tuple(found)
