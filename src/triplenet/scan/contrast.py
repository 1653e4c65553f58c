"""Whether contrast medium was given, by DICOM's Contrast/Bolus Agent."""

from __future__ import annotations

import re
from typing import Literal

_NONE_GIVEN = re.compile(r"(no|non|none|nil|not|without|w/?o|unenhanced|plain|nativ|native|0)\b", re.IGNORECASE)
_NOTHING_SAID = re.compile(r"(\W*|n/?a|unknown|anonym\w*|removed|de-?identified)", re.IGNORECASE)


def contrast_of(agent: str | None) -> Literal["yes", "no", ""]:
    """Whether contrast medium was given; empty where nobody says.

    :param agent: None where the header has no such attribute. It must have one where contrast was given, and
        de-identification empties it without taking it out (PS3.15, Table E.1-1), so that empty says nothing.
    """
    if agent is None:
        return "no"
    words = " ".join(agent.split())
    if _NOTHING_SAID.fullmatch(words):
        return ""
    return "no" if _NONE_GIVEN.match(words) else "yes"
