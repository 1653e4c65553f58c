"""Whatever others call their method: a value of the representation LO fits, and what must stand in it does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom import dcmread

from outputs.dicom_results import errors_of, result_of, source
from outputs.test_dicom_objects import DICOM
from toy_model import marker
from triplenet.outputs import write
from triplenet.outputs.dicom_objects import RESEARCH
from triplenet.outputs.long_string import long_string

LONG = "attention-guided-multi-branch-residual-network-with-deep-supervision-of-lesions"
GERMAN = "Größenänderungs-Netz mit Aufmerksamkeit für Läsionen und Lungen, zweite Fassung von 2026"
ACCENT = "\N{COMBINING ACUTE ACCENT}"


def test_words_that_fit_stay():
    assert long_string("triple") == "triple"
    assert long_string("a" * 64) == "a" * 64
    assert long_string("b" * 44, before="0123456789", after="0123456789") == "0123456789" + "b" * 44 + "0123456789"


def test_the_last_words_go_and_what_stands_around_them_stays():
    # 61 characters and three dots: "...-supervision" would end at the 67th, "-deep" ends at the 55th.
    assert long_string(LONG) == "attention-guided-multi-branch-residual-network-with-deep..."
    # 64 less 20 before and 20 after are 24, of which three are dots: "attention-guided-multi" has 22.
    told = long_string(LONG, before="Infection outlined (", after="). Research use only")
    assert told == "Infection outlined (attention-guided...). Research use only"
    # 22 and three dots fill the 25 that are left.
    told = long_string(LONG, before="Infection outline (", after="). Research use only")
    assert told == "Infection outline (attention-guided-multi...). Research use only" and len(told) == 64


def test_a_word_that_is_too_long_is_cut_but_an_accent_stays_with_its_letter():
    assert long_string("x" * 65) == "x" * 61 + "..."
    # Three bytes each, one of the letter: there is room for 20 of them and a letter, which has its accent or goes.
    assert long_string(("e" + ACCENT) * 40) == ("e" + ACCENT) * 20 + "..."
    assert long_string("ö" * 33) == "ö" * 30 + "..."  # two bytes each
    assert long_string("ö" * 32) == "ö" * 32


def test_what_would_part_or_spoil_a_value_is_left_out():
    assert long_string(" a\\b\nc ") == "a b c"


@pytest.fixture(scope="module", params=[LONG, GERMAN])
def told(request, tmp_path_factory):
    """All objects of a method of this name, which also told infection from lung."""
    folder = tmp_path_factory.mktemp("told")
    source(folder / "scan")
    found = result_of(folder / "scan", model=marker(evidence=True))
    model = found.record.model.model_copy(update={"method": request.param})
    named = replace(
        found,
        record=found.record.model_copy(update={"model": model}),
        segments=replace(found.segments, by=request.param),
    )
    write(named, folder / "out", DICOM)
    paths = sorted((folder / "out").glob("*.dcm"))
    assert len(paths) == 14  # segmentation, two maps, two pictures of four slices, state, report, key objects
    return request.param, paths


def test_every_series_is_described_in_64_characters_and_for_research(told):
    name, paths = told
    said = {path.name: str(dcmread(path, stop_before_pixels=True).SeriesDescription) for path in paths}
    assert all(len(one) <= 64 and one.endswith(f"...). {RESEARCH}") for one in said.values())
    # In the report 36 bytes are left for the name, three of them for the dots.
    short = {LONG: "attention-guided-multi-branch...", GERMAN: "Größenänderungs-Netz mit..."}[name]
    assert said["structured_report.dcm"].startswith(f"Report ({short}")
    assert said["secondary_capture.dcm"].startswith(f"Where the model looked ({short[:10]}")
    assert len(set(said.values())) == 7  # a kind of object each


def test_no_value_of_any_object_is_longer_than_its_representation_allows(told):
    name, paths = told
    for path in paths:
        made = dcmread(path, stop_before_pixels=True)
        values = [(one.keyword, str(one.value)) for one in made.iterall() if one.VR == "LO" and one.VM == 1]
        assert [one for one in values if len(one[1]) > 64] == []
        assert made.ManufacturerModelName == long_string(name)
        assert errors_of("dciodvfy", path, options=["-new"]) == []
