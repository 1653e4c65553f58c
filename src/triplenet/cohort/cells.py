"""What a cell of a cohort table may hold: text that can be shown, and paths of files that are there."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from triplenet.errors import system_error

_LONGEST_NAME = 200
"""Bytes of a patient's, a group's or a site's name; it becomes part of file names, which systems end at 255"""
_LONGEST_PATH = 4096
_SHOWN = 80
_LINES = str.maketrans("\r\n\t", "   ")


def unfit_name(text: str) -> str:
    """What makes a text unfit as a name, which is printed, drawn and compared; empty where nothing does."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return unfit_path(text) or (f"is too long: {size} bytes of {_LONGEST_NAME}" if size > _LONGEST_NAME else "")


def unfit_class(text: str) -> str:
    """What makes a text unfit as the name of a class."""
    return unfit_name(text) if text.strip() else "is empty"


def unfit_path(text: str) -> str:
    """What makes a text unfit as a path."""
    return _steering(text) or (f"is too long: {len(text)} characters" if len(text) > _LONGEST_PATH else "")


def unfit_note(text: str) -> str:
    """What makes a free text unfit, which may have lines."""
    return _steering(text.translate(_LINES))


def missing_file(path: Path, cell: str) -> tuple[str, str] | None:
    """Code and text of why there is no such file or folder; None where there is one."""
    try:
        path.stat()
    except OSError as error:
        refused = system_error(error)
        what = "no such file" if refused.code == "PATH_MISSING" else refused.what
        return refused.code, f"{what}: {shortened(cell)}"
    return None


def shortened(text: str) -> str:
    """A text for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _steering(text: str) -> str:
    """Characters that steer a terminal, turn the direction of writing, break a line or are not seen at all."""
    strange = sorted({ord(letter) for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")})
    if not strange:
        return ""
    named = [f"U+{point:04X} {unicodedata.name(chr(point), '')}".strip() for point in strange[:3]]
    return f"has control characters ({', '.join(named)})"
