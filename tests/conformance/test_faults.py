"""A suite that cannot fail says nothing: each deliberate fault turns it red.

That nothing is seen where there is no fault is what ``test_objects.py`` says of the same source.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from conformance.faults import FAULTS
from conformance.judges import JUDGES
from conformance.subjects import subject

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A source with a map of every slice."""
    return subject("every slice", tmp_path_factory.mktemp("sound"))


def seen_by(spoiled, format_):
    """The first judge who sees a fault, the quick ones first; None for nobody."""
    for judge in JUDGES.values():
        if format_ in judge.formats:
            try:
                judge.judge(spoiled, format_)
            except Exception:  # an assertion, or a reader that gives up
                return judge.name
    return None


@pytest.mark.parametrize(("format_", "fault"), [(name, fault) for name in FAULTS for fault in FAULTS[name]])
def test_a_fault_is_seen(sound, tmp_path, format_, fault, record_property):
    folder = tmp_path / "out"
    shutil.copytree(sound.folder, folder)
    spoiled = replace(sound, folder=folder)
    FAULTS[format_][fault](spoiled.files(format_)[0])
    judge = seen_by(spoiled, format_)
    record_property("fault", (format_, fault, judge or "nobody"))
    assert judge is not None


def test_there_are_ten_faults_of_each_format():
    assert all(len(faults) >= 10 for faults in FAULTS.values())
