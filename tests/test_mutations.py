"""The list of deliberate faults stays in step with the source that they would be put into."""

from __future__ import annotations

from collections import Counter

import pytest
from benchmarks.mutations import ROOT, Fault, faults

FAULTS = faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_text_of_a_fault_occurs_once_and_the_changed_file_still_parses(fault: Fault) -> None:
    assert fault.put_into(fault.path().read_text(encoding="utf-8"))


def test_every_fault_has_a_name_of_its_own_and_there_are_a_hundred() -> None:
    assert [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1] == []
    assert len(FAULTS) >= 100


def test_the_tests_that_should_notice_are_there() -> None:
    named = {(*test.split("::"), "")[:2] for fault in FAULTS for test in fault.tests}
    assert {path for path, _ in named if not (ROOT / path).exists()} == set()
    single = {(path, name) for path, name in named if name}
    assert {name for path, name in single if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")} == set()


def test_every_room_has_faults() -> None:
    rooms = {path.name for path in (ROOT / "src" / "triplenet").iterdir() if (path / "__init__.py").is_file()}
    assert rooms - {fault.room for fault in FAULTS} <= {"demo"}
