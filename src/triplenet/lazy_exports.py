"""Names that a package offers without importing what they need until one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package.

    :param homes: name -> the module that defines it, below ``triplenet``; ``module:name`` where it is called otherwise
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, named = homes[name].partition(":")
        return getattr(import_module(f"triplenet.{module}"), named or name)

    return get
