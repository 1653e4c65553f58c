"""docs/architecture.md tells of the code that is there: rooms in the contract's order, files, the paper's words."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "triplenet"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return re.split(r"(?m)^## ", PAGE.partition(f"## {heading}\n")[2])[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's table, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_room_stands_in_the_table_in_the_order_of_the_contract() -> None:
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter", encoding="utf-8")
    layers = contract["importlinter:contract:rooms"]["layers"].split("\n")
    levels = {room.strip(): number for number, line in enumerate(reversed(layers)) for room in line.split("|")}
    names = [name for cells in rows(section("The way of the data")) for name in named(cells[0])]
    told = [name.removesuffix(".py").rstrip("/") for name in names]
    there = {path.stem for path in SOURCE.iterdir() if path.suffix in ("", ".py") and not path.name.startswith("_")}
    assert set(told) == there
    assert sorted(told, key=levels.__getitem__) == told


def test_every_file_that_is_named_is_there() -> None:
    files = set(re.findall(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.py)`", PAGE))
    assert len(files) > 70
    assert not [name for name in files if not (SOURCE / name).is_file()]


@pytest.mark.parametrize("cells", rows(section("Where the paper is")), ids=lambda cells: cells[0])
def test_the_papers_word_leads_to_the_place(cells: list[str]) -> None:
    ((word,), places) = named(cells[1]), named(cells[2])
    assert places
    for place in places:
        assert word.lower() in (SOURCE / place).read_text(encoding="utf-8").lower(), f"{place} does not say {word}"
