"""What must be true of what is written: each judge is a validator, or a reader that did not write it.

A judge looks at the files of one format and fails by an assertion, or because a reader fails.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import highdicom
import jsonschema
import nibabel
import numpy as np
import pydicom
from pydicom import Dataset

from conformance import peers
from conformance.subjects import Plane, Subject
from outputs.dicom_results import Array, points_of, same_points
from outputs.report_readers import dumped, items
from outputs.test_mask_outlines import filled
from outputs.test_secondary_capture import reds
from triplenet import __version__
from triplenet.outputs import FORMATS, secondary_capture
from triplenet.outputs.dicom_objects import uid
from triplenet.outputs.result_schema import published_schema
from triplenet.outputs.source_modules import MODULES, TYPE_2

EVIDENCE = "class_evidence"
"""How the file of a picture or a map of what speaks for the class begins"""
DICOM = tuple(name for name, one in FORMATS.items() if one.is_dicom)
SOP_CLASSES = {
    "seg": pydicom.uid.SegmentationStorage,
    "pm": pydicom.uid.ParametricMapStorage,
    "sc": pydicom.uid.SecondaryCaptureImageStorage,
    "gsps": pydicom.uid.GrayscaleSoftcopyPresentationStateStorage,
    "sr": pydicom.uid.Comprehensive3DSRStorage,
    "kos": pydicom.uid.KeyObjectSelectionDocumentStorage,
}
SHEARED = dict.fromkeys(("tilted", "every slice, tilted"), "makes images of rectangular voxels")
RECTANGULAR = {"uneven": "makes images of evenly spaced slices", **SHEARED}

NO_JAPANESE = {"header: japanese": "has no conversion of ISO 2022 IR 87 in Debian's build"}
DCMPSCHK = {
    "header: type 2 empty": "wants a patient to have a name",
    "header: type 2 and 3 missing": "wants a patient to have a name",
    "header: utf-8": "takes each byte of a name for a letter",
    "header: what no standard knows": "refuses the source's own age",
}
ONE_PLANE = {"one slice": "takes the distance of the first two frames, both of one slice, for a spacing"}


@dataclass(frozen=True)
class Judge:
    """Who judges which formats."""

    name: str
    formats: tuple[str, ...]
    judge: Callable[[Subject, str], None]
    """Of a format's files"""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Sources that this reader cannot be asked about, and why"""


def _dciodvfy(subject: Subject, format_: str) -> None:
    for path in subject.files(format_):
        assert peers.dciodvfy(path) == []


def _dcentvfy(subject: Subject, format_: str) -> None:
    assert peers.dcentvfy([*subject.source, *subject.files(format_)]) == []


def _dcmpschk(subject: Subject, format_: str) -> None:
    for path in subject.files(format_):
        assert peers.dcmpschk(path) == []


def _pixelmed(subject: Subject, format_: str) -> None:
    template = {"sr": "TID_1500 (MeasurementReport)", "kos": "TID_2010 (KeyObjectSelection)"}[format_]
    for path in subject.files(format_):
        assert peers.pixelmed(path, template) == []


def _plain(dataset: Dataset, keyword: str) -> object:
    """A value for comparison; missing and empty are told apart."""
    if keyword not in dataset:
        return "not there"
    value = dataset[keyword].value
    if isinstance(value, pydicom.Sequence):
        return [item.to_json_dict() for item in value]
    return "" if value is None else str(value)


def _modules(subject: Subject, format_: str) -> None:
    """Patient, study, de-identification and trial are the source's, the body part is, and where it lies."""
    source = pydicom.dcmread(subject.source[0])
    for path in subject.files(format_):
        made = pydicom.dcmread(path)
        for keyword in chain.from_iterable(MODULES.values()):
            expected = _plain(source, keyword)
            if keyword in TYPE_2 and expected == "not there":
                expected = ""
            assert _plain(made, keyword) == expected, keyword
        assert made.BodyPartExamined == (source.get("BodyPartExamined") or "CHEST")
        if "FrameOfReferenceUID" in made:
            assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert ("FrameOfReferenceUID" in made) == (format_ in ("seg", "pm", "sc"))
        assert _plain(made, "Laterality") in ("not there", _plain(source, "Laterality"))


