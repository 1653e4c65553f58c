"""Structured report and key objects: every number and reference read back, by readers that did not write them."""

from __future__ import annotations

import subprocess

import highdicom
import pydicom
import pytest

from outputs.dicom_results import chest_hu, enhanced_source, errors_of, need, result_of, source, written
from outputs.report_readers import dumped, items, number
from toy_model import marker
from triplenet import __version__
from triplenet.outputs import FORMATS, dicom_objects, key_object_selection, secondary_capture, structured_report, write
from triplenet.outputs.dicom_objects import coded

SR = structured_report.FILE
PROCEDURE = coded(("CTCHEST", "99LOCAL", "CT of the chest"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def paths(folder):
    return source(folder / "scan", ProcedureCodeSequence=[PROCEDURE])


@pytest.fixture(scope="module")
def result(folder, paths):
    return result_of(folder / "scan", best_slices=2)


@pytest.fixture(scope="module")
def objects(folder, result):
    return written(result, folder / "out", "sr", "kos", "sc", "seg", "gsps")


@pytest.fixture(scope="module")
def report(objects):
    return objects["sr"]


def groups(report):
    """The measurement groups: by tracking identifier."""
    return {next(items(group, "112039")).TextValue: group for group in items(report, "125007")}


def test_validators_find_no_error(folder, paths, objects):
    for name in ("sr", "kos"):
        path = folder / "out" / FORMATS[name].files[0]
        assert errors_of("dciodvfy", path, options=["-new"]) == []
        checked = subprocess.run([need("dcmpschk"), str(path)], capture_output=True, check=False)
        assert b"Test passed" in checked.stdout + checked.stderr
    assert errors_of("dcentvfy", *paths, *(folder / "out").glob("*.dcm")) == []


def test_probabilities_of_all_classes_come_back(result, report):
    scan = groups(report)["triplenet scan"]
    found = {}
    for item in items(scan, "122157"):
        value, unit = number(item)
        assert unit == "1"
        (modifier,) = items(item, "121071")
        found[modifier.ConceptCodeSequence[0].CodeMeaning] = value
    assert found == pytest.approx({one.name: one.probability for one in result.record.classes}, abs=1e-9)
    said = [item for item in scan.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121071"]
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in said] == [result.record.predicted]


def test_volumes_and_share_come_back_of_the_segments_of_the_segmentation(result, report, objects):
    both = result.record.measures.both
    expected = {
        "triplenet infection": [(both.infection_ml.estimate, "mL"), (100 * both.infected_share.estimate, "%")],
        "triplenet lung": [(both.lung_ml.estimate, "mL")],
    }
    segments = {one.TrackingID: one for one in objects["seg"].SegmentSequence}
    assert both.infection_ml.estimate > 0
    for name, numbers in expected.items():
        group = groups(report)[name]
        found = [number(item) for code in ("118565006", "INFECTED_SHARE") for item in items(group, code)]
        assert [unit for _, unit in found] == [unit for _, unit in numbers]
        assert [value for value, _ in found] == pytest.approx([value for value, _ in numbers], abs=1e-3)
        (reference,) = items(group, "121191")
        (told,) = reference.ReferencedSOPSequence
        assert told.ReferencedSOPInstanceUID == objects["seg"].SOPInstanceUID
        assert told.ReferencedSegmentNumber == segments[name].SegmentNumber
        assert segments[name].TrackingUID == next(items(group, "112040")).UID


def test_highdicom_reads_the_groups_and_dcmtk_the_words(folder, report):
    read = highdicom.sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(folder / "out" / SR))
    found = read.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in found] == ["triplenet infection", "triplenet lung"]
    words = dumped(folder / "out" / SR)
    assert '(CTCHEST,99LOCAL,"CT of the chest")' in words
    assert "25045-6" not in words


def test_who_made_it_is_told_everywhere_alike(report):
    (equipment,) = [
        item
        for item in report.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    ]
    told = {code: next(items(report, code)) for code in ("121012", "121014", "121015", "121016")}
    assert told["121012"].UID == equipment.DeviceUID == report.DeviceUID
    assert told["121014"].TextValue == equipment.Manufacturer
    assert told["121015"].TextValue == equipment.ManufacturerModelName == "triple"
    assert told["121016"].TextValue == equipment.DeviceSerialNumber == "e" * 64
    scan = groups(report)["triplenet scan"]
    assert next(items(scan, "111001")).TextValue == equipment.ManufacturerModelName
    assert next(items(scan, "111003")).TextValue == " ".join(equipment.SoftwareVersions) == f"{__version__} {'e' * 64}"
    assert next(items(scan, "122405")).TextValue == equipment.Manufacturer


def test_the_library_is_of_the_slices_that_were_classified(result, report, paths):
    (library,) = items(report, "111028")
    named = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(library, "260753009")}
    by_height = {float(one.ImagePositionPatient[2]): one.SOPInstanceUID for one in map(pydicom.dcmread, paths)}
    classified = [one.from_feet for one in result.record.decision.slices]
    assert named == {by_height[-300.25 + 4.0 * z] for z in classified}
    (chosen,) = items(groups(report)["triplenet scan"], "121112")
    shown = chosen.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert shown == by_height[-300.25 + 4.0 * result.record.slice.from_feet]


def test_the_visual_explanation_is_the_picture_of_the_chosen_slice(report, objects):
    pointed = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(report, "130401")]
    assert pointed == [objects["sc"].SOPInstanceUID]


