"""All objects of a result and their source go through a PACS that others wrote, and come back as they were.

What Orthanc 1.10.1 cannot do stays outside: it refuses Segmentations of the class LABELMAP, which are not written here,
and cannot decode JPEG 2000. Such slices come back by DICOMweb, where they may stay compressed; C-GET, whose peers agree
on one transfer syntax of a class beforehand, and DICOMweb that asks for no syntax both end in "Cannot transcode image".
"""

from __future__ import annotations

from copy import deepcopy

import pydicom
import pytest
from pydicom.dataelem import DataElement

from conformance.orthanc import BACK, INTO, differences, running
from conformance.page import EQUAL
from conformance.subjects import KINDS, subject
from outputs.dicom_results import DICOM, result_of, source
from triplenet.outputs import write

JPEG_2000 = "jpeg 2000"
ROUND = ("plain", "uneven", "enhanced", "implicit", JPEG_2000, *(name for name in KINDS if name.startswith("header: ")))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with running(tmp_path_factory.mktemp("orthanc")) as one:
        yield one


@pytest.fixture(scope="module", params=ROUND)
def told(request, tmp_path_factory):
    """A source and what is written of it; the first and the last slice have lesions."""
    return subject(request.param, tmp_path_factory.mktemp("told"))


@pytest.mark.conformance
@pytest.mark.parametrize("back", BACK)
@pytest.mark.parametrize("into", INTO)
def test_what_comes_back_equals_what_was_stored(orthanc, told, into, back, tmp_path, record_property):
    names = dict.fromkeys(told.source, "source")
    names |= {path: name for name in DICOM for path in told.files(name)}
    assert set(names.values()) == {"source", *DICOM}
    orthanc.forget()
    INTO[into](orthanc, list(names))
    sent = {path: pydicom.dcmread(path) for path in names}
    if told.kind == JPEG_2000 and back == "C-GET":
        sent = {path: one for path, one in sent.items() if names[path] != "source"}
    came = {one.SOPInstanceUID: one for one in BACK[back](orthanc, list(sent.values()), tmp_path / "back")}
    assert set(came) == {one.SOPInstanceUID for one in sent.values()}
    for path, one in sent.items():
        assert differences(one, came[one.SOPInstanceUID]) == [], path.name
    for name in dict.fromkeys(names[path] for path in sent):
        record_property("conformance", (told.kind, name, f"Orthanc: {into}, {back}", EQUAL))


@pytest.fixture
def report(tmp_path):
    source(tmp_path / "scan")
    write(result_of(tmp_path / "scan"), tmp_path / "out", ["seg", "sr"])
    return pydicom.dcmread(tmp_path / "out" / "structured_report.dcm")


def test_two_data_sets_are_equal_or_it_is_said_where_not(report):
    assert differences(report, deepcopy(report)) == []
    other = deepcopy(report)
    del other.PatientAge
    other.PatientWeight = "71.50"  # the same number in other digits
    other.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning = "Changed"
    other[0x00080080] = DataElement(0x00080080, "LO", "Added")
    other[0x00100040] = DataElement(0x00100040, "LO", "F")
    other.ContributingEquipmentSequence.pop()
    assert [line.partition(":")[0] for line in differences(report, other)] == [
        "(0008,0080) is not in what was sent",
        "PatientSex",
        "(0010,1010) is not in what came back",
        "PatientWeight",
        "ContributingEquipmentSequence",
        "ContentSequence[1].ConceptNameCodeSequence[1].CodeMeaning",
    ]


def test_a_changed_byte_of_pixels_or_of_a_name_is_a_difference():
    one = pydicom.Dataset()
    one.PatientName, one.PixelData = "Yamada^Tarou", b"\x00\x01"
    one["PixelData"].VR = "OB"
    for keyword, value in (("PatientName", "Yamada^Taro"), ("PixelData", b"\x00\x02")):
        other = deepcopy(one)
        other[keyword].value = value
        (line,) = differences(one, other)
        assert line.startswith(f"{keyword}: ")