def _maker(subject: Subject, format_: str) -> None:
    """Who made it, what it is, and that it is for research."""
    model = subject.result.record.model
    hashed = model.file_sha256 or model.tensors_sha256
    for path in subject.files(format_):
        made = pydicom.dcmread(path)
        assert made.SOPClassUID == SOP_CLASSES[format_]
        assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
        (item,) = [
            one
            for one in made.ContributingEquipmentSequence
            if one.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        ]
        for told in (item, made):
            assert (told.Manufacturer, told.ManufacturerModelName) == ("triplenet", model.method)
            assert list(told.SoftwareVersions) == [__version__, hashed]
            assert told.DeviceUID == uid("device", hashed)
            assert told.DeviceSerialNumber == hashed
        assert made.SeriesDescription.endswith("Research use only")
        assert made.InstanceNumber >= 1 and made.SeriesNumber >= 1
        assert made.SeriesInstanceUID not in {one.SeriesInstanceUID for one in _headers(subject)}
        if format_ == "sc":
            assert made.BurnedInAnnotation == "YES"


def _headers(subject: Subject) -> Iterator[Dataset]:
    for path in subject.source:
        yield pydicom.dcmread(path, stop_before_pixels=True)


def _references(subject: Subject, format_: str) -> None:
    """Whatever an object refers to is of the source or was written with it, under its class and in its series."""
    known = {}
    for one in (*_headers(subject), *(pydicom.dcmread(path) for path in subject.files("dicom"))):
        known[one.SOPInstanceUID] = (one.SOPClassUID, one.SeriesInstanceUID, one.StudyInstanceUID)
    for path in subject.files(format_):
        made, count = pydicom.dcmread(path), 0
        for element in made.iterall():
            if element.keyword == "ReferencedSOPInstanceUID":
                count += 1
                assert element.value in known, "a reference to nothing"
        assert count or format_ == "sr"
        for dataset in _datasets(made):
            if "ReferencedSOPInstanceUID" in dataset and "ReferencedSOPClassUID" in dataset:
                assert known[dataset.ReferencedSOPInstanceUID][0] == dataset.ReferencedSOPClassUID
            for keyword in ("ReferencedSOPSequence", "ReferencedInstanceSequence", "ReferencedImageSequence"):
                if "SeriesInstanceUID" in dataset and keyword in dataset:
                    found = {known[item.ReferencedSOPInstanceUID][1] for item in dataset[keyword].value}
                    assert found == {dataset.SeriesInstanceUID}
        # Copies in the header: what the content names must stand among the evidence.
        evidence = {
            item.ReferencedSOPInstanceUID
            for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
            for study in made.get(name, ())
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        }
        if format_ in ("sr", "kos"):
            content = {
                item.ReferencedSOPInstanceUID for one in _content(made) for item in one.get("ReferencedSOPSequence", ())
            }
            assert content <= evidence


def _datasets(dataset: Dataset) -> Iterator[Dataset]:
    """A data set and all in its sequences."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _datasets(item)


def _content(dataset: Dataset) -> Iterator[Dataset]:
    """All content items."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _content(item)


def _truths(subject: Subject) -> dict[int, Array]:
    """(n, 3) mm of each segment's voxels, by its number."""
    if len(subject.lesions):
        return {1: subject.lesions, 2: subject.lungs}
    return {1: subject.lungs}


def _segments(made: Dataset) -> None:
    """What the segments are called and by which codes."""
    told = [
        (item.SegmentLabel, item.SegmentedPropertyTypeCodeSequence[0].CodeValue, item.SegmentNumber)
        for item in made.SegmentSequence
    ]
    expected = [("Infection", "233604007"), ("Lung with infection", "39607008")][-len(told) :]
    assert told == [(*one, number) for number, one in enumerate(expected, start=1)]
    for item in made.SegmentSequence:
        assert item.AnatomicRegionSequence[0].CodeValue == "39607008"
        assert "AnatomicRegionModifierSequence" not in item["AnatomicRegionSequence"].value[0]  # both lungs
        assert item.SegmentAlgorithmType == "AUTOMATIC"


