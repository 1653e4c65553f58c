"""Variants of a method: the same network trained with other settings, a row of its own in tables and figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from triplenet import catalog
from triplenet.errors import BadRecipe
from triplenet.evaluation.outside_paper import is_comparator
from triplenet.relative_paths import argument_shown

FORM = "NAME=METHOD:section.key=value,section.key=value"
# A comma inside a value, as in [1, 2], does not begin the next setting.
_NEXT_SETTING = re.compile(r",(?=\s*[\w-]+(?:\.[\w-]+)*\s*=)")
_SETTING = re.compile(r"[\w-]+(\.[\w-]+)+\s*=.*", re.DOTALL)


@dataclass(frozen=True)
class Variant:
    """A row of a benchmark that is no method of the catalog."""

    name: str
    method: str
    """Of the catalog, whose network it trains"""
    settings: tuple[str, ...]
    """``section.key=value``, on top of the method's own"""

    @property
    def shown(self) -> str:
        """What it is, in words; of a file only the name."""
        return f"{catalog.method(self.method).title} with {', '.join(map(argument_shown, self.settings))}"


def parse_variants(texts: Sequence[str]) -> dict[str, Variant]:
    """Variants by their names, in the order given.

    :param texts: ``NAME=METHOD:section.key=value,section.key=value`` each
    :raises BadRecipe: not of this form, or a name that is not allowed or given twice
    :raises UnknownName: no such method
    """
    found: dict[str, Variant] = {}
    for text in texts:
        variant = _parse(text)
        if variant.name in found:
            raise BadRecipe(f"two variants are called {variant.name!r}", where=repr(text), do="rename one")
        found[variant.name] = variant
    return found


def _parse(text: str) -> Variant:
    head, colon, rest = text.partition(":")
    name, equals, method = (part.strip() for part in head.partition("="))
    settings = tuple(part.strip() for part in _NEXT_SETTING.split(rest))
    if not colon or not equals or not all(map(_SETTING.fullmatch, settings)):
        raise BadRecipe(f"a variant must read {FORM}", where=repr(text))
    if not catalog.is_name(name):
        raise BadRecipe(
            f"{name!r} is no name of a variant", where=repr(text), do="use small letters, digits and single hyphens"
        )
    if name in catalog.METHODS:
        raise BadRecipe(f"{name!r} is a method", where=repr(text), do="give the variant a name of its own")
    if is_comparator(name):
        raise BadRecipe(f"{name!r} is a comparator's name", where=repr(text), do="give the variant another one")
    return Variant(name, catalog.method(method).name, settings)
