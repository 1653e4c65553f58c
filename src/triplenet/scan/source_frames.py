"""The files behind the slices of a DICOM scan, for objects that refer to them: whole headers, which hold identities."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException

from triplenet.errors import TooLarge, UnreadableFile
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
    before_pixels: int
    """Bytes of it before its pixels"""
    sop_uid: str
    number: int
    """Which frame of the file, from 1"""

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        return self.path.name if self.member is None else self.member

    @classmethod
    def of(cls, frame: Frame) -> SourceFrame:
        """Of a frame as it was read; without the open archive, so that another process can be told."""
        entry, before = frame.file, frame.pixels.offset
        member = None if entry.archive is None else entry.name
        return cls(entry.path, member, entry.size, before, frame.sop_uid, frame.index + 1)


def read_source(frames: Sequence[SourceFrame], limits: Limits = DEFAULT_LIMITS) -> tuple[Dataset, ...]:
    """The headers of the files, each once, in the order in which the frames name them first; without pixels.

    An attribute whose value is none of its kind is left out.

    :raises UnreadableFile: one is gone, damaged or another one by now
    :raises TooLarge: one is longer than the limits allow
    """
    files = {(frame.path, frame.member): frame for frame in frames}
    archives: dict[Path, zipfile.ZipFile] = {}
    try:
        return tuple(_header(one, archives, limits) for one in files.values())
    finally:
        for archive in archives.values():
            archive.close()


def _header(told: SourceFrame, archives: dict[Path, zipfile.ZipFile], limits: Limits) -> Dataset:
    if told.before_pixels > limits.header_bytes:
        raise TooLarge(f"a header of {told.before_pixels} bytes", where=told.name, do="is the file damaged?")
    try:
        if told.member is not None and told.path not in archives:
            archives[told.path] = zipfile.ZipFile(told.path)
        archive = None if told.member is None else archives[told.path]
        with Entry(told.name, told.path, told.size, archive).open_seekable(limits) as file:
            header = dcmread(file, stop_before_pixels=True, force=True)
        _leave_out_unreadable(header)
        header.decode()  # of whatever character set
    except DAMAGE as error:
        raise UnreadableFile(f"damaged DICOM file ({type(error).__name__})", where=told.name) from None
    if header.get("SOPInstanceUID") != told.sop_uid:
        raise UnreadableFile("the file has changed since it was read", where=told.name)
    return header


def _leave_out_unreadable(header: Dataset) -> None:
    for tag in list(header.keys()):
        try:
            header[tag]  # converts its value
        except (ValueError, TypeError, OverflowError, BytesLengthException):
            del header[tag]