def test_research_and_warnings_are_told(result, report):
    told = [item.TextValue for item in items(report, "121106")]
    assert told[0].startswith("Research use only") and told[1:] == list(result.record.warnings)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def test_a_scan_without_a_finding_has_a_report_that_says_so(tmp_path):
    source(tmp_path / "scan", chest_hu(lesion=None))
    told = result_of(tmp_path / "scan")
    made = written(told, tmp_path / "out", "sr", "seg")
    found = groups(made["sr"])
    (presence,) = items(found["triplenet scan"], "233604007")
    assert presence.ConceptCodeSequence[0].CodeMeaning == "Absent"
    assert "No infection was found in the scan by triple." in [item.TextValue for item in items(made["sr"], "121106")]
    assert "triplenet infection" not in found
    assert len(list(items(found["triplenet scan"], "122157"))) == 2
    assert errors_of("dciodvfy", tmp_path / "out" / SR, options=["-new"]) == []


def test_alone_the_report_has_the_same_numbers_and_another_uid(result, report, tmp_path):
    alone = written(result, tmp_path / "out", "sr")["sr"]
    assert alone.SOPInstanceUID != report.SOPInstanceUID
    assert alone.SeriesInstanceUID == report.SeriesInstanceUID
    for name, group in groups(report).items():
        for code in ("122157", "118565006", "INFECTED_SHARE"):
            expected = [number(item) for item in items(group, code)]
            assert [number(item) for item in items(groups(alone)[name], code)] == expected
    assert not list(items(alone, "121191")) and not list(items(alone, "130401"))


def test_frames_of_an_enhanced_object_are_named(tmp_path):
    path = enhanced_source(tmp_path, chest_hu())
    told = result_of(path, best_slices=2)
    made = written(told, tmp_path / "out", "sr", "kos", "seg")
    (library,) = items(made["sr"], "111028")
    heights = {}
    for entry in items(library, "260753009"):
        (height,) = items(entry, "110903")
        heights[entry.ReferencedSOPSequence[0].ReferencedFrameNumber] = number(height)[0]
    assert heights == {z + 1: -300.25 + 4.0 * z for z in (one.from_feet for one in told.record.decision.slices)}
    (chosen,) = items(made["sr"], "121112")
    assert chosen.ReferencedSOPSequence[0].ReferencedFrameNumber == told.record.slice.from_feet + 1
    for name in ("sr", "kos"):
        assert errors_of("dciodvfy", tmp_path / "out" / FORMATS[name].files[0], options=["-new"]) == []


def test_without_a_code_of_the_source_the_procedure_is_a_ct(tmp_path):
    incomplete = coded(("X", "99LOCAL", ""))
    source(tmp_path / "scan", ProcedureCodeSequence=[incomplete])
    made = written(result_of(tmp_path / "scan"), tmp_path / "out", "sr")["sr"]
    (procedure,) = items(made, "121058")
    code = procedure.ConceptCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("25045-6", "LN")


def test_a_3d_method_reports_all_slices(folder, paths, tmp_path):
    told = result_of(folder / "scan", model=marker(frames=6, method="resnet3d"))
    made = written(told, tmp_path / "out", "sr")["sr"]
    (library,) = items(made, "111028")
    assert len(list(items(library, "260753009"))) == 6
    assert next(items(made, "121015")).TextValue == "resnet3d"


def named_by(kos):
    return [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in kos.ContentSequence
        if item.ValueType in ("IMAGE", "COMPOSITE") and "ConceptNameCodeSequence" not in item
    ]


def test_key_objects_name_everything_and_the_chosen_slice(folder, result, objects, paths):
    kos = objects["kos"]
    named = named_by(kos)
    others = {
        one.SOPInstanceUID
        for one in map(pydicom.dcmread, (folder / "out").glob("*.dcm"))
        if one.SOPInstanceUID != kos.SOPInstanceUID
    }
    by_height = {float(one.ImagePositionPatient[2]): one.SOPInstanceUID for one in map(pydicom.dcmread, paths)}
    assert set(named) == others | {by_height[-300.25 + 4.0 * result.record.slice.from_feet]}
    assert len(named) == len(set(named)) == len(others) + 1
    evidence = {
        item.ReferencedSOPInstanceUID
        for study in kos.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert evidence == set(named)
    assert kos.ConceptNameCodeSequence[0].CodeMeaning == "For Research"
    assert "For Research" in dumped(folder / "out" / key_object_selection.FILE)
    assert next(items(kos, "113012")).TextValue == "positive 1.00 by triple. Research use only."


def test_what_names_others_is_written_after_them(result, tmp_path):
    write(result, tmp_path / "out", ["kos", "sc"])
    kos = pydicom.dcmread(tmp_path / "out" / key_object_selection.FILE)
    shown = pydicom.dcmread(tmp_path / "out" / secondary_capture.FILE)
    named = set(named_by(kos))
    assert shown.SOPInstanceUID in named and len(named) == 1 + len(result.shown.slices)


def test_a_class_has_one_code_in_one_task(result):
    model = result.record.model
    code = structured_report.class_code(model, "positive")
    assert len(code.value) == 16 and code.scheme_designator == "99TRIPLENET"
    assert code == structured_report.class_code(model.model_copy(update={"fold": 3}), "positive")
    assert code.value != structured_report.class_code(model, "negative").value
    assert code.value != structured_report.class_code(model.model_copy(update={"task": "other"}), "positive").value
    assert dicom_objects.uid("a") != dicom_objects.uid("b")
