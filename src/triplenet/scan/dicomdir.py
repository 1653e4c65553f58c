"""A DICOMDIR: the index of a CD or DVD, read as a list of the files it refers to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PureWindowsPath

from pydicom import dcmread

from triplenet.errors import TooLarge, UnreadableFile, UnsafeArchive
from triplenet.scan.dicom_header import DAMAGE
from triplenet.scan.files import Entry, Listing
from triplenet.scan.limits import Limits


def list_referenced(path: Path, limits: Limits) -> Listing:
    """The files that a DICOMDIR refers to, as far as they are there.

    :raises UnsafeArchive: a reference leads out of the DICOMDIR's folder
    """
    names = _references(path)
    if len(names) > limits.files:
        raise TooLarge(f"a DICOMDIR of more than {limits.files} files", where=path)
    root = path.parent.resolve()
    listing = Listing([], Counter())
    for parts in names:
        if any(PureWindowsPath(part).name != part or part in ("", ".", "..") for part in parts):
            raise UnsafeArchive("a reference leads out of the DICOMDIR's folder", where=path)
        target = _on_disk(root, parts)
        if target is None:
            listing.skipped["named by the DICOMDIR but missing"] += 1
            continue
        if not target.resolve().is_relative_to(root):
            raise UnsafeArchive("a link leads out of the DICOMDIR's folder", where=path)
        listing.entries.append(Entry("/".join(parts), target, target.stat().st_size))
    return listing


def _references(path: Path) -> list[tuple[str, ...]]:
    try:
        records = dcmread(path, specific_tags=["DirectoryRecordSequence"]).get("DirectoryRecordSequence") or []
        found = [record.get("ReferencedFileID") for record in records]
    except DAMAGE as error:
        raise UnreadableFile(f"damaged DICOMDIR ({' '.join(str(error).split())[:160]})", where=path) from None
    names = [(name,) if isinstance(name, str) else tuple(str(part) for part in name) for name in found if name]
    return sorted(set(names))


def _on_disk(root: Path, parts: tuple[str, ...]) -> Path | None:
    """The file, in capitals as the standard writes it or in small letters as some systems mount it."""
    for spelling in (parts, tuple(part.lower() for part in parts)):
        target = root.joinpath(*spelling)
        if target.is_file():
            return target
    return None
