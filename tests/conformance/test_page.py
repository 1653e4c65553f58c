"""The page in docs/ is of the suite as it is, and is written of whole runs alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.faults import FAULTS
from conformance.judges import JUDGES
from conformance.page import EQUAL, FAILED, NOTHING, Findings, same, written
from conformance.subjects import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_page_knows_every_source_judge_and_fault():
    """Otherwise: make conformance."""
    page = PAGE.read_text(encoding="utf-8")
    for name in (*KINDS, *JUDGES):
        assert f"\n| {name} |" in page, name
    for format_, faults in FAULTS.items():
        assert f"| `{format_}` | {len(faults)} | none |" in page
        for fault in faults:
            assert f"| `{format_}` | {fault} |" in page, fault
    assert "**" not in page and "not installed" not in page


@pytest.fixture
def found():
    """Two sources, told in no order."""
    findings = Findings()
    findings.add([("conformance", ("uneven", "seg", "dciodvfy", FAILED))], "failed", "")
    verdicts = [FAILED, EQUAL]
    findings.add([("conformance", ("plain", "seg", "dciodvfy", one)) for one in verdicts], "passed", "")
    findings.add([("conformance", ("plain", "gsps", "dciodvfy", NOTHING))], "passed", "")
    findings.add([("conformance", ("tilted", "seg", "dcmqi segimage2itkimage", "it cannot"))], "skipped", "why")
    findings.add([("fault", ("seg", "wider pixels", "nobody"))], "failed", "")
    return findings


def test_what_failed_is_told_in_numbers(found):
    page = written(found)
    assert "| dciodvfy | **1 of 2** | – |" in page
    told = sorted(("plain", "uneven", "tilted"), key=lambda name: page.index(f"\n| {name} |"))
    assert told == sorted(told, key=list(KINDS).index)
    assert "| dcmqi segimage2itkimage | tilted | it cannot |" in page
    assert "| `seg` | 1 | wider pixels |" in page
    assert found.missing == []


def test_a_test_that_could_not_be_made_is_missing(found):
    found.add([], "skipped", "Skipped: dcentvfy is not installed")
    assert found.missing == ["Skipped: dcentvfy is not installed"]


def test_another_day_is_no_other_page(found):
    page = written(found)
    assert same(page, page.replace("Written on 20", "Written on 19"))
    assert not same(page, page.replace("wider", "narrower"))
