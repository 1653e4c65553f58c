"""What of a batch is done, so that the same command goes on where it was stopped, by whatever.

A hidden file of JSON lines in the folder of the results: a line a finished scan, written after the scan's folder is in
place. It holds hashes and what the results say, and nothing that tells whose scan it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from triplenet.errors import ScanError
from triplenet.files import output_failed, write_text
from triplenet.inference import ScanRequest
from triplenet.outputs.summary import Summary
from triplenet.scan.file_states import file_states

JOURNAL = ".batch.jsonl"
_LONGEST = 64 << 20
"""Bytes that are read of a journal's line: none of ours has so many"""


class Entry(BaseModel):
    """A finished scan; one without a fingerprint says that its folder is being made anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    fingerprint: str | None = None
    files: dict[str, int] = {}
    """name -> bytes, of the folder"""
    summary: Summary | None = None


class Journal:
    """The journal of a folder of results.

    :param out: the folder, which is there
    :param anew: forget what is done
    :raises OutputFailed: no room, no permission
    """

    def __init__(self, out: Path, *, anew: bool = False) -> None:
        self._out = out
        self._path = out / JOURNAL
        self._entries = {} if anew else _read(self._path)
        # Whole again: a kill may have torn its last line, and lines that are out of date add up.
        write_text(self._path, "".join(map(_line, self._entries.values())))
        self._file: BinaryIO | None = None

    def __enter__(self) -> Journal:
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise output_failed(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def done(self, folder: Path, fingerprint: str) -> Summary | None:
        """What was told of a scan that is done and whose folder is as it was left; else None.

        What is known of the folder is then forgotten, since it is about to be made anew.
        """
        entry = self._entries.get(folder.name)
        if entry is None:
            return None
        if entry.fingerprint == fingerprint and entry.files == _files(folder):
            return entry.summary
        del self._entries[folder.name]
        self._append(Entry(folder=folder.name))
        return None

    def add(self, folder: Path, fingerprint: str, summary: Summary) -> None:
        """Note a scan whose folder is in place.

        :raises OutputFailed: no room
        """
        entry = Entry(folder=folder.name, fingerprint=fingerprint, files=_files(folder), summary=summary)
        self._append(entry)

    def _append(self, entry: Entry) -> None:
        if self._file is None:
            raise RuntimeError("the journal is not open")
        try:
            self._file.write(_line(entry).encode())
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_failed(self._path, error) from error


def fingerprint(request: ScanRequest, settings: Mapping[str, Any]) -> str:
    """SHA-256 of whatever decides a scan's result: its files and masks as they are now, and the settings.

    :param settings: model, options, formats, versions; what is no JSON by its ``repr``
    """
    told = {
        **{name: _state(getattr(request, name)) for name in ("source", "infection", "lung", "mask")},
        "series": request.series,
        "slice": request.slice_from_feet,
        "settings": settings,
    }
    return hashlib.sha256(
        json.dumps(told, sort_keys=True, default=repr).encode("utf-8", "backslashreplace")
    ).hexdigest()


def _state(given: object) -> object:
    """A path with the states of its files; an array by its bytes; nothing else is the same twice."""
    if given is None:
        return None
    if isinstance(given, np.ndarray):
        return [str(given.dtype), given.shape, hashlib.sha256(np.ascontiguousarray(given).tobytes()).hexdigest()]
    if not isinstance(given, Path | str):
        return os.urandom(16).hex()
    path = Path(given)
    try:
        return [os.path.abspath(path), file_states(path)]  # noqa: PTH100 - a link keeps the name that the user gave it
    except (OSError, ScanError) as error:
        return [os.path.abspath(path), type(error).__name__]  # noqa: PTH100


def _files(folder: Path) -> dict[str, int]:
    try:
        return {entry.name: entry.stat().st_size for entry in sorted(os.scandir(folder), key=lambda one: one.name)}
    except OSError:
        return {}


def _line(entry: Entry) -> str:
    return entry.model_dump_json(exclude_defaults=True) + "\n"


def _read(path: Path) -> dict[str, Entry]:
    """The entries that hold, by folder; a damaged line, or one of another version, is as if it was never written."""
    entries: dict[str, Entry] = {}
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST):
                try:
                    entry = Entry.model_validate_json(line)
                except ValidationError:
                    continue
                entries.pop(entry.folder, None)
                if entry.fingerprint is not None and entry.summary is not None:
                    entries[entry.folder] = entry
    except OSError:
        pass
    return entries
