"""Structured Report and Key Object Selection: every number, word and reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom
import numpy as np
import pydicom

from conformance import peers
from conformance.judging.every_object import content_items, source_headers
from conformance.subjects import Plane, Subject
from outputs.report_readers import dumped, items
from triplenet import __version__
from triplenet.outputs import FORMATS
from triplenet.outputs.dicom_objects import uid


def expected_numbers(subject: Subject) -> dict[str, dict[str, float]]:
    """What the report must say: by the tracking identifier of a group, by code (and class)."""
    record = subject.result.record
    both = record.measures.both
    scan = {f"122157 {one.name}": one.probability for one in record.classes}
    found = {"triplenet scan": scan, "triplenet lung": {"118565006": both.lung_ml.estimate}}
    if len(subject.lesions):
        share = 100 * both.infected_share.estimate
        found["triplenet infection"] = {"118565006": both.infection_ml.estimate, "INFECTED_SHARE": share}
    if subject.kind != "uneven":  # there a slice stands for more than its thickness
        ml = abs(float(np.prod(record.scan.spacing_mm))) / 1000
        assert abs(both.infection_ml.estimate - ml * len(subject.lesions)) < 0.06
        assert abs(both.lung_ml.estimate - ml * len(subject.lungs)) < 0.06
    return found


def _same_numbers(found: Mapping[str, Mapping[str, float]], subject: Subject) -> None:
    expected = expected_numbers(subject)
    assert found.keys() == expected.keys()
    for group, numbers in expected.items():
        assert found[group].keys() == numbers.keys()
        np.testing.assert_allclose(
            [found[group][name] for name in numbers], list(numbers.values()), rtol=1e-9, atol=1e-12
        )


UNITS = {"122157": "1", "118565006": "mL", "INFECTED_SHARE": "%"}


def sr_dcmqi(subject: Subject, _: str) -> None:
    with TemporaryDirectory() as folder:
        read = peers.report_by_dcmqi(subject.files("sr")[0], Path(folder))
    found: dict[str, dict[str, float]] = {}
    for group in read["Measurements"]:
        numbers = found.setdefault(group["TrackingIdentifier"], {})
        for item in group["measurementItems"]:
            code = item["quantity"]["CodeValue"]
            of = [one["modifierValue"]["CodeMeaning"] for one in item.get("measurementModifiers", ())]
            numbers[" ".join([code, *of])] = float(item["value"])
            assert item["units"]["CodeValue"] == UNITS[code]
        if group["TrackingIdentifier"] != "triplenet scan":
            (seg,) = subject.files("seg")
            assert group["segmentationSOPInstanceUID"] == pydicom.dcmread(seg).SOPInstanceUID
    _same_numbers(found, subject)
    assert read["CompletionFlag"] == "COMPLETE" and read["VerificationFlag"] == "UNVERIFIED"


_NUMBER = re.compile(r'NUM:\(([^,]+),[^)]*\)="([^"]*)" \(([^,]+),')


def sr_dsrdump(subject: Subject, _: str) -> None:
    """Every number with its unit as dcmtk prints it."""
    found: dict[str, dict[str, float]] = {}
    group, name = "", ""
    for line in dumped(subject.files("sr")[0]).splitlines():
        if '"Tracking Identifier")="' in line:
            group = line.split('="')[-1].split('"')[0]
        told = _NUMBER.search(line)
        if told and group:
            code, value, unit = told.groups()
            assert unit == UNITS[code]
            name = code
            found.setdefault(group, {})[code] = float(value)
        elif group and name == "122157" and '(121071,DCM,"Finding")' in line and "has concept mod" in line:
            class_ = line.rsplit(',"', 1)[-1].split('"')[0]
            found[group][f"122157 {class_}"] = found[group].pop("122157")
    _same_numbers(found, subject)


def sr_content(subject: Subject, _: str) -> None:
    """What is said and pointed at, as dcmtk reads it."""
    record = subject.result.record
    (path,) = subject.files("sr")
    report = peers.by_dcmtk(path)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    groups = {next(items(group, "112039")).TextValue: group for group in items(report, "125007")}
    scan = groups["triplenet scan"]
    said = [one for one in scan.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "121071"]
    assert [one.ConceptCodeSequence[0].CodeMeaning for one in said] == [record.predicted]
    (presence,) = items(scan, "233604007")
    assert presence.ConceptCodeSequence[0].CodeMeaning == ("Present" if len(subject.lesions) else "Absent")
    assert record.predicted == ("positive" if len(subject.lesions) else "negative")
    pointed = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(report, "130401")}
    maps = {pydicom.dcmread(one).SOPInstanceUID for one in subject.files("pm")}
    pictures = {
        pydicom.dcmread(one).SOPInstanceUID
        for one in subject.files("sc")
        if one.name in FORMATS["sc"].files  # of the chosen slice
    }
    assert pointed == maps | pictures
    (seg,) = subject.files("seg")
    segments = pydicom.dcmread(seg)
    for one in segments.SegmentSequence:
        group = groups[one.TrackingID]
        assert one.TrackingUID == next(items(group, "112040")).UID
        (told,) = next(items(group, "121191")).ReferencedSOPSequence
        assert told.ReferencedSOPInstanceUID == segments.SOPInstanceUID
        assert told.ReferencedSegmentNumber == one.SegmentNumber
        (finding,) = items(group, "121071")
        kind = one.SegmentedPropertyTypeCodeSequence[0].CodeValue
        assert finding.ConceptCodeSequence[0].CodeValue == kind
        assert next(source_headers(subject)).SeriesInstanceUID == next(items(group, "121232")).UID
    for group in groups.values():
        (site,) = items(group, "363698007")
        assert site.ConceptCodeSequence[0].CodeValue == "39607008"
    (procedure,) = items(report, "121058")
    assert procedure.ConceptCodeSequence[0].CodeValue == "25045-6"
    (library,) = items(report, "111028")
    named = {
        (str(one.ReferencedSOPInstanceUID), int(one.get("ReferencedFrameNumber", 1)))
        for item in items(library, "260753009")
        for one in item.ReferencedSOPSequence
    }
    if subject.orientation != "sagittal":
        assert named and all(key in subject.planes for key in named)
        heights = {round(float(_height(subject.planes[key])), 2) for key in named}
        assert len(heights) == len(record.decision.slices)
        (chosen,) = items(scan, "121112")
        told = chosen.ReferencedSOPSequence[0]
        key = (str(told.ReferencedSOPInstanceUID), int(told.get("ReferencedFrameNumber", 1)))
        if len(subject.lesions):
            assert key == subject.largest
    hashed = record.model.file_sha256 or record.model.tensors_sha256
    told = {code: next(items(report, code)) for code in ("121012", "121014", "121015", "121016")}
    assert uid("device", hashed) == told["121012"].UID
    assert told["121014"].TextValue == "triplenet" and told["121015"].TextValue == record.model.method
    assert told["121016"].TextValue == hashed
    assert next(items(scan, "111001")).TextValue == record.model.method
    assert next(items(scan, "111003")).TextValue == f"{__version__} {hashed}"
    comments = [item.TextValue for item in items(report, "121106")]
    assert comments[0].startswith("Research use only") and set(record.warnings) <= set(comments)


def _height(plane: Plane) -> float:
    cosines = np.array(plane.header.ImageOrientationPatient, float)
    return float(plane.position @ np.cross(cosines[:3], cosines[3:]))


def sr_highdicom(subject: Subject, _: str) -> None:
    report = highdicom.sr.srread(subject.files("sr")[0])
    found = report.content.get_volumetric_roi_measurement_groups()
    expected = ["triplenet infection", "triplenet lung"] if len(subject.lesions) else ["triplenet lung"]
    assert [group.tracking_identifier for group in found] == expected
    assert len(report.content.get_planar_roi_measurement_groups()) == 0


def kos_dcmtk(subject: Subject, _: str) -> None:
    """Every other object, and the slice that is shown."""
    (path,) = subject.files("kos")
    made = peers.by_dcmtk(path)
    assert made.ConceptNameCodeSequence[0].CodeValue == "113009"
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    named = [
        str(item.ReferencedSOPInstanceUID)
        for one in content_items(made)
        for item in one.get("ReferencedSOPSequence", ())
    ]
    others = {str(pydicom.dcmread(one).SOPInstanceUID) for one in subject.files("dicom") if one != path}
    of_source = {uid for uid, _ in subject.planes}
    assert others <= set(named) and set(named) - others <= of_source
    assert len(named) == len(set(named))
    if subject.orientation != "sagittal":
        assert len(set(named) - others) == 1
    if len(subject.lesions) and subject.orientation not in ("sagittal", "enhanced", "nothing shared"):
        assert set(named) - others == {subject.largest[0]}
    record = subject.result.record
    likeliest = max(one.probability for one in record.classes)
    (said,) = items(made, "113012")
    assert said.TextValue == f"{record.predicted} {likeliest:.2f} by {record.model.method}. Research use only."
    assert "For Research" in dumped(path)
