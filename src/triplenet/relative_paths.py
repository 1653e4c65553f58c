"""Paths as results carry them: relative to what the user named, so that they do not tell where they were made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path


def relative_path(path: Path, base: Path) -> str:
    """``path`` as seen from the folder ``base``; only its name where nothing but the root, or all homes, hold both."""
    path, base = (_absolute(one) for one in (path, base))
    common = Path(os.path.commonpath([path, base]))
    if common == Path(path.anchor) or common in Path.home().parents:
        return path.name
    return Path(os.path.relpath(path, base)).as_posix()


def without_places(text: str, paths: Iterable[Path | None], base: Path) -> str:
    """A message with the paths in it, and what lies below ``base``, relative to ``base``."""
    given = {path for one in paths if one is not None for path in (_absolute(one), one.resolve())}
    for path in sorted(given, key=lambda one: -len(str(one))):
        for written in (str(path), _as_in_messages(path)):
            text = text.replace(written, relative_path(path, base))
    for folder in {_absolute(base), base.resolve()}:
        for written in (str(folder), _as_in_messages(folder)):
            text = text.replace(written.rstrip("/") + "/", "") if written != "/" else text
    return text


#: What follows an equals sign and is an absolute path, up to the next setting of a variant.
_VALUE = re.compile(r"""(?<==)\s*['"]?[/~].*?(?=,\s*[\w-]+(?:\.[\w-]+)+\s*=|$)""", re.DOTALL)


def argument_shown(argument: str) -> str:
    """A command's argument or a ``key=value`` setting as results carry it: an absolute path by its name only."""
    whole = argument.startswith(("/", "~"))
    return _name_only(argument) if whole else _VALUE.sub(lambda value: _name_only(value[0]), argument)


def _name_only(value: str) -> str:
    bare = value.strip("'\"")
    return Path(bare).name or value


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps the name that the user gave it


def _as_in_messages(path: Path) -> str:
    return " ".join(str(path).split())  # as an error's text is put on one line
