"""The statements in docs/ are what the code does now; where an attribute comes from is found out and not assumed."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import date
from pathlib import Path

import pydicom
import pytest
from benchmarks import conformance_statements
from benchmarks.statements import ihe_statement
from benchmarks.statements.attribute_origins import Circumstance, Origin, Writings, content_items
from benchmarks.statements.dicom_statement import Found, in_group
from benchmarks.statements.material import without_finding
from benchmarks.statements.object_tables import told as words
from pydicom import Dataset

from outputs.dicom_results import DICOM, result_of
from outputs.dicom_sources import SOURCES, marked
from triplenet.outputs import write

DOCS = Path(__file__).parents[2] / "docs"
CLASS = "1.2.840.10008.5.1.4.1.1.7"


def undated(page):
    """Without the version and the day of the writing."""
    return re.sub(r"(?m)^(triplenet |\| version \| |\| date \| )\S+", r"\1", page)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return conformance_statements.pages(tmp_path_factory.mktemp("pages"), date(2022, 11, 24))


@pytest.mark.conformance
@pytest.mark.parametrize("name", [conformance_statements.DICOM, conformance_statements.IHE])
def test_the_page_says_what_the_code_does(pages, name):
    """Otherwise: python benchmarks/conformance_statements.py, and look at the difference."""
    assert undated((DOCS / name).read_text(encoding="utf-8")) == undated(pages[name])


@pytest.mark.conformance
@pytest.mark.parametrize("kind", ["uneven", "enhanced"])
def test_every_attribute_of_another_scans_objects_stands_in_the_page(kind, tmp_path):
    page = (DOCS / conformance_statements.DICOM).read_text(encoding="utf-8")
    write_source, options = SOURCES[kind]
    paths = write_source(tmp_path / "scan", marked(0, 2, 5))
    write(result_of(tmp_path / "scan", **options), tmp_path / "out", DICOM)
    made = Circumstance.read(paths, tmp_path / "out")
    for sop_class, places in made.by_class.items():
        assert f"| `{sop_class}` | yes, " in page
        for place in places:
            row = place[-1].partition(": ")[2] if place[0] == "ContentSequence" else f"| {' > '.join(place)} |"
            assert row in page, (sop_class, place)


# --- where a value comes from ---------------------------------------------------------------------


def dataset(**attributes):
    one = Dataset()
    one.SOPClassUID = CLASS
    for keyword, value in attributes.items():
        setattr(one, keyword, value)
    return one


FIRST = {
    "SOPInstanceUID": "1.2.3.4.5.1",
    "SeriesInstanceUID": "1.2.3.4.5.10",
    "PatientName": "A^B",
    "PatientSize": "1.5",
}
SECOND = {
    "SOPInstanceUID": "1.2.3.4.5.2",
    "SeriesInstanceUID": "1.2.3.4.5.20",
    "PatientName": "C^D",
    "PatientSize": "1.6",
}
UNKNOWN = {"SOPInstanceUID": "1.2.3.4.5.3", "SeriesInstanceUID": "1.2.3.4.5.30"}


def written(source, number, **attributes):
    """An object of a source, that names its instance and another object."""
    own = {"SOPInstanceUID": f"2.25.1.1.{number}", "SeriesInstanceUID": f"2.25.1.2.{number}"}
    made = dataset(
        **own, **{"Modality": "OT", "BodyPartExamined": "CHEST", "SeriesDescription": "A model"} | attributes
    )
    refers = [dataset(ReferencedSOPInstanceUID=uid) for uid in (source["SOPInstanceUID"], own["SOPInstanceUID"])]
    for item in refers:
        del item.SOPClassUID
    made.ReferencedImageSequence = refers
    return Circumstance([dataset(**source)], [made])


def origins(**changed):
    plain = written(FIRST, 1, PatientName="A^B", PatientSize="1.50", PatientComments="A^B")
    other = written(SECOND, 2, PatientName="C^D", PatientSize="1.60", PatientComments="E^F")
    unknown = written(UNKNOWN, 3, PatientName="")
    return Writings(plain, other, changed, unknown).origins(CLASS)


def test_what_equals_the_source_in_all_of_them_is_copied():
    found = origins()
    assert found["PatientName",] == Origin(copied_from="PatientName", if_unknown="")
    assert found["PatientSize",] == Origin(copied_from="PatientSize", if_unknown="-")  # in other digits
    assert found["PatientComments",] == Origin(follows=("the scan",))  # once by chance
    assert found["SOPInstanceUID",] == Origin(follows=("the scan",))
    assert words(found["PatientName",], "PatientName") == "copied, or empty"
    assert words(found["PatientSize",], "PatientSize") == "copied, or left out"


def test_what_never_changes_is_fixed_and_the_rest_follows_from_what_was_changed():
    model = written(FIRST, 4, PatientName="A^B", PatientSize="1.5", PatientComments="A^B", SeriesDescription="Another")
    found = origins(**{"the model": model})
    assert found["Modality",] == Origin(fixed=frozenset({"OT"}))
    assert found["SeriesDescription",] == Origin(follows=("the model",))
    assert found["SOPInstanceUID",] == Origin(follows=("the scan", "the model"))
    assert words(found["Modality",]) == "`OT`"
    assert words(found["SeriesDescription",]) == "made of the model"


def test_a_reference_to_the_source_is_told_from_one_to_another_object():
    place = ("ReferencedImageSequence", "ReferencedSOPInstanceUID")
    assert origins()[place] == Origin(copied_from="SOPInstanceUID", names_objects=True)
    assert words(origins()[place], place[-1]) == "source's `SOPInstanceUID`, and other objects of the result"


def test_a_code_is_in_its_context_group_or_not():
    assert in_group(("130403", "DCM", ""), 7180) and not in_group(("130403", "SCT", ""), 7180)
    assert not in_group(("111001", "DCM", ""), 7180)


# --- the rules of the profile ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_source, _ = SOURCES["plain"]
    paths = write_source(folder / "scan", marked(0, 2, 5))
    write(result_of(folder / "scan"), folder / "out", DICOM)
    return Circumstance.read(paths, folder / "out"), without_finding(folder / "healthy")


def of_modality(circumstance, modality):
    return next(made for made in circumstance.objects if made.Modality == modality)


def items(made, meaning):
    """Content items of a name, anywhere below."""
    for item in made.get("ContentSequence", ()):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeMeaning == meaning:
            yield item
        yield from items(item, meaning)


def drop_device(one):
    del of_modality(one, "KO").ContributingEquipmentSequence[-1].DeviceUID


def other_version(one):
    made = of_modality(one, "PR")
    made.SoftwareVersions = made.ContributingEquipmentSequence[-1].SoftwareVersions = ["9", "9"]


def other_observer(one):
    next(items(of_modality(one, "SR"), "Device Observer UID")).UID = "2.25.9"


def other_template(one):
    of_modality(one, "SR").ContentTemplateSequence[0].TemplateIdentifier = "2000"


def no_finding_said(one):
    for item in items(of_modality(one, "SR"), "Pneumonia"):
        item.ConceptNameCodeSequence[0].CodeMeaning = "Something"


def other_units(one):
    item = next(items(of_modality(one, "SR"), "Volume"))
    item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodingSchemeDesignator = "99ML"


def other_segmentation(one):
    item = next(items(of_modality(one, "SR"), "Referenced Segment"))
    item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.9"


def other_tracking(one):
    of_modality(one, "SEG").SegmentSequence[0].TrackingUID = "2.25.9"


def other_quantity(one):
    made = next(made for made in one.objects if "FloatPixelData" in made)
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue = "1"


def other_study(one):
    of_modality(one, "SEG").StudyInstanceUID = "2.25.9"


def other_frame(one):
    of_modality(one, "SEG").FrameOfReferenceUID = "2.25.9"


BREAKS = {
    drop_device: {"6.5.3.1", "What made it is the same"},
    other_version: {"What made it is the same"},
    other_observer: {"The report's observer"},
    other_template: {"Results are tied together"},
    no_finding_said: {"Findings are coded"},
    other_units: {"Measurements have"},
    other_segmentation: {"A region's voxels"},
    other_tracking: {"What is found has a tracking"},
    other_quantity: {"A map's values"},
    other_study: {"Objects lie in the study"},
    other_frame: {"What has a place"},
}


def not_met(plain, healthy):
    return {one.rule for one in ihe_statement.rules_of(plain, healthy) if not one.met}


@pytest.mark.conformance
def test_the_objects_meet_every_rule_that_is_listed(results):
    assert not_met(*results) == set()


@pytest.mark.conformance
@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__)
def test_a_rule_that_is_broken_is_not_said_to_be_met(results, change):
    plain, healthy = results
    broken = Circumstance(plain.sources, deepcopy(plain.objects))
    change(broken)
    found = not_met(broken, healthy)
    assert {start for start in BREAKS[change] for rule in found if rule.startswith(start)} == BREAKS[change]
    assert len(found) == len(BREAKS[change])


@pytest.mark.conformance
def test_codes_of_the_source_are_not_taken_for_ours(results):
    plain, _ = results
    source = deepcopy(plain.sources[0])
    made = deepcopy(of_modality(plain, "SEG"))
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "X", "99LOCAL", "Something"
    source.ProcedureCodeSequence = made.ProcedureCodeSequence = pydicom.Sequence([item])
    assert ("X", "99LOCAL", "Something") not in Found.of([Circumstance([source], [made])]).codes()
    assert ("X", "99LOCAL", "Something") in Found.of([Circumstance(plain.sources, [made])]).codes()


@pytest.mark.conformance
def test_content_items_are_named_by_all_that_is_above_them(results):
    plain, _ = results
    places = {place for place, _ in content_items(of_modality(plain, "SR"))}
    assert (
        "ContentSequence",
        'CONTAINS CONTAINER: (126010, DCM, "Imaging Measurements")',
        'CONTAINS CONTAINER: (125007, DCM, "Measurement Group")',
        'CONTAINS NUM: (122157, DCM, "Probability")',
        'HAS CONCEPT MOD CODE: (121071, DCM, "Finding")',
    ) in places
