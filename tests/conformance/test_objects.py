"""Every source, every format, every judge."""

from __future__ import annotations

import pytest

from conformance.judges import JUDGES
from conformance.subjects import KINDS, subject

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
        if told.files(format_) or format_ == "gsps":
            judge.judge(told, format_)
        verdict = "equal" if told.files(format_) else "none written"
        record_property("conformance", (told.kind, format_, name, verdict))
