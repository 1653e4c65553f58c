"""Every source, every format, every judge."""

from __future__ import annotations

import pytest

from conformance.judges import JUDGES
from conformance.page import EQUAL, FAILED, NOTHING
from conformance.subjects import KINDS, subject

#: Judged where there is none too: whether there must be one.
NOT_ALWAYS = ("gsps",)
pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module", params=KINDS)
def told(request, tmp_path_factory):
    """A source, the toy model's result, and all that was written."""
    return subject(request.param, tmp_path_factory.mktemp("told"))


@pytest.mark.parametrize("name", JUDGES)
def test_it_is_as_it_must_be(told, name, record_property):
    judge = JUDGES[name]
    if told.kind in judge.cannot:
        for format_ in judge.formats:
            record_property("conformance", (told.kind, format_, name, judge.cannot[told.kind]))
        pytest.skip(f"this reader {judge.cannot[told.kind]}")
    for format_ in judge.formats:
        record_property("conformance", (told.kind, format_, name, FAILED))
    for format_ in judge.formats:
        there = bool(told.files(format_))
        if there or format_ in NOT_ALWAYS:
            judge.judge(told, format_)
        record_property("conformance", (told.kind, format_, name, EQUAL if there else NOTHING))