def _seg_dcmtk(subject: Subject, _: str) -> None:
    """Every bit, frame by frame, against the source's pixels that the frame says it lies on."""
    (path,) = subject.files("seg")
    made = peers.by_dcmtk(path)
    _segments(made)
    (report,) = subject.files("sr")
    assert {one.TrackingUID for one in made.SegmentSequence} < {
        item.UID for item in items(pydicom.dcmread(report), "112040")
    }
    assert made.SegmentationType == "BINARY" and made.BitsAllocated == 1
    size = made.Rows * made.Columns
    bits = np.unpackbits(peers.binary(made, "PixelData", "u1"), bitorder="little")
    (shared,) = made.SharedFunctionalGroupsSequence
    (orientation,), (measures,) = shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    found = set()
    for at, frame in enumerate(made.PerFrameFunctionalGroupsSequence):
        plane, key = _plane_of(subject, frame)
        (told,) = (frame if "SegmentIdentificationSequence" in frame else shared).SegmentIdentificationSequence
        number = int(told.ReferencedSegmentNumber)
        label = made.SegmentSequence[number - 1].SegmentLabel
        mask = bits[at * size : (at + 1) * size].reshape(made.Rows, made.Columns)
        np.testing.assert_array_equal(mask, plane.lesion if label == "Infection" else plane.lung)
        assert (number, key) not in found
        found.add((number, key))
        _same_plane(frame, orientation, measures, plane)
    for number, label in enumerate((one.SegmentLabel for one in made.SegmentSequence), start=1):
        expected = {
            key for key, one in subject.planes.items() if (one.lesion if label == "Infection" else one.lung).any()
        }
        assert {key for one, key in found if one == number} == expected  # empty frames are left out


def _plane_of(subject: Subject, frame: Dataset) -> tuple[Plane, tuple[str, int]]:
    (derivation,) = frame.DerivationImageSequence
    (told,) = derivation.SourceImageSequence
    key = (str(told.ReferencedSOPInstanceUID), int(told.get("ReferencedFrameNumber", 1)))
    return subject.planes[key], key


def _same_plane(frame: Dataset, orientation: Dataset, measures: Dataset, plane: Plane) -> None:
    position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
    np.testing.assert_allclose(position, plane.position, atol=1e-3)
    cosines = np.array(orientation.ImageOrientationPatient, float)
    np.testing.assert_allclose(cosines, np.array(plane.header.ImageOrientationPatient, float), atol=1e-5)
    np.testing.assert_allclose(list(measures.PixelSpacing), [4.0, 4.0], atol=1e-6)
    assert float(measures.SliceThickness) == 4.0


def _seg_dcmqi(subject: Subject, _: str) -> None:
    with TemporaryDirectory() as folder:
        found = peers.segments_by_dcmqi(subject.files("seg")[0], Path(folder))
    truths = _truths(subject)
    assert found.keys() == truths.keys()
    for number, (image, values) in found.items():
        assert same_points(peers.points_of_image(image, values > 0), truths[number])


def _seg_simpleitk(subject: Subject, _: str) -> None:
    """It reads the frames one after the other and nothing of where they lie."""
    (path,) = subject.files("seg")
    made, (_, values) = pydicom.dcmread(path), peers.by_simpleitk(path)
    frames = made.PerFrameFunctionalGroupsSequence
    assert len(values) == len(frames)
    (shared,) = made.SharedFunctionalGroupsSequence
    for frame, mask in zip(frames, values, strict=True):
        plane, _ = _plane_of(subject, frame)
        (told,) = (frame if "SegmentIdentificationSequence" in frame else shared).SegmentIdentificationSequence
        lesion = made.SegmentSequence[told.ReferencedSegmentNumber - 1].SegmentLabel == "Infection"
        np.testing.assert_array_equal(mask > 0, plane.lesion if lesion else plane.lung)


def _seg_highdicom(subject: Subject, _: str) -> None:
    seg = highdicom.seg.segread(subject.files("seg")[0])
    for number, truth in _truths(subject).items():
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        assert same_points(volume.map_indices_to_reference(np.argwhere(volume.array == number)), truth)


def _values(made: Dataset) -> Array:
    """(F, Y, X) of a Parametric Map that dcmtk has read."""
    return peers.binary(made, "FloatPixelData", "<f4").reshape(int(made.NumberOfFrames), made.Rows, made.Columns)


def _truth_of_map(subject: Subject, path: Path) -> tuple[Array, float]:
    """(n, 3) mm where a map is not 0, and its value there; the toy model's heat is 1 on a lesion.

    Its evidence for the second class, which a lesion makes likeliest, is 0.5 on what is lung and no lesion.
    """
    if path.name != FORMATS["pm"].files[1]:
        return subject.lesions, 1.0
    pure = [plane.points(plane.lung & ~plane.lesion) for plane in subject.planes.values()]
    return np.concatenate(pure), 0.5


