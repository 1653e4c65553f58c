"""Pieces of a Markdown page: paragraphs, tables, values as code."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 120


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its cells escaped."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def prose(*sentences: str) -> str:
    """A paragraph."""
    return textwrap.fill(" ".join(sentences), WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def code(value: str) -> str:
    """A value as it is written."""
    return f"`{value}`"


def codes(values: Iterable[str]) -> str:
    """Several, in a line."""
    return ", ".join(map(code, values))
