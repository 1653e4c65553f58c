"""What should be known of an imported table beside what was passed over: counts, labels that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triplenet.files import write_text

NOTES = "notes.txt"
"""One note a line; only there where there is one"""


def write_notes(folder: Path, notes: Sequence[str]) -> None:
    """Write the notes of an import, if there are any."""
    if notes:
        write_text(folder / NOTES, "".join(f"{note}\n" for note in notes))


def import_notes(folder: Path) -> tuple[str, ...]:
    """The notes of the import that made a folder."""
    path = folder / NOTES
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
