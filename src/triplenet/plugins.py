"""What other packages bring, by entry points: one that cannot be used costs itself and is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Registry(Mapping[str, T]):
    """Names to things: our own in their order, then those of other packages by name.

    Other packages are asked when a name that is not ours is needed, or all of them: finding them takes a while, and
    each may import what it needs.
    """

    def __init__(self, group: str, own: Mapping[str, T], accept: Callable[[object, EntryPoint], T]) -> None:
        """Take hold of our own.

        :param group: of the entry points, as ``[project.entry-points."triplenet.methods"]`` names it
        :param accept: given what an entry point names, the thing; raises ValueError for what is none
        """
        self.group = group
        self._own = own
        self._accept = accept

    def __getitem__(self, name: str) -> T:
        return self._own[name] if name in self._own else self._found[0][name]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._found[0]

    def __len__(self) -> int:
        return len(self._own) + len(self._found[0])

    @property
    def refused(self) -> Mapping[str, str]:
        """Name -> why what another package brings under it is not used."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[dict[str, T], dict[str, str]]:
        from importlib.metadata import entry_points

        by_name: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            by_name.setdefault(entry.name, []).append(entry)
        taken: dict[str, T] = {}
        refused: dict[str, str] = {}
        for name, entries in sorted(by_name.items()):
            packages = " and ".join(sorted(package_of(entry) for entry in entries))
            try:
                if name in self._own:
                    raise ValueError("triplenet has one of this name")
                if len(entries) > 1:
                    raise ValueError("only one package may bring it")
                taken[name] = self._accept(entries[0].load(), entries[0])
            except Exception as error:  # whatever a package does when it is imported is not ours to fail of
                why = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
                refused[name] = f"{packages}: {' '.join(why.split())}"
                logger.warning("note: %s of the group %s is left out: %s", name, self.group, refused[name])
        return taken, refused


def package_of(entry: EntryPoint) -> str:
    """Name and version of the package that an entry point stands in."""
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
