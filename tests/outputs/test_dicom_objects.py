"""What all DICOM objects of a result have in common: the source's modules, who made them, UIDs; refusals."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pydicom
import pytest
from highdicom._standard_utils import get_module_attribute_map
from pydicom import Dataset

from outputs.dicom_results import DICOM, chest_hu, enhanced_source, other_modules, result_of, source, written
from outputs.dicom_sources import HEADERS
from prepare.synthetic import chest
from toy_model import marker
from triplenet import __version__
from triplenet.errors import BadModel, MissingExtra, NotDicom
from triplenet.inference import Keep, predict
from triplenet.outputs import dicom_objects, needed_by, write
from triplenet.outputs.source_modules import MODULES, TYPE_2, copy_modules
from triplenet.scan import Scan, Source


@pytest.fixture(scope="module", params=HEADERS)
def told(request, tmp_path_factory):
    """The source's header, and the objects made of it."""
    folder = tmp_path_factory.mktemp("told")
    header = deepcopy(HEADERS[request.param])
    paths = source(folder / "scan", **header)
    objects = written(result_of(folder / "scan"), folder / "out", *DICOM)
    return request.param, pydicom.dcmread(paths[0]), objects, paths, folder


@pytest.mark.parametrize(
    "module", ["patient", "general-study", "patient-study", "clinical-trial-subject", "clinical-trial-study"]
)
def test_every_attribute_of_the_standards_modules_is_the_sources(module):
    standard = {one["keyword"] for one in get_module_attribute_map()[module] if not one["path"]}
    assert len(standard) > 5
    assert standard <= {keyword for keywords in MODULES.values() for keyword in keywords}


def test_what_a_library_made_of_the_modules_goes():
    made, told = Dataset(), Dataset()
    made.StudyDescription, made.PatientName, made.ClinicalTrialSiteID = "made up", "Made^Up", "9"
    told.StudyInstanceUID, told.StudyDescription, told.ClinicalTrialSponsorName = "1.2.3", "", "A sponsor"
    copy_modules(made, told)
    assert {element.keyword: element.value for element in made if element.value not in (None, "")} == {
        "StudyInstanceUID": "1.2.3",
        "ClinicalTrialSponsorName": "A sponsor",
        "BodyPartExamined": "CHEST",
    }
    assert {element.keyword for element in made if element.value in (None, "")} == {*TYPE_2, "StudyDescription"}
    made.PatientName = "Changed^Later"
    assert "PatientName" not in told


def test_every_object_has_the_modules_of_the_source_as_they_are(told):
    _, header, objects, _, _ = told
    assert set(objects) == set(DICOM)
    for name, made in objects.items():
        assert other_modules(header, made) == [], name


def test_names_are_the_same_bytes_as_in_the_source(told):
    kind, header, objects, _, _ = told
    names = {"latin": "Müller^Jörg", "utf-8": "Ünal^Şükrü", "japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう"}
    for made in objects.values():
        assert made.get("SpecificCharacterSet") == header.get("SpecificCharacterSet")
        if kind in names:
            assert str(made.PatientName) == names[kind]
            assert made.PatientName.original_string == header.PatientName.original_string


@pytest.mark.parametrize(("said", "body_part"), [("LUNG", "LUNG"), ("", "CHEST"), (None, "CHEST")])
def test_the_body_part_is_the_sources_or_the_chest(tmp_path, said, body_part):
    source(tmp_path / "scan", BodyPartExamined=said)
    for made in written(result_of(tmp_path / "scan"), tmp_path / "out", *DICOM).values():
        assert made.BodyPartExamined == body_part


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    source(folder)
    return folder


@pytest.fixture(scope="module")
def result(scan):
    return result_of(scan)


@pytest.fixture(scope="module")
def objects(result, tmp_path_factory):
    return written(result, tmp_path_factory.mktemp("objects") / "out", *DICOM)


def equipment(made, code):
    return [
        item for item in made.ContributingEquipmentSequence if item.PurposeOfReferenceCodeSequence[0].CodeValue == code
    ]


def test_every_object_says_by_what_it_was_made(objects):
    for made in objects.values():
        (item,) = equipment(made, "109102")
        for told in (item, made):
            assert (told.Manufacturer, told.ManufacturerModelName) == ("triplenet", "triple")
            assert list(told.SoftwareVersions) == [__version__, "e" * 64]
            assert told.DeviceUID == dicom_objects.uid("device", "e" * 64)
        (scanner,) = equipment(made, "109101")
        assert (scanner.Manufacturer, scanner.ManufacturerModelName) == ("A maker", "A scanner")


def test_a_uid_is_of_the_root_for_uuids_and_no_longer_than_allowed():
    made = dicom_objects.uid("device", "e" * 64)
    root, number = made.rsplit(".", 1)
    assert root == "2.25" and 0 < int(number) < 2**128 and len(made) <= 64
    assert (int(number) >> 76) & 0xF == 5  # a name-based UUID
    assert made != dicom_objects.uid("device", "f" * 64)


def with_model(result, **told):
    record = result.record
    return replace(result, record=record.model_copy(update={"model": record.model.model_copy(update=told)}))


