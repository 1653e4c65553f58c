"""Words that fit into a DICOM value of the representation LO: what others name is as long as they like."""

from __future__ import annotations

import re
import unicodedata

MOST = 64
"""Bytes of UTF-8. The standard counts characters (PS3.5 6.2), which are no more; dciodvfy and others count bytes"""
CUT = "..."
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f]+")
"""A backslash parts values, and control characters may not stand in one"""
_BETWEEN_WORDS = re.compile(r"[\s_.,;:/-]+")


def long_string(words: str, *, before: str = "", after: str = "") -> str:
    """``before``, ``words`` and ``after``, 64 bytes at most: of the words the last ones go, the others stay.

    A single word that is too long is cut within.

    :param before: stays whole, as ``after``
    """
    words = _FORBIDDEN.sub(" ", words).strip()
    room = MOST - _bytes(before) - _bytes(after)
    return f"{before}{words if _bytes(words) <= room else _cut(words, room - len(CUT)) + CUT}{after}"


def _cut(words: str, room: int) -> str:
    """The beginning, so many bytes at most, that ends where a word does."""
    most = next(length for length in range(room, -1, -1) if _bytes(words[:length]) <= room)
    ends = [gap.start() for gap in _BETWEEN_WORDS.finditer(words) if 0 < gap.start() <= most]
    end = ends[-1] if ends else most
    while end > 0 and unicodedata.combining(words[end]):  # an accent is not parted from its letter
        end -= 1
    return words[:end]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))
