"""TOML of any shape is read, or is no TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from triplenet.cohort.tasks import load_task_file
from triplenet.errors import BadCohort, BadRecipe, BadSegmentNames
from triplenet.scan import read_segment_names
from triplenet.toml_text import NotToml, parse_toml, read_toml
from triplenet.training import load_recipe

ABSURD = ["a = " + "[" * 100_000, "a = " + "9" * 10_000, "a = \x00", "a = 1\na = 2", "a = 2020-13-45"]


@pytest.mark.parametrize("text", ABSURD, ids=range(len(ABSURD)))
def test_what_the_parser_does_not_foresee_is_no_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotToml):
        parse_toml(text)
    (tmp_path / "a.toml").write_text(text)
    for read, refusal in ((load_recipe, BadRecipe), (load_task_file, BadCohort), (read_segment_names, BadSegmentNames)):
        with pytest.raises(refusal, match="TOML"):
            read(tmp_path / "a.toml")


def test_a_file_that_is_no_text_or_too_large_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(NotToml):
        read_toml(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_bytes(b"\n" * 2_000_000)
    with pytest.raises(NotToml, match="bytes"):
        read_toml(tmp_path / "a.toml")


def test_a_mark_of_byte_order_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes("a = 'ä'\r\nb = 2\r\n".encode("utf-8-sig"))
    assert read_toml(tmp_path / "a.toml") == {"a": "ä", "b": 2}
