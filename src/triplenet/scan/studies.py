"""The scans below a folder of studies: DICOM folder trees, zips and volume files.

A DICOM tree is the highest folder all of whose files are of one study, as the first DICOM file of each folder says. So
it does not matter whether patients, sites or series have folders of their own.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from triplenet.errors import PathMissing, ScanError
from triplenet.scan.dicom_header import DICOMDIR, read_header
from triplenet.scan.formats import ARCHIVE_SUFFIXES, DICOM_SUFFIXES, picture_format, volume_format
from triplenet.scan.input_files import Entry, files_below
from triplenet.scan.limits import DEFAULT_LIMITS, Limits

_DAMAGED = "damaged"


@dataclass
class Studies:
    """What was found.

    :param scans: paths that ``scan.open`` takes, in the order of their names
    :param skipped: how many files were passed over, and why
    """

    scans: tuple[Path, ...]
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass
class _Folder:
    study: str = ""
    """Of its own DICOM files; empty without any"""
    singles: list[Path] = field(default_factory=list)
    """Zips and volume files"""


def studies_below(
    root: Path | str,
    *,
    leave_out: Collection[Path] = (),
    results: Collection[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Studies:
    """The scans below a folder. DICOM files that lie in it itself are passed over: it would be one study then.

    :param leave_out: folders that are not looked into, such as that of the results
    :param results: names of files; a folder that has one holds an earlier result, whose volumes are no scans
    :raises PathMissing: there is no such folder
    """
    root = Path(root)
    if not root.is_dir():
        raise PathMissing("no such folder of studies", where=root, do="give a folder, or scans one by one")
    skipped: Counter[str] = Counter()
    folders: dict[Path, _Folder] = {}
    left_out = {folder.resolve() for folder in leave_out}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on harmless faults of a header
        for folder, files in _by_folder(root):
            if not left_out.isdisjoint({folder.resolve(), *folder.resolve().parents}):
                continue
            if not {path.name for path in files}.isdisjoint(results):
                skipped["file of an earlier result"] += len(files)
                continue
            folders[folder] = _look(files, limits, skipped)
    trees = _trees(root, folders, skipped)
    inside = set(trees)
    scans = list(trees)
    for folder, found in folders.items():
        if inside.isdisjoint({folder, *folder.parents}):
            scans += found.singles
        elif found.singles:
            skipped["volume file or zip in a DICOM study"] += len(found.singles)
    return Studies(tuple(sorted(scans, key=lambda path: path.relative_to(root).parts)), skipped)


def _by_folder(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    files: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in files_below(root):
        files[path.parent].append(path)
    yield from files.items()


def _look(files: list[Path], limits: Limits, skipped: Counter[str]) -> _Folder:
    """What lies in a folder itself. Once one file is DICOM, the others are that study's affair."""
    found = _Folder()
    for path in files:
        if not path.is_file():  # opening a pipe or a device could block for ever
            skipped["not a regular file"] += 1
        elif path.name.startswith("._") or "__MACOSX" in path.parts:
            skipped["resource fork of macOS"] += 1
        elif volume_format(path.name) is not None or path.name.lower().endswith(ARCHIVE_SUFFIXES):
            found.singles.append(path)
        elif found.study in ("", _DAMAGED):
            picture = picture_format(path.name) is not None
            study = "" if picture else _study_of(path, limits)
            if not study:
                skipped["picture" if picture else "not a scan"] += 1
            found.study = study or found.study
    return found


def _study_of(path: Path, limits: Limits) -> str:
    """Which study of which patient a file is of; empty for one that is no DICOM file, or only leads to others.

    Where it does not say, nothing but its own folder is of the same study: two patients are never joined.
    """
    try:
        header = read_header(Entry(path.name, path, path.stat().st_size), limits)
    except (ScanError, OSError):  # damaged: a study of its own kind, which is refused when it is read
        return _DAMAGED if path.name.lower().endswith(DICOM_SUFFIXES) else ""
    if header is None or header.sop_class == DICOMDIR:
        return ""
    return f"{header.patient} {header.study}" if header.study else f"alone in {path.parent}"


def _trees(root: Path, folders: dict[Path, _Folder], skipped: Counter[str]) -> list[Path]:
    """The highest folders below ``root`` that hold one study each."""
    below: defaultdict[Path, set[str]] = defaultdict(set)
    for folder, found in folders.items():
        if found.study:
            for one in (folder, *folder.parents):
                below[one].add(found.study)
                if one == root:
                    break
    if root in folders and folders[root].study:
        skipped["DICOM beside the folders of the studies"] += 1
    trees: list[Path] = []
    for folder in sorted(below):
        nested = not set(trees).isdisjoint(folder.parents)
        own = folder in folders and bool(folders[folder].study)
        if folder != root and not nested and (len(below[folder]) == 1 or own):
            trees.append(folder)
    return trees
