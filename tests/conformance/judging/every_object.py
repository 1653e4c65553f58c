"""Of every DICOM object: what validators say, whose it is, who made it, and what it refers to."""

from __future__ import annotations

from collections.abc import Iterator

import pydicom
from pydicom import Dataset

from conformance import peers
from conformance.subjects import Subject
from outputs.dicom_results import other_modules, plain
from triplenet import __version__
from triplenet.outputs.dicom_objects import uid

SOP_CLASSES = {
    "seg": pydicom.uid.SegmentationStorage,
    "pm": pydicom.uid.ParametricMapStorage,
    "sc": pydicom.uid.SecondaryCaptureImageStorage,
    "gsps": pydicom.uid.GrayscaleSoftcopyPresentationStateStorage,
    "sr": pydicom.uid.Comprehensive3DSRStorage,
    "kos": pydicom.uid.KeyObjectSelectionDocumentStorage,
}


def dciodvfy(subject: Subject, format_: str) -> None:
    for path in subject.files(format_):
        assert peers.dciodvfy(path) == []


def dcentvfy(subject: Subject, format_: str) -> None:
    assert peers.dcentvfy([*subject.source, *subject.files(format_)]) == []


def dcmpschk(subject: Subject, format_: str) -> None:
    for path in subject.files(format_):
        assert peers.dcmpschk(path) == []


def pixelmed(subject: Subject, format_: str) -> None:
    template = {"sr": "TID_1500 (MeasurementReport)", "kos": "TID_2010 (KeyObjectSelection)"}[format_]
    for path in subject.files(format_):
        assert peers.pixelmed(path, template) == []


def modules(subject: Subject, format_: str) -> None:
    """Patient, study, de-identification and trial are the source's, the body part is, and where it lies."""
    source = pydicom.dcmread(subject.source[0])
    for path in subject.files(format_):
        made = pydicom.dcmread(path)
        assert other_modules(source, made) == []
        assert made.BodyPartExamined == (source.get("BodyPartExamined") or "CHEST")
        if "FrameOfReferenceUID" in made:
            assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert ("FrameOfReferenceUID" in made) == (format_ in ("seg", "pm", "sc"))
        assert plain(made, "Laterality") in ("not there", plain(source, "Laterality"))


def maker(subject: Subject, format_: str) -> None:
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
        assert made.SeriesInstanceUID not in {one.SeriesInstanceUID for one in source_headers(subject)}
        if format_ == "sc":
            assert made.BurnedInAnnotation == "YES"


def source_headers(subject: Subject) -> Iterator[Dataset]:
    for path in subject.source:
        yield pydicom.dcmread(path, stop_before_pixels=True)


def references(subject: Subject, format_: str) -> None:
    """Whatever an object refers to is of the source or was written with it, under its class and in its series."""
    known = {}
    for one in (*source_headers(subject), *(pydicom.dcmread(path) for path in subject.files("dicom"))):
        known[one.SOPInstanceUID] = (one.SOPClassUID, one.SeriesInstanceUID)
    for path in subject.files(format_):
        made = pydicom.dcmread(path)
        referred = [element.value for element in made.iterall() if element.keyword == "ReferencedSOPInstanceUID"]
        assert referred and set(referred) <= known.keys(), "a reference to nothing"
        for dataset in _datasets(made):
            if "ReferencedSOPInstanceUID" in dataset and "ReferencedSOPClassUID" in dataset:
                assert known[dataset.ReferencedSOPInstanceUID][0] == dataset.ReferencedSOPClassUID
            for keyword in ("ReferencedSOPSequence", "ReferencedInstanceSequence", "ReferencedImageSequence"):
                if "SeriesInstanceUID" in dataset and keyword in dataset:
                    found = {known[item.ReferencedSOPInstanceUID][1] for item in dataset[keyword].value}
                    assert found == {dataset.SeriesInstanceUID}
        if format_ in ("sr", "kos"):  # what the content names stands among the evidence
            named = {
                item.ReferencedSOPInstanceUID
                for one in content_items(made)
                for item in one.get("ReferencedSOPSequence", ())
            }
            assert named <= set(_evidence(made))


def _evidence(made: Dataset) -> Iterator[str]:
    """What a document lists in its header."""
    for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in made.get(name, ()):
            for series in study.ReferencedSeriesSequence:
                yield from (item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence)


def _datasets(dataset: Dataset) -> Iterator[Dataset]:
    """A data set and all in its sequences."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _datasets(item)


def content_items(dataset: Dataset) -> Iterator[Dataset]:
    """All content items."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from content_items(item)
