"""Which files and folders of a data set can be scans, masks or pictures, and what is left of their names as a name.

Whatever the reader takes is taken, see ``scan.formats``: in whichever format somebody converted a data set to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver
from triplenet.scan.formats import (
    ARCHIVE_SUFFIXES,
    DICOM_SUFFIXES,
    PICTURE_SUFFIXES,
    VOLUME_SUFFIXES,
    VOLUMES,
    without_suffix,
)

SCANS = (*VOLUME_SUFFIXES, *ARCHIVE_SUFFIXES, *DICOM_SUFFIXES)
_OTHERS = (".gif", ".bmp", ".tif", ".tiff", ".txt", ".md", ".csv", ".json", ".xml", ".pdf", ".html")

LEFT_BEHIND = "left behind by a desktop or an archive"
NO_SCAN = "no scan by its name"
EMPTY = "a folder without a file that could be a scan"
ANOTHER_FORMAT = "the same scan in another format"


def scan_name(path: Path) -> str | None:
    """The name of what may be a scan or a mask with a place: folder, archive, DICOM or volume file; else None."""
    return path.name if path.is_dir() else without_suffix(path.name, SCANS)


def picture_name(path: Path) -> str | None:
    """The name of a picture; None of anything else."""
    return None if path.is_dir() else without_suffix(path.name, PICTURE_SUFFIXES)


def no_scan(path: Path) -> str | None:
    """Why a file or folder cannot be a scan; None where it may be one."""
    if left_behind(path):
        return LEFT_BEHIND
    if scan_name(path) is None:
        return NO_SCAN
    return EMPTY if path.is_dir() and not _may_hold_scan(path) else None


def left_behind(path: Path) -> bool:
    """What desktops and archives leave behind: hidden files, ``._scan.dcm``, ``__MACOSX``."""
    return path.name.startswith((".", "__"))


def is_data_of_header(path: Path) -> bool:
    """Whether a file holds the voxels of a header beside it that has the same name."""
    for kind in VOLUMES:
        name = without_suffix(path.name, kind.data_suffixes)
        if name is not None and any(path.with_name(name + suffix).is_file() for suffix in kind.suffixes):
            return True
    return False


def take_scans(paths: Iterable[Path], left: PassedOver) -> dict[str, Path]:
    """The scans, or masks with a place, among files and folders, by their names and in the order of these.

    The rest is passed over; of one scan in several formats all but the first in the order of ``SCANS``.
    """
    return _take(paths, scan_name, no_scan, SCANS, left)


def take_pictures(folder: Path, left: PassedOver) -> dict[str, Path]:
    """The pictures of a folder, if there is one, as ``take_scans`` has scans."""

    def no_picture(path: Path) -> str | None:
        return LEFT_BEHIND if left_behind(path) else "no picture by its name" if picture_name(path) is None else None

    return _take(folder.iterdir() if folder.is_dir() else (), picture_name, no_picture, PICTURE_SUFFIXES, left)


def _take(
    paths: Iterable[Path],
    name_of: Callable[[Path], str | None],
    unfit: Callable[[Path], str | None],
    suffixes: tuple[str, ...],
    left: PassedOver,
) -> dict[str, Path]:
    def preference(path: Path) -> tuple[int, str]:
        suffix = path.name[len(name_of(path) or path.name) :].lower()
        return suffixes.index(suffix) if suffix in suffixes else len(suffixes), str(path)

    taken: dict[str, Path] = {}
    reasons: dict[Path, str] = {}
    for path in sorted(paths, key=preference):
        name, reason = name_of(path), unfit(path)
        if name is not None and reason is None and taken.setdefault(name, path) == path:
            continue
        if not is_data_of_header(path):
            reasons[path] = reason or ANOTHER_FORMAT
    for path in sorted(reasons):
        left.add(path, reasons[path])
    return dict(sorted(taken.items()))


def _may_hold_scan(folder: Path) -> bool:
    """Whether there is any file in it that is not known to be something else: DICOM files may have any name."""
    return any(
        not name.startswith(".") and not name.lower().endswith((*PICTURE_SUFFIXES, *_OTHERS))
        for _, _, names in os.walk(folder)
        for name in names
    )