def test_classes_that_are_not_ascii_are_written_in_utf_8(result, tmp_path):
    record = result.record
    classes = (record.classes[0].model_copy(update={"name": "négatif"}), *record.classes[1:])
    other = replace(result, record=record.model_copy(update={"classes": classes}))
    for made in written(other, tmp_path / "out", *DICOM).values():
        assert made.SpecificCharacterSet == "ISO_IR 192"


def test_another_model_is_another_device_with_other_objects(result, objects, tmp_path):
    other = written(with_model(result, file_sha256="f" * 64), tmp_path / "out", *DICOM)
    for name, made in other.items():
        for keyword in ("DeviceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            assert made[keyword].value != objects[name][keyword].value
        assert list(made.SoftwareVersions) == [__version__, "f" * 64]


def test_a_model_without_a_hash_makes_no_objects(result, tmp_path):
    with pytest.raises(BadModel, match="without a hash"):
        write(with_model(result, tensors_sha256=None), tmp_path / "out", ["seg"])
    assert not (tmp_path / "out").exists()


WRITTEN_AT = ("InstanceCreation", "Content", "DateOfSecondaryCapture", "TimeOfSecondaryCapture", "PresentationCreation")


def without_times(dataset):
    for element in list(dataset.iterall()):
        if element.VR in ("TM", "DA", "DT") and element.keyword.startswith(WRITTEN_AT):
            element.value = ""
    return dataset.to_json_dict()


def test_a_second_run_makes_equal_objects(scan, objects, tmp_path):
    again = written(result_of(scan), tmp_path / "out", *DICOM)
    for name, made in again.items():
        assert without_times(made) == without_times(deepcopy(objects[name])), name
    assert len({made.SOPInstanceUID for made in again.values()}) == len(DICOM)


@pytest.mark.parametrize("options", [{"slice_from_feet": 3}, {"aggregate": "mean"}, {"smallest_lesion_mm": 4.0}])
def test_other_settings_make_other_objects(scan, objects, tmp_path, options):
    other = written(result_of(scan, **options), tmp_path / "out", *DICOM)
    assert {made.SOPInstanceUID for made in other.values()}.isdisjoint(made.SOPInstanceUID for made in objects.values())


def test_what_is_made_of_every_slice_is_another_object(scan, tmp_path):
    """A search that was coarse may have chosen another slice."""
    names = ("coarse", "whole")
    kept = (Keep(instances=True), Keep(instances=True, segments=True))
    coarse, whole = (
        written(result_of(scan, keep=keep), tmp_path / name, "pm")["pm"] for name, keep in zip(names, kept, strict=True)
    )
    assert coarse.SOPInstanceUID != whole.SOPInstanceUID


def test_what_is_written_of_identities_changes_no_uid(scan, objects, tmp_path):
    again = written(result_of(scan, identifiers=True), tmp_path / "out", "seg")
    assert again["seg"].SOPInstanceUID == objects["seg"].SOPInstanceUID


def test_a_series_of_its_own_beside_the_source_for_research_only(objects):
    numbers = [made.SeriesNumber for made in objects.values()]
    assert all(400 < number < 500 for number in numbers) and len(set(numbers)) == len(numbers)
    for made in objects.values():
        assert made.SeriesDescription.endswith("Research use only") and len(made.SeriesDescription) <= 64
        assert made.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.9"
        assert made.SeriesInstanceUID != "1.2.826.0.1.3680043.8.498.1"


@pytest.mark.parametrize(("told", "number"), [(7, 701), (0, 1), (None, 1), (-3, 1), (2147483647, 748364701)])
def test_the_series_number_follows_from_the_sources_and_fits(tmp_path, told, number):
    source(tmp_path / "scan", SeriesNumber=told)
    assert written(result_of(tmp_path / "scan"), tmp_path / "out", "seg")["seg"].SeriesNumber == number


def test_a_scan_that_is_no_dicom_is_refused_before_it_is_classified():
    hu, _, _, geometry = chest()
    with pytest.raises(NotDicom, match="nifti") as refused:
        predict(Scan(hu, geometry, Source("nifti", "x")), marker(), keep=needed_by(["seg"]))
    assert refused.value.code == "NOT_DICOM"


def test_a_result_without_headers_makes_no_object(scan, tmp_path):
    held = predict(scan, marker(), keep=Keep(segments=True))
    with pytest.raises(NotDicom, match="does not hold"):
        write(held, tmp_path / "out", ["seg"])
    assert not (tmp_path / "out").exists()


def test_slices_in_several_multi_frame_objects_are_refused(tmp_path):
    for number, depth in enumerate((slice(0, 3), slice(3, 6))):
        height = -300.25 + 12 * number
        path = enhanced_source(tmp_path / "scan", chest_hu()[depth], origin=(-190.0, -180.5, height))
        path.rename(tmp_path / "scan" / f"{number}.dcm")
    with pytest.raises(NotDicom, match="several multi-frame objects"):
        result_of(tmp_path / "scan")


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID"])
def test_a_scan_that_nothing_can_refer_to_is_refused(tmp_path, keyword):
    source(tmp_path / "scan", **{keyword: None})
    with pytest.raises(NotDicom, match=keyword):
        write(result_of(tmp_path / "scan"), tmp_path / "out", ["seg"])


def test_without_highdicom_a_dicom_output_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(MissingExtra, match=r"triplenet\[dicom\]"):
        needed_by(["seg"])
    assert needed_by(["json", "png"]) == Keep()
