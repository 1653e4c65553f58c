"""The folder of a result: whole or not at all, and never beside what an earlier scan left there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from triplenet.errors import OutputExists
from triplenet.files import output_failed, temporary_folder, whole_folder, write_json
from triplenet.inference.result import Refusal, Result
from triplenet.outputs.every_slice import write_every_slice
from triplenet.outputs.output_formats import DEFAULT, FORMATS, check_formats

REFUSED = "refused.json"
_FILES = (REFUSED, *(name for one in FORMATS.values() for name in one.files))


def write(result: Result, folder: Path, formats: Sequence[str] = DEFAULT) -> None:
    """Write a result; an earlier result or refusal in ``folder`` is replaced as a whole, or kept if this fails.

    :raises UnknownName: a format that does not exist
    :raises NotDicom: a format refers to DICOM instances, and the result holds none; see ``needed_by``
    :raises MissingExtra: a format needs a package that is not installed
    :raises OutputExists: ``folder`` holds something else
    :raises OutputFailed: no room, no permission
    """
    asked = check_formats(formats)
    writers = [one.write for name, one in FORMATS.items() if name in asked]
    with _replacing(folder) as new:
        for writer in writers:
            writer(result, new)
        if result.every_slice is not None:
            write_every_slice(result, result.every_slice, new)


def write_refusal(refusal: Refusal, folder: Path) -> None:
    """Write why there is no result; an earlier result in ``folder`` goes, lest it be taken for this scan's.

    :raises OutputExists: ``folder`` holds something else
    :raises OutputFailed: no room, no permission
    """
    with _replacing(folder) as new:
        write_json(new / REFUSED, refusal.model_dump(mode="json"))


def discard(folder: Path) -> None:
    """Remove an earlier result or refusal, if there is one.

    :raises OutputExists: ``folder`` holds something else
    """
    check_replaceable(folder)
    if folder.is_dir():
        shutil.rmtree(folder)


def discard_others(out: Path, keep: Sequence[str]) -> int:
    """Remove earlier results ``out/scan-NNN`` that are not of this batch; gives how many."""
    gone = 0
    for folder in out.glob("scan-[0-9][0-9][0-9]*"):
        if folder.name not in keep and _is_result(folder):
            shutil.rmtree(folder)
            gone += 1
    return gone


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder; on success it takes the place of an earlier result."""
    check_replaceable(folder)
    if not folder.exists():
        with whole_folder(folder) as new:
            yield new
        return
    # Both the new folder and, for a moment, the old one lie in one temporary folder beside, so that whatever
    # happens nothing but it has to be removed.
    beside = temporary_folder(folder)
    try:
        with whole_folder(beside / "new") as new:
            yield new
        folder.rename(beside / "old")
        try:
            (beside / "new").rename(folder)
        except OSError:
            (beside / "old").rename(folder)
            raise
    except OSError as error:
        raise output_failed(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Refuse to replace what is not an earlier result.

    :raises OutputExists: ``folder`` holds something else
    """
    free = not folder.exists() and not folder.is_symlink()
    if not free and not _is_result(folder) and not _is_empty(folder):
        raise OutputExists("this is not the folder of an earlier result", where=folder, do="name another, or remove it")


def _is_result(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return any((folder / name).is_file() for name in _FILES)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
