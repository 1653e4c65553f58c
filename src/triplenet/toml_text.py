"""TOML that somebody wrote: what the standard library's parser does not foresee in it is a fault of the text too."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_MOST = 2**20


class NotToml(ValueError):
    """The text is no TOML."""


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML text says.

    :raises NotToml: it is none, or nested or long beyond what the parser takes
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotToml("nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and numbers of thousands of digits
        raise NotToml(str(error)[:300]) from None


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    :raises NotToml: as for ``parse_toml``, or it is no text or larger than anybody writes
    :raises OSError: it cannot be read
    """
    with path.open("rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise NotToml(f"more than {_MOST} bytes")
    try:
        return parse_toml(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotToml(str(error)) from None
