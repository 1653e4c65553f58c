"""A DICOMDIR: the index of a CD or DVD, read as a list of the files it refers to."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PureWindowsPath

from pydicom import dcmread

from triplenet.errors import TooLarge, UnreadableFile, UnsafeArchive
from triplenet.scan.dicom_header import DAMAGE
from triplenet.scan.input_files import Entry, Listing
from triplenet.scan.limits import Limits

_TAIL = re.compile(r"(?:\.dcm)?(?:;\d+)?$")


def list_referenced(path: Path, limits: Limits) -> Listing:
    """The files that a DICOMDIR refers to, as far as they are there.

    :raises UnsafeArchive: a reference leads out of the DICOMDIR's folder
    """
    names = _references(path)
    if len(names) > limits.files:
        raise TooLarge(f"a DICOMDIR of more than {limits.files} files", where=path)
    root = path.parent.resolve()
    folders: dict[Path, dict[str, str]] = {}
    listing = Listing([], Counter(), "DICOMDIR")
    for parts in names:
        if any(PureWindowsPath(part).name != part or part in ("", ".", "..") for part in parts):
            raise UnsafeArchive("a reference leads out of the DICOMDIR's folder", where=path)
        target = _on_disk(root, parts, folders)
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


def _on_disk(root: Path, parts: tuple[str, ...], folders: dict[Path, dict[str, str]]) -> Path | None:
    """The file as it is written, or else in other letters or with what copying a disc puts behind names.

    :param folders: what was found in them before
    """
    place = root
    for part in parts:
        if place not in folders:
            folders[place] = _names(place)
        found = folders[place].get(part) or folders[place].get(_plain(part))
        if found is None:
            return None
        place = place / found
    return place if place.is_file() else None


def _names(folder: Path) -> dict[str, str]:
    """The files and folders in a folder, by their names and by their plain ones."""
    try:
        names = sorted((path.name for path in folder.iterdir()), reverse=True)
    except OSError:
        return {}
    return {_plain(name): name for name in names} | {name: name for name in names}


def _plain(name: str) -> str:
    """Without letters' case, ``.dcm`` (which PS3.10 8.2 allows) and the version (``;1``) of ISO 9660."""
    return _TAIL.sub("", name.lower())