def _on_planes(points: Array, position: Array, cosines: Array) -> Array:
    """Those of the points that lie on a plane."""
    normal = np.cross(cosines[:3], cosines[3:])
    return points[np.abs((points - position) @ normal) < 0.05]


def _pm_dcmtk(subject: Subject, _: str) -> None:
    """Every value, at its place in the patient; what it is of; the slice that it says it is of."""
    for path in subject.files("pm"):
        made = peers.by_dcmtk(path)
        (shared,) = made.SharedFunctionalGroupsSequence
        (orientation,), (measures,) = shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
        (mapping,) = shared.RealWorldValueMappingSequence
        quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue
        assert quantity == ("130403" if path.name == FORMATS["pm"].files[1] else "130402")
        assert (mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.RealWorldValueSlope) == (0.0, 1.0)
        assert (mapping.DoubleFloatRealWorldValueLastValueMapped, mapping.RealWorldValueIntercept) == (1.0, 0.0)
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        (anatomy,) = shared.FrameAnatomySequence
        assert anatomy.FrameLaterality == "B"
        assert anatomy.AnatomicRegionSequence[0].CodeValue == "39607008"
        truth, value = _truth_of_map(subject, path)
        values = _values(made)
        cosines = np.array(orientation.ImageOrientationPatient, float)
        places = []
        for frame, one in zip(made.PerFrameFunctionalGroupsSequence, values, strict=True):
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            places.append(position @ np.cross(cosines[:3], cosines[3:]))
            plane = Dataset()
            plane.ImageOrientationPatient = list(cosines)
            plane.PixelSpacing = measures.PixelSpacing
            found = points_of(one > 0, position, plane)
            expected = _on_planes(truth, position, cosines)
            assert same_points(found, expected) if len(expected) else len(found) == 0
            assert np.all(np.abs(one[one > 0] - value) < 1e-6 + (1 / 510 if len(values) > 1 else 0))
            if subject.orientation != "sagittal":
                told, _ = _plane_of(subject, frame)
                _same_plane(frame, orientation, measures, told)
        assert np.all(np.diff(places) > 0)  # in the order that dcmqi takes them for


def _pm_dcmqi(subject: Subject, _: str) -> None:
    for path in subject.files("pm"):
        with TemporaryDirectory() as folder:
            image, values = peers.map_by_dcmqi(path, Path(folder))
        assert values.dtype == np.float32
        truth, value = _truth_of_map(subject, path)
        found = peers.points_of_image(image, values > 0)
        made = pydicom.dcmread(path)
        cosines = np.array(
            made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float
        )
        frames = made.PerFrameFunctionalGroupsSequence
        positions = [np.array(one.PlanePositionSequence[0].ImagePositionPatient, float) for one in frames]
        expected = np.concatenate([_on_planes(truth, at, cosines) for at in positions])
        assert same_points(found, expected) if len(expected) else len(found) == 0
        assert np.all(np.abs(values[values > 0] - value) < 1e-6 + (1 / 510 if len(frames) > 1 else 0))


def _sc_dcmtk(subject: Subject, _: str) -> None:
    """The heat of each picture lies on the lesion of the slice that it is of."""
    shown = []
    for path in subject.files("sc"):
        made = peers.by_dcmtk(path)
        picture = peers.binary(made, "PixelData", "u1").reshape(made.Rows, made.Columns, 3)
        assert (made.PhotometricInterpretation, made.PlanarConfiguration) == ("RGB", 0)
        shown.append(made.InstanceNumber)
        hot = _coloured(picture[:, : -secondary_capture.SCALE], path)
        _heat_in_place(subject, path, made, points_of(hot, np.array(made.ImagePositionPatient, float), made))
    count = len(shown) // len({path.name.split("capture")[0] for path in subject.files("sc")})
    assert sorted(set(shown)) == list(range(1, count + 1)) and shown.count(1) == len(shown) // count


def _sc_simpleitk(subject: Subject, _: str) -> None:
    for path in subject.files("sc"):
        image, values = peers.by_simpleitk(path)
        hot = _coloured(values[:, :, : -secondary_capture.SCALE], path)
        _heat_in_place(subject, path, pydicom.dcmread(path), peers.points_of_image(image, hot))


