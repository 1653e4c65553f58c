"""The Segmentation on the grid of its source, read back by readers that did not write it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from outputs.dicom_results import (
    FRAME_OF_REFERENCE,
    enhanced_source,
    errors_of,
    result_of,
    source,
    source_pixels,
    written,
)
from outputs.dicom_sources import COSINE, SOURCES, marked
from toy_model import MARKED_HU
from triplenet import scan
from triplenet.inference import Keep, Result
from triplenet.outputs import FORMATS, dicom_objects

SEG = FORMATS["seg"].files[0]


@dataclass(frozen=True)
class Case:
    """A source, what the toy model says of it, and the Segmentation of that."""

    name: str
    folder: Path
    paths: list[Path]
    result: Result
    seg: pydicom.Dataset


@pytest.fixture(scope="module", params=SOURCES)
def case(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    write_source, options = SOURCES[request.param]
    slices = (0, 2, 5)
    paths = write_source(folder / "scan", marked(*slices))
    result = result_of(folder / "scan", **{"any_body_part": True, **options})
    return Case(request.param, folder, paths, result, written(result, folder / "out", "seg")["seg"])


def frames_of(seg, number):
    """(UID, number of the frame, position, mask) of each frame of a segment."""
    pixels = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    size = seg.Rows * seg.Columns
    for k, frame in enumerate(seg.PerFrameFunctionalGroupsSequence):
        shared = seg.SharedFunctionalGroupsSequence[0]
        segment = (frame if "SegmentIdentificationSequence" in frame else shared).SegmentIdentificationSequence[0]
        if segment.ReferencedSegmentNumber == number:
            (derivation,) = frame.DerivationImageSequence
            (told,) = derivation.SourceImageSequence
            mask = pixels[k * size : (k + 1) * size].reshape(seg.Rows, seg.Columns)
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            yield told.ReferencedSOPInstanceUID, int(told.get("ReferencedFrameNumber", 1)), position, mask


def test_each_frame_is_what_the_source_shows_on_the_slice_that_it_refers_to(case):
    shown = {(uid, number): (place, hu) for uid, number, place, _, hu in source_pixels(case.paths)}
    infected = {key for key, (_, hu) in shown.items() if (hu == MARKED_HU).any()}
    found = {(uid, number): (place, mask) for uid, number, place, mask in frames_of(case.seg, 1)}
    assert set(found) == infected  # empty frames are left out
    for key, (place, mask) in found.items():
        np.testing.assert_array_equal(mask, shown[key][1] == MARKED_HU)
        np.testing.assert_array_equal(place, shown[key][0])


def test_the_segments_volumes_are_those_of_the_record(case):
    _, row_mm, column_mm = case.result.record.scan.spacing_mm
    ml = case.result.record.scan.spacing_mm[0] * row_mm * column_mm / 1000
    both = case.result.record.measures.both
    for number, estimate in ((1, both.infection_ml), (2, both.lung_ml)):
        voxels = sum(int(mask.sum()) for *_, mask in frames_of(case.seg, number))
        assert estimate.low == estimate.high == estimate.estimate  # every slice was looked at
        if case.name != "uneven":
            assert voxels * ml == pytest.approx(estimate.estimate, abs=0.06)


def test_infection_is_part_of_the_lung(case):
    lungs = {(uid, number): mask for uid, number, _, mask in frames_of(case.seg, 2)}
    for uid, number, _, mask in frames_of(case.seg, 1):
        assert (lungs[uid, number][mask > 0] == 1).all()
    assert case.seg.SegmentsOverlap == "YES"


def test_the_grid_is_the_sources(case):
    shared = case.seg.SharedFunctionalGroupsSequence[0]
    (_, _, _, plane, _), *_ = source_pixels(case.paths)
    (orientation,), (measures,) = shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    np.testing.assert_allclose(orientation.ImageOrientationPatient, plane.ImageOrientationPatient, atol=1e-5)
    assert list(measures.PixelSpacing) == [4.0, 4.0] and float(measures.SliceThickness) == 4.0
    if case.name == "uneven":
        assert "SpacingBetweenSlices" not in measures
    else:
        expected = 4.0 * COSINE if case.name == "tilted" else 4.0
        assert float(measures.SpacingBetweenSlices) == pytest.approx(expected, abs=1e-5)
    assert case.seg.FrameOfReferenceUID == FRAME_OF_REFERENCE


def test_all_instances_of_the_source_are_referred_to(case):
    (series,) = case.seg.ReferencedSeriesSequence
    told = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert told == {uid for uid, *_ in source_pixels(case.paths)}


def test_triplenet_reads_its_own_segmentation(case):
    if case.name in ("uneven", "one slice"):
        pytest.skip("a mask of fewer slices than the scan has")
    mask = scan.open_mask(case.folder / "out" / SEG, like=case.result.own_geometry, column="infection")
    assert int((mask.labels > 0).sum()) == sum(int(one.sum()) for *_, one in frames_of(case.seg, 1))


def segmented(folder, hu, **options):
    source(folder / "scan", hu, **{name: options.pop(name) for name in list(options) if name[0].isupper()})
    result = result_of(folder / "scan", any_body_part=True, **options)
    return result, written(result, folder / "out", "seg").get("seg")


def labels(seg):
    return [item.SegmentLabel for item in seg.SegmentSequence]


@pytest.mark.parametrize(("slices", "first", "last"), [((0,), True, False), ((5,), False, True)])
def test_a_finding_on_the_first_or_the_last_slice_is_there(tmp_path, slices, first, last):
    _, seg = segmented(tmp_path, marked(*slices))
    heights = [place[2] for _, _, place, _ in frames_of(seg, 1)]
    assert heights == [-300.25 if first else -280.25]


def test_a_scan_without_a_finding_has_its_lung_alone(tmp_path):
    result, seg = segmented(tmp_path, marked())
    assert labels(seg) == ["Lung with infection"] and result.record.measures.both.infection_ml.estimate == 0
    assert sum(1 for _ in frames_of(seg, 1)) == 6
    assert errors_of("dciodvfy", tmp_path / "out" / SEG, options=["-new"]) == []


def test_there_is_no_segmentation_where_nothing_is_found(tmp_path):
    _, infected = mask_input(tmp_path)
    _, seg = segmented(tmp_path, marked(), infection=np.zeros_like(infected))
    assert seg is None and list((tmp_path / "out").iterdir()) == []


def mask_input(folder):
    hu = marked(1)
    return hu, (hu == MARKED_HU).astype(np.uint8)


def test_what_a_reader_drew_is_called_manual(tmp_path):
    hu, infected = mask_input(tmp_path)
    _, seg = segmented(tmp_path, hu, infection=infected)
    (segment,) = seg.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("Infection", "MANUAL")
    assert "SegmentationAlgorithmIdentificationSequence" not in segment
    ((_, _, _, mask),) = frames_of(seg, 1)
    np.testing.assert_array_equal(mask, infected[1])
    assert errors_of("dciodvfy", tmp_path / "out" / SEG, options=["-new"]) == []


def test_the_segments_are_coded_and_tracked(case):
    infection, lung = case.seg.SegmentSequence
    for segment, category, kind in (
        (infection, "49755003", "233604007"),
        (lung, "91723000", "39607008"),
    ):
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == category
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == kind
        assert segment.AnatomicRegionSequence[0].CodeValue == "39607008"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (told,) = segment.SegmentationAlgorithmIdentificationSequence
        assert told.AlgorithmName == "triplenet triple" and told.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    for name, segment in (("infection", infection), ("lung", lung)):
        assert (segment.TrackingID, segment.TrackingUID) == dicom_objects.tracking(case.result, name)
    assert infection.TrackingUID != lung.TrackingUID


def test_the_whole_series_is_looked_at_only_where_a_segmentation_is_wanted(tmp_path):
    source(tmp_path / "scan", marked(1, depth=30))
    for keep, exhaustive in ((Keep(), False), (Keep(segments=True), True)):
        result = result_of(tmp_path / "scan", keep=keep, smallest_lesion_mm=40)
        assert result.record.search.exhaustive is exhaustive
        assert (result.record.search.evaluations == 30) is exhaustive
        assert (result.segments is None) is not exhaustive


def test_a_slice_that_is_given_has_the_whole_scan_segmented_too(tmp_path):
    result, seg = segmented(tmp_path, marked(1, 4), slice_from_feet=3)
    assert result.record.slice.from_feet == 3 and result.record.search is None
    assert sum(1 for _ in frames_of(seg, 1)) == 2
    assert result.record.measures.slices == 6


def test_two_time_points_of_an_enhanced_object_are_told_apart(tmp_path):
    hu = marked(0, 2, 5)
    twice = np.concatenate([marked(1), hu])
    enhanced_source(tmp_path / "scan", hu)
    path = tmp_path / "scan" / "enhanced.dcm"
    one = pydicom.dcmread(path)
    frames = [*map(deepcopy, one.PerFrameFunctionalGroupsSequence), *one.PerFrameFunctionalGroupsSequence]
    for number, frame in enumerate(frames):
        content = pydicom.Dataset()
        content.TemporalPositionIndex = 1 + number // 6
        content.FrameAcquisitionNumber = 1 + number // 6
        frame.FrameContentSequence = [content]
    one.PerFrameFunctionalGroupsSequence, one.NumberOfFrames = frames, 12
    one.PixelData = (twice.astype(int) + 1024).astype("<u2").tobytes()
    one.save_as(path)
    key = next(one.key for one in scan.survey(path).candidates if one.key.endswith("2"))
    result = result_of(path, series=key)
    seg = written(result, tmp_path / "out", "seg")["seg"]
    assert sorted(number for _, number, _, _ in frames_of(seg, 1)) == [7, 9, 12]
