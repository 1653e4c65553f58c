"""Text from files, made safe to show: no terminal gets control characters, nothing is turned around."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, among them the one that begins an escape sequence
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # those that turn the direction of writing
    "\u2028\u2029\ud800-\udfff]"  # line separators; half characters, which bytes that are no UTF-8 are read as
)


def printable(text: str) -> str:
    """The text with every such character written as JSON writes it; line breaks and tabs stay."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
