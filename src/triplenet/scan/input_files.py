"""The files of an input: one file, a folder tree, the members of a zip, or what a DICOMDIR refers to.

Members of a zip are read where they are; nothing is ever extracted.
"""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from triplenet.errors import PathMissing, TooLarge, UnreadableFile, UnsafeArchive
from triplenet.scan.limits import Limits

ZIP_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, lzma.LZMAError, zlib.error)
_CHUNK = 4 * 2**20
_MACOS = "resource fork of macOS"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that may be a scan: on disk, or a member of a zip.

    :param name: path inside the input, for messages
    :param path: the file on disk, or the zip
    """

    name: str
    path: Path
    size: int
    archive: zipfile.ZipFile | None = field(default=None, compare=False, repr=False)

    def open(self) -> BinaryIO:
        """The file from its beginning; a member of a zip is a stream that unpacks as it is read."""
        if self.archive is None:
            return self.path.open("rb")
        try:
            return self.archive.open(self.name)  # type: ignore[return-value]  # IO[bytes], which BinaryIO is
        except NotImplementedError:
            way = self.archive.getinfo(self.name).compress_type
            raise UnreadableFile(
                f"a zip member packed by a method that is not read (number {way})", where=self.name, do="unpack the zip"
            ) from None

    def open_seekable(self, limits: Limits) -> BinaryIO:
        """The file for reading here and there; a member of a zip as a whole in memory."""
        if self.archive is None:
            return self.path.open("rb")
        budget = limits.needing(self.size, self.name)
        out = BytesIO()
        with self.open() as packed:
            while piece := packed.read(_CHUNK):
                budget.spend(len(piece))
                out.write(piece)
        out.seek(0)
        return out


@dataclass
class Listing:
    """The files found, and how many were passed over and why.

    :param container: what they lie in, in a word; empty for a single file
    """

    entries: list[Entry]
    skipped: Counter[str]
    container: str = ""


def list_files(path: Path, limits: Limits) -> Listing:
    """The files under a path: itself, a folder's, or a zip's members, in the order of their names.

    :raises TooLarge: more files than the limits allow, or a zip that unpacks into too much. A single member that does
        is passed over: an empty mask packs a thousand times, and is no part of the scan.
    :raises UnsafeArchive: a member's name leads out of the zip
    """
    if path.is_dir():
        return _folder(path, limits)
    if not path.exists():
        raise PathMissing("no such file or folder", where=path)
    if not path.is_file():
        raise UnreadableFile("neither a file nor a folder", where=path)
    if is_zip(path):
        return _zip(path, limits)
    return Listing([Entry(path.name, path, path.stat().st_size)], Counter())


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError as error:
        raise UnreadableFile(f"cannot be read ({error.strerror})", where=path) from None


def _folder(root: Path, limits: Limits) -> Listing:
    listing = Listing([], Counter(), "folder")
    for path in files_below(root):
        try:
            info = path.stat()
        except OSError:
            listing.skipped["a link that leads nowhere"] += 1
            continue
        if not stat.S_ISREG(info.st_mode):  # opening a pipe or a device could block for ever
            listing.skipped["not a regular file"] += 1
            continue
        if _is_resource_fork(path.relative_to(root).parts):
            listing.skipped[_MACOS] += 1
            continue
        if len(listing.entries) >= limits.files:
            raise TooLarge(f"more than {limits.files} files", where=root, do="give the folder of one study")
        listing.entries.append(Entry(path.relative_to(root).as_posix(), path, info.st_size))
    return listing


def files_below(root: Path) -> Iterator[Path]:
    """Every file of a folder tree, links to folders followed, in the order of their names folder by folder."""
    seen = set()  # real folders, so that a link to a parent does not go round for ever
    for folder, folders, names in os.walk(root, followlinks=True):
        info = Path(folder).stat()
        if (info.st_dev, info.st_ino) in seen:
            folders.clear()
            continue
        seen.add((info.st_dev, info.st_ino))
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _zip(path: Path, limits: Limits) -> Listing:
    listing = Listing([], Counter(), "zip")
    try:
        archive = zipfile.ZipFile(path)
        members = archive.infolist()
    except (*ZIP_DAMAGE, OSError) as error:
        raise UnreadableFile(f"damaged zip ({error})", where=path) from None
    if len(members) > limits.files:
        raise TooLarge(f"a zip of more than {limits.files} files", where=path)
    if sum(member.file_size for member in members) > limits.archive_bytes:
        raise TooLarge(f"a zip that unpacks into more than {limits.archive_bytes} bytes", where=path)
    bomb = f"a zip member that unpacks to more than {limits.archive_ratio} times its size"
    for member in sorted(members, key=lambda m: m.filename):
        if _leads_out(member.filename):
            raise UnsafeArchive("a member's name leads out of the zip", where=path, do="do not trust this file")
        if member.is_dir():
            continue
        if member.flag_bits & 1:
            raise UnreadableFile("the zip is encrypted", where=path, do="unpack it first")
        if _is_resource_fork(member.filename.split("/")):
            listing.skipped[_MACOS] += 1
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            listing.skipped["a link inside the zip"] += 1
            continue
        if member.file_size > max(member.compress_size * limits.archive_ratio, limits.member_bytes):
            listing.skipped[bomb] += 1
            continue
        listing.entries.append(Entry(member.filename, path, member.file_size, archive))
    if listing.skipped[bomb] and not listing.entries:
        raise TooLarge(bomb, where=path)
    return listing


def _is_resource_fork(parts: Sequence[str]) -> bool:
    """Whether a file is what macOS keeps beside another one: it has that one's name and is none of its kind."""
    return parts[-1].startswith("._") or "__MACOSX" in parts


def _leads_out(name: str) -> bool:
    """Whether a member's name would lead out of the folder that the zip is unpacked in."""
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "" or ":" in parts[0] or ".." in parts
