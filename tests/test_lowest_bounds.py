"""The lower bounds in pyproject.toml are versions that were tested: ``make test-lowest`` installs and tries them."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.version import Version

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
#: No earlier build without CUDA is to be had, so the version of constraints.txt stands in.
NOT_TRIED = {"torch", "lungmask"}


def bounds() -> Iterator[tuple[str, str]]:
    """Package and lower bound of every requirement, extras and development tools included."""
    told = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    groups = [told["project"]["dependencies"], *told["project"]["optional-dependencies"].values()]
    for line in [line for group in [*groups, *told["dependency-groups"].values()] for line in group]:
        found = re.fullmatch(r"([\w.-]+)>=([\w.]+)", line)
        assert found is not None, f"{line}: a requirement is a name and a lower bound"
        yield found[1], found[2]


def test_every_requirement_has_a_lower_bound_and_nothing_else() -> None:
    each = set(bounds())
    assert len(each) > 20 and len({name for name, _ in each}) == len(each), "one bound for a package"


@pytest.mark.skipif("TRIPLENET_LOWEST" not in os.environ, reason="make test-lowest installs the lowest versions")
def test_the_lowest_versions_are_installed() -> None:
    wrong = []
    for name, lowest in bounds():
        if name in NOT_TRIED:
            continue
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "0"
        if Version(installed) != Version(lowest):
            wrong.append(f"{name}>={lowest}: {installed} is installed")
    assert not wrong, f"raise what cannot be had together with the others: {wrong}"