def _coloured(picture: Array, path: Path) -> Array:
    """Where a picture (..., 3) is coloured as heat from about a half on is, or as an outline; the highest is red."""
    coloured = picture.max(axis=-1).astype(int) - picture.min(axis=-1) > 40
    if not path.name.startswith(EVIDENCE):
        assert reds(picture).any() == coloured.any()
    return np.asarray(coloured)


def _heat_in_place(subject: Subject, path: Path, made: Dataset, found: Array) -> None:
    """Whether the coloured points of a picture are the lesion's, in their middle and their area.

    A picture of the evidence for the class has its colour on the lung around the lesion, and little elsewhere.
    """
    position, cosines = np.array(made.ImagePositionPatient, float), np.array(made.ImageOrientationPatient, float)
    of_class = path.name.startswith(EVIDENCE)
    if subject.orientation == "sagittal":  # the picture lies across the scan's slices
        expected = _on_planes(subject.lesions, position, cosines)
    else:
        (image,) = made.SourceImageSequence
        plane = subject.planes[str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))]
        lesion = plane.lesion
        expected = plane.points(plane.lung & ~lesion if of_class and lesion.any() else lesion)
    assert (len(found) > 0) == (len(expected) > 0)
    if len(expected):
        np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=1.0)
        area = len(found) * float(np.prod(np.array(made.PixelSpacing, float))) / 16.0
        assert abs(area / len(expected) - 1) < 0.05


