"""Cells that a spreadsheet would run as a formula, written so that it does not, and read back as they were."""

from __future__ import annotations

import re

_RUNS = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)?")


def guarded(cell: object) -> object:
    """A cell with an apostrophe before it where a spreadsheet would run it; numbers stay numbers."""
    if isinstance(cell, str) and _RUNS.match(cell) and not _NUMBER.fullmatch(cell):
        return "'" + cell
    return cell


def unguarded(cell: str) -> str:
    """The cell that was guarded."""
    return cell[1:] if cell.startswith("'") and _RUNS.match(cell) else cell
