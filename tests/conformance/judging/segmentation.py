"""The Segmentation: every bit at its place, under the right name."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom
import numpy as np
import pydicom
from pydicom import Dataset

from conformance import peers
from conformance.subjects import Plane, Subject
from outputs.dicom_results import Array, same_points
from outputs.report_readers import items


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


def seg_dcmtk(subject: Subject, _: str) -> None:
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
        plane, key = plane_of(subject, frame)
        (told,) = (frame if "SegmentIdentificationSequence" in frame else shared).SegmentIdentificationSequence
        number = int(told.ReferencedSegmentNumber)
        label = made.SegmentSequence[number - 1].SegmentLabel
        mask = bits[at * size : (at + 1) * size].reshape(made.Rows, made.Columns)
        np.testing.assert_array_equal(mask, plane.lesion if label == "Infection" else plane.lung)
        assert (number, key) not in found
        found.add((number, key))
        same_plane(frame, orientation, measures, plane)
    for number, label in enumerate((one.SegmentLabel for one in made.SegmentSequence), start=1):
        expected = {
            key for key, one in subject.planes.items() if (one.lesion if label == "Infection" else one.lung).any()
        }
        assert {key for one, key in found if one == number} == expected  # empty frames are left out


def plane_of(subject: Subject, frame: Dataset) -> tuple[Plane, tuple[str, int]]:
    (derivation,) = frame.DerivationImageSequence
    (told,) = derivation.SourceImageSequence
    key = (str(told.ReferencedSOPInstanceUID), int(told.get("ReferencedFrameNumber", 1)))
    return subject.planes[key], key


def same_plane(frame: Dataset, orientation: Dataset, measures: Dataset, plane: Plane) -> None:
    position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
    np.testing.assert_allclose(position, plane.position, atol=1e-3)
    cosines = np.array(orientation.ImageOrientationPatient, float)
    np.testing.assert_allclose(cosines, np.array(plane.header.ImageOrientationPatient, float), atol=1e-5)
    np.testing.assert_allclose(list(measures.PixelSpacing), [4.0, 4.0], atol=1e-6)
    assert float(measures.SliceThickness) == 4.0


def seg_dcmqi(subject: Subject, _: str) -> None:
    with TemporaryDirectory() as folder:
        found = peers.segments_by_dcmqi(subject.files("seg")[0], Path(folder))
    truths = _truths(subject)
    assert found.keys() == truths.keys()
    for number, (image, values) in found.items():
        assert same_points(peers.points_of_image(image, values > 0), truths[number])


def seg_simpleitk(subject: Subject, _: str) -> None:
    """It reads the frames one after the other and nothing of where they lie."""
    (path,) = subject.files("seg")
    made, (_, values) = pydicom.dcmread(path), peers.by_simpleitk(path)
    frames = made.PerFrameFunctionalGroupsSequence
    assert len(values) == len(frames)
    (shared,) = made.SharedFunctionalGroupsSequence
    for frame, mask in zip(frames, values, strict=True):
        plane, _ = plane_of(subject, frame)
        (told,) = (frame if "SegmentIdentificationSequence" in frame else shared).SegmentIdentificationSequence
        lesion = made.SegmentSequence[told.ReferencedSegmentNumber - 1].SegmentLabel == "Infection"
        np.testing.assert_array_equal(mask > 0, plane.lesion if lesion else plane.lung)


def seg_highdicom(subject: Subject, _: str) -> None:
    seg = highdicom.seg.segread(subject.files("seg")[0])
    for number, truth in _truths(subject).items():
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        assert same_points(volume.map_indices_to_reference(np.argwhere(volume.array == number)), truth)
