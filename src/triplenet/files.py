"""Files and folders that appear whole or not at all, and leave nothing behind when a process is killed."""

from __future__ import annotations

import csv
import errno
import fcntl
import hashlib
import io
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from triplenet.csv_cells import guarded, unguarded
from triplenet.errors import OutputExists, OutputFailed, system_error
from triplenet.ownership import is_abandoned, owner

PREFIX = ".tmp-"
_LONGEST_TAIL = 40
"""Characters of a name that its temporary one keeps: at four bytes each still less than a file system takes."""
_swept: set[tuple[int, Path]] = set()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path``, else it is removed.

    The temporary name keeps the suffix, since many writers choose the format by it.

    :raises OutputFailed: no room, no permission, a name too long
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        handle, name = tempfile.mkstemp(prefix=_prefix(), suffix="-" + _tail(path), dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise output_failed(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise output_failed(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it becomes ``path``, else it is removed.

    :raises OutputExists: ``path`` is there and not an empty folder
    :raises OutputFailed: no room, no permission, a name too long
    """
    refuse_existing(path)
    temporary = temporary_folder(path)
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        put_in_place(temporary, path)
    except OSError as error:
        raise output_failed(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(folder: Path, path: Path) -> None:
    """Make a finished folder ``path``, which is free or an empty folder; both lie on one file system.

    :raises OutputFailed: no permission, or ``path`` is no longer free
    """
    try:
        if path.is_dir():
            path.rmdir()
        folder.replace(path)
    except OSError as error:
        raise output_failed(path, error) from error


def temporary_folder(path: Path) -> Path:
    """A new folder beside ``path``, for the caller to remove; one that a killed process left is cleared later.

    :raises OutputFailed: no room, no permission, a name too long
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        return Path(tempfile.mkdtemp(prefix=_prefix(), suffix="-" + _tail(path), dir=path.parent))
    except OSError as error:
        raise output_failed(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    :raises OutputFailed: no room, no permission, a name too long
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_failed(path, error) from error


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, so that no other process works in it at the same time; file systems without locks let all in.

    :raises BlockingIOError: another one does
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def clear_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders in ``folder`` whose process was killed.

    Those of a living process stay, and those of a process of which nobody here can know.
    """
    try:
        entries = [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(PREFIX)]
    except OSError:
        return
    for path in entries:
        if is_abandoned(path, path.name.removeprefix(PREFIX)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise OutputExists unless ``path`` is free or an empty folder.

    :raises OutputFailed: it cannot be looked at: no permission, a name too long
    """
    try:
        if path.is_dir() and not any(path.iterdir()):
            return
        there = path.exists() or path.is_symlink()
    except OSError as error:
        raise output_failed(path, error) from error
    if there:
        raise OutputExists("the output exists already", where=path, do="name another or remove it")


def claim_room(stream: BinaryIO, size: int) -> None:
    """Claim so many bytes of the disk for a file that is about to be written.

    :raises OSError: the disk has less; without this the half-written file would be the first to find out
    """
    try:
        os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):  # a file system that cannot
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all, with line ends as they are.

    Characters that are none, which a file name that is not UTF-8 is read as, are written escaped.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def jsonable(value: Any) -> Any:
    """The value as JSON has it: None for a number that is not finite, plain numbers for NumPy's, text for the rest."""
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value if isinstance(value, str | int) or value is None else str(value)


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people to read, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> None:
    """Write a CSV with a header, whole or not at all; cells a row does not have stay empty.

    A text that a spreadsheet would run gets an apostrophe before it, which ``read_csv`` takes away again.

    :param columns: the first ones, in this order; the rows' other keys follow as they come
    """
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    lines: list[list[object]] = [[*names], *([row.get(name, "") for name in names] for row in rows)]
    write_text(path, "".join(_csv_line([guarded(cell) for cell in line]) for line in lines))


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table that ``write_csv`` wrote.

    :raises OSError, ValueError, csv.Error: missing or damaged
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, strict=True)
        rows.fieldnames = [unguarded(name) for name in rows.fieldnames or ()]
        found = list(rows)
    if any(None in row or None in row.values() for row in found):
        raise ValueError(f"a row of {path} has too many or too few cells")
    return [{name: unguarded(cell) for name, cell in row.items()} for row in found]


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def output_failed(path: Path, error: OSError) -> OutputFailed:
    """The refusal of a place that cannot be written to."""
    do = system_error(error).do if error.errno in (errno.ENAMETOOLONG, errno.EIO) else None
    return OutputFailed(
        f"cannot write ({error.strerror or error})", where=path, do=do or "check the room left and the permissions"
    )


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)  # so that a cell with either of them is quoted
    return line.getvalue().removesuffix("\r\n") + "\n"


def _prefix() -> str:
    return f"{PREFIX}{owner()}-"


def _tail(path: Path) -> str:
    return path.name[-_LONGEST_TAIL:]


def _sweep_once(folder: Path) -> None:
    """Clear what killed processes left in a folder; once a process, since a cohort writes thousands of files there."""
    key = (os.getpid(), folder)
    if key not in _swept:
        _swept.add(key)
        clear_abandoned(folder)


def _umask() -> int:
    # The process's mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