def _gsps_dcmtk(subject: Subject, _: str) -> None:
    """The outlines, filled by another library, are the lesion of the slice that they are drawn on."""
    if subject.orientation == "sagittal" or not len(subject.lesions):
        assert subject.files("gsps") == []
        return
    drawn = {}
    for path in subject.files("gsps"):
        made = peers.by_dcmtk(path)
        assert "SoftcopyVOILUTSequence" not in made and made.PresentationCreationDate
        assert [layer.GraphicLayer for layer in made.GraphicLayerSequence] == list(
            dict.fromkeys(one.GraphicLayer for one in made.GraphicAnnotationSequence)
        )
        for annotation in made.GraphicAnnotationSequence:
            (image,) = annotation.ReferencedImageSequence
            key = str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))
            plane = subject.planes[key]
            lines = []
            for graphic in annotation.GraphicObjectSequence:
                assert (graphic.GraphicType, graphic.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
                lines.append(np.array(graphic.GraphicData, float).reshape(-1, 2))
                assert len(lines[-1]) == graphic.NumberOfGraphicPoints
                np.testing.assert_array_equal(lines[-1][0], lines[-1][-1])
            drawn[key] = filled(lines, plane.hu.shape)
        (area,) = made.DisplayedAreaSelectionSequence
        rows, columns = next(iter(subject.planes.values())).hu.shape
        assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
        assert list(area.DisplayedAreaBottomRightHandCorner) == [columns, rows]
    for key, mask in drawn.items():
        np.testing.assert_array_equal(mask, subject.planes[key].lesion)
    chosen = max(subject.planes, key=lambda key: int(subject.planes[key].lesion.sum()))
    assert chosen in drawn


def _numbers(subject: Subject) -> dict[str, dict[str, float]]:
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
    expected = _numbers(subject)
    assert found.keys() == expected.keys()
    for group, numbers in expected.items():
        assert found[group].keys() == numbers.keys()
        np.testing.assert_allclose(
            [found[group][name] for name in numbers], list(numbers.values()), rtol=1e-9, atol=1e-12
        )


UNITS = {"122157": "1", "118565006": "mL", "INFECTED_SHARE": "%"}


def _sr_dcmqi(subject: Subject, _: str) -> None:
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
        if "ReferencedSegment" in group and group["TrackingIdentifier"] != "triplenet scan":
            (seg,) = subject.files("seg")
            assert group["segmentationSOPInstanceUID"] == pydicom.dcmread(seg).SOPInstanceUID
    _same_numbers(found, subject)
    assert read["CompletionFlag"] == "COMPLETE" and read["VerificationFlag"] == "UNVERIFIED"


_NUMBER = re.compile(r'NUM:\(([^,]+),[^)]*\)="([^"]*)" \(([^,]+),')


def _sr_dsrdump(subject: Subject, _: str) -> None:
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


def _sr_content(subject: Subject, _: str) -> None:
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
        assert next(_headers(subject)).SeriesInstanceUID == next(items(group, "121232")).UID
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
            largest = max(subject.planes, key=lambda one: int(subject.planes[one].lesion.sum()))
            assert key == largest
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


def _sr_highdicom(subject: Subject, _: str) -> None:
    report = highdicom.sr.srread(subject.files("sr")[0])
    found = report.content.get_volumetric_roi_measurement_groups()
    expected = ["triplenet infection", "triplenet lung"] if len(subject.lesions) else ["triplenet lung"]
    assert [group.tracking_identifier for group in found] == expected
    assert len(report.content.get_planar_roi_measurement_groups()) == 0


def _kos_dcmtk(subject: Subject, _: str) -> None:
    """Every other object, and the slice that is shown."""
    (path,) = subject.files("kos")
    made = peers.by_dcmtk(path)
    assert made.ConceptNameCodeSequence[0].CodeValue == "113009"
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    named = [
        str(item.ReferencedSOPInstanceUID) for one in _content(made) for item in one.get("ReferencedSOPSequence", ())
    ]
    others = {str(pydicom.dcmread(one).SOPInstanceUID) for one in subject.files("dicom") if one != path}
    of_source = {uid for uid, _ in subject.planes}
    assert others <= set(named) and set(named) - others <= of_source
    assert len(named) == len(set(named))
    if subject.orientation != "sagittal":
        assert len(set(named) - others) == 1
    if len(subject.lesions) and subject.orientation not in ("sagittal", "enhanced", "nothing shared"):
        largest = max(subject.planes, key=lambda one: int(subject.planes[one].lesion.sum()))
        assert set(named) - others == {largest[0]}
    record = subject.result.record
    likeliest = max(one.probability for one in record.classes)
    (said,) = items(made, "113012")
    assert said.TextValue == f"{record.predicted} {likeliest:.2f} by {record.model.method}. Research use only."
    assert "For Research" in dumped(path)


def _nifti(points: Callable[[Path], tuple[Array, Array]]) -> Callable[[Subject, str], None]:
    """A judge of volumes by their points in the patient, LPS mm, and values."""

    def judge(subject: Subject, _: str) -> None:
        files = {path.name: path for path in subject.files("nifti")}
        evidence = subject.kind == "evidence for the class"
        expected_files = {"infection.nii.gz", "lung.nii.gz", "map.nii.gz"}
        assert files.keys() == expected_files | ({"class-evidence-map.nii.gz"} if evidence else set())
        for name, truth in (("infection", subject.lesions), ("lung", subject.lungs)):
            found, values = points(files[f"{name}.nii.gz"])
            assert same_points(found, truth) if len(truth) else len(found) == 0
            assert np.all(values == 1)
        found, values = points(files["map.nii.gz"])
        if len(subject.lesions):
            assert len(found) and np.all(values == 1)
            nearest = np.abs(subject.lesions[:, None] - found[None]).sum(axis=2).min(axis=0)
            assert nearest.max() < 0.05  # of lesions alone
            sizes = sorted(int(plane.lesion.sum()) for plane in subject.planes.values())
            if subject.orientation != "sagittal":
                assert len(found) == sizes[-1]  # the whole of the largest
        else:
            assert len(found) == 0

    return judge


def _by_simpleitk(path: Path) -> tuple[Array, Array]:
    image, values = peers.by_simpleitk(path)
    mask = values != 0
    return peers.points_of_image(image, mask), values[mask]


def _by_nibabel(path: Path) -> tuple[Array, Array]:
    image = nibabel.load(path)  # type: ignore[attr-defined]
    assert image.header["sform_code"] > 0 and image.header.get_xyzt_units()[0] == "mm"
    values = np.asarray(image.dataobj)
    points = nibabel.affines.apply_affine(image.affine, np.argwhere(values)) * [-1, -1, 1]
    return points, values[values != 0]


def _json(subject: Subject, _: str) -> None:
    """By its published schema, and every value the record's; its numbers are true of the source."""
    (path,) = subject.files("json")
    told = json.loads(path.read_text())
    jsonschema.validate(told, json.loads(published_schema()), cls=jsonschema.Draft202012Validator)
    assert told == json.loads(subject.result.record.model_dump_json())
    assert told["predicted"] == ("positive" if len(subject.lesions) else "negative")
    _numbers(subject)


def _csv(subject: Subject, _: str) -> None:
    """The numbers of the JSON."""
    (path,) = subject.files("csv")
    record = subject.result.record
    with path.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["predicted"] == record.predicted and int(row["slice"]) == record.slice.from_feet
    for one in record.classes:
        assert abs(float(row[f"p_{one.name}"]) - one.probability) < 1e-6
    both = record.measures.both
    for name, told in (("infected_ml", both.infection_ml), ("infected_share", both.infected_share)):
        found = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
        np.testing.assert_allclose(found, [told.estimate, told.low, told.high], atol=1e-6)


def _leaves(told: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a record by its path; lists of plain values as they are."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield from _leaves(value, f"{place}.{name}" if place else name)
    elif isinstance(told, list) and any(isinstance(one, (dict, list)) for one in told):
        for at, value in enumerate(told):
            yield from _leaves(value, f"{place}.{at}")
    else:
        yield place, told


def _html(subject: Subject, _: str) -> None:
    """Every entry of the record stands on the page, which loads nothing, and tells nobody's name."""
    (path,) = subject.files("html")
    page = peers.by_chromium(path)
    record = subject.result.record
    likeliest = max(one.probability for one in record.classes)
    assert page.headings == [f"{record.predicted} {likeliest:.2f}"]
    assert page.sections == ["answer", "maps", "numbers", "record"]
    assert all(one.startswith(("#", "data:image/")) for one in page.loaded)
    pictures = sum(one.startswith("data:") for one in page.loaded)
    assert pictures == 3 + (record.class_evidence is not None)  # the slice, its maps, their colours
    words = " ".join(page.words)
    assert words.count(record.intended_use) == 3  # at its head, at its foot, in the record
    assert all(words.count(one) == 2 for one in record.warnings)  # beside the answer, in the record
    name = str(pydicom.dcmread(subject.source[0]).get("PatientName", "")).split("^")[0]
    assert not name or name not in words
    shown = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert shown["Chosen by"] == record.slice.rule
    expected = dict(_leaves(json.loads(record.model_dump_json())))
    assert expected.keys() <= shown.keys()
    for place, value in expected.items():
        if isinstance(value, str):
            assert shown[place] == (value or "–")
        elif isinstance(value, list):
            assert shown[place] == ("; ".join(map(str, value)) or "–")
        else:
            assert shown[place] == json.dumps(value)


_REPORTS = ("sr", "kos")
JUDGES = {
    one.name: one
    for one in (
        Judge("dciodvfy", DICOM, _dciodvfy),
        Judge("dcentvfy, with the source", ("dicom",), _dcentvfy),
        Judge("the source's modules", DICOM, _modules),
        Judge("who made it", DICOM, _maker),
        Judge("references", DICOM, _references),
        Judge("dcmtk: every bit", ("seg",), _seg_dcmtk, NO_JAPANESE),
        Judge("dcmqi segimage2itkimage", ("seg",), _seg_dcmqi, RECTANGULAR),
        Judge("SimpleITK: frames", ("seg",), _seg_simpleitk, ONE_PLANE),
        Judge("highdicom: volume", ("seg",), _seg_highdicom, RECTANGULAR),
        Judge("dcmtk: values", ("pm",), _pm_dcmtk, NO_JAPANESE),
        Judge("dcmqi paramap2itkimage", ("pm",), _pm_dcmqi, {"every slice, tilted": SHEARED["tilted"]}),
        Judge("dcmtk: pixels", ("sc",), _sc_dcmtk, NO_JAPANESE),
        Judge("SimpleITK: pixels", ("sc",), _sc_simpleitk),
        Judge("dcmtk: outlines", ("gsps",), _gsps_dcmtk, NO_JAPANESE),
        Judge("dcmpschk", ("gsps", *_REPORTS), _dcmpschk, DCMPSCHK),
        Judge("dcmqi tid1500reader", ("sr",), _sr_dcmqi),
        Judge("dsrdump: numbers", ("sr",), _sr_dsrdump),
        Judge("dcmtk: content", ("sr",), _sr_content, NO_JAPANESE),
        Judge("highdicom: groups", ("sr",), _sr_highdicom),
        Judge("dcmtk: what is named", ("kos",), _kos_dcmtk, NO_JAPANESE),
        Judge("PixelMed DicomSRValidator", _REPORTS, _pixelmed),
        Judge("SimpleITK: voxels", ("nifti",), _nifti(_by_simpleitk), SHEARED),
        Judge("nibabel: voxels", ("nifti",), _nifti(_by_nibabel)),
        Judge("JSON Schema", ("json",), _json),
        Judge("the record", ("csv",), _csv),
        Judge("Chromium", ("html",), _html),
    )
}
