"""DICOM Segmentations written by highdicom come out as masks on the grid of their scan."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian

from scan.dicom_builder import body, write_series
from triplenet import scan
from triplenet.errors import BadMask, MaskMismatch, TooLarge, UnreadableFile

hd = pytest.importorskip("highdicom", reason="highdicom writes the segmentations")

HU = body(6, 24, 20)


def labels(depth: int = 6) -> scan.MaskArray:
    """Lung and infection without symmetry; slices 0, 3 and 5 are empty."""
    mask = np.zeros((depth, 24, 20), np.uint8)
    for z in (1, 2, 4):
        mask[z, 3 + z : 18, 2:9] = 1
        mask[z, 6 + z : 11, 4:8] = 2
    return mask


def segment(
    path: Path,
    folder: Path,
    mask: scan.MaskArray,
    *,
    kind: str = "BINARY",
    names: Any = ("Lung", "Infection"),
    coded: bool = True,
) -> Path:
    """A segmentation of the series in a folder, slices in the order of their positions along the normal.

    :param coded: every segment has the codes of a lesion; else those of tissue, as Slicer writes them by itself
    """
    series = scan.open(folder, allow_gaps=True)
    sources = [dcmread(frame.file.path) for frame in series.frames]  # type: ignore[attr-defined]
    for source in sources:
        source.StudyDate = source.StudyTime = source.StudyID = source.PatientBirthDate = source.PatientSex = ""
        source.AccessionNumber = source.ReferringPhysicianName = ""
        source.FrameOfReferenceUID = "1.2.3.9"
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=n,
            segment_label=name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure if coded else codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Lesion if coded else codes.SCT.Tissue,
            algorithm_type="MANUAL",
        )
        for n, name in enumerate(names, start=1)
    ]
    pixels: Any = mask
    if kind == "FRACTIONAL":
        pixels = np.stack([np.where(mask == n, 0.7, np.where(mask == 0, 0.2, 0.0)) for n in (1, 2)], axis=-1)
    made = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid="1.2.3.10",
        series_number=9,
        sop_instance_uid="1.2.3.11",
        instance_number=1,
        manufacturer="tests",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_segments_named_lung_and_infection_become_1_and_2(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels(), kind=kind)
    like = scan.open(tmp_path / "ct").geometry
    mask, geometry = scan.read_mask(path, like)
    assert geometry.same_grid(like)
    assert np.array_equal(mask, labels())


@pytest.mark.parametrize("names", [("Lung", "Infection"), ("Infection", "Lung")])
def test_infection_lies_over_the_lung_that_holds_it_whichever_is_written_first(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    write_series(tmp_path / "ct", HU)
    whole = {"Lung": labels() > 0, "Infection": labels() == 2}
    both = np.stack([whole[name] for name in names], axis=-1).astype(np.uint8)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", both, names=names)
    assert np.array_equal(scan.read_mask(path, scan.open(tmp_path / "ct").geometry)[0], labels())


@pytest.mark.parametrize("axes", [((-1, 0, 0), (0, -1, 0)), ((-1, 0, 0), (0, 1, 0)), ((0, 1, 0), (1, 0, 0))])
def test_the_mask_follows_the_scan_into_canonical_orientation(tmp_path: Path, axes: Any) -> None:
    write_series(tmp_path / "ct", HU, across=axes[0], down=axes[1])
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    canonical, how = scan.open(tmp_path / "ct").canonical()
    mask, geometry = scan.read_mask(path, canonical.geometry)
    assert geometry.same_grid(canonical.geometry)
    assert np.array_equal(how.undo(mask), labels())


def test_one_segmented_slice_stays_one_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, thickness=7.0)  # overlapping slices: thicker than they are apart
    only = np.where(np.arange(6)[:, None, None] == 4, labels(), 0).astype(np.uint8)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", only)
    mask, _ = scan.read_mask(path, scan.open(tmp_path / "ct").geometry)
    assert np.array_equal(mask, only)
    alone, geometry = scan.read_mask(path)
    assert alone.shape == (1, 24, 20)
    assert geometry.world((0, 0, 0)) == pytest.approx((-14.0, -12.5, 108.0))


def test_other_segments_keep_their_numbers(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels(), names=("Heart", "Infection"))
    mask, _ = scan.read_mask(path, scan.open(tmp_path / "ct").geometry)
    assert np.array_equal(mask, labels())
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", (labels() > 0).astype(np.uint8), names=("Consolidation",))
    mask, _ = scan.read_mask(path, scan.open(tmp_path / "ct").geometry)
    assert np.array_equal(mask, (labels() > 0) * 2)


def test_a_ct_slice_is_no_mask(tmp_path: Path) -> None:
    paths = write_series(tmp_path, HU)
    with pytest.raises(BadMask, match="no segmentation"):
        scan.read_mask(paths[0])


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.99])
def test_a_truncated_segmentation_is_refused(tmp_path: Path, keep: float) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises((UnreadableFile, BadMask)):
        scan.read_mask(path)


def test_a_segmentation_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    with pytest.raises(TooLarge):
        scan.read_mask(path, limits=scan.Limits(voxels=1000))


def test_of_a_segmentation_with_lung_and_infection_only_the_infection_is_infection(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    like = scan.open(tmp_path / "ct").geometry
    mask = scan.open_mask(path, like=like, column="infection").labels
    assert np.array_equal(mask > 0, labels() == 2)


@pytest.mark.parametrize("name", ["Infection", "Finding 1"])
def test_any_other_segment_given_as_infection_is_infection(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", (labels() > 0).astype(np.uint8), names=(name,))
    like = scan.open(tmp_path / "ct").geometry
    mask = scan.open_mask(path, like=like, column="infection").labels
    assert np.array_equal(mask > 0, labels() > 0)


def test_a_fractional_segment_counts_from_exactly_one_half_on(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels(), kind="FRACTIONAL")
    dataset = dcmread(path)
    values = np.frombuffer(dataset.PixelData, np.uint8).copy()
    dataset.MaximumFractionalValue = 200
    values[values > 150] = 100  # what was 0.7 is now exactly one half
    dataset.PixelData = values.tobytes()
    dataset.save_as(path)
    found = scan.open_mask(path, scan.open(tmp_path / "ct").geometry, column="infection")
    assert np.array_equal(found.labels > 0, labels() == 2)
    assert any("fractional segmentation (probability)" in note for note in found.notes)


def test_another_patients_segmentation_is_refused_another_frame_of_reference_noted(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, PatientID="A", FrameOfReferenceUID="1.2.3.9")
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    like = scan.open(tmp_path / "ct").geometry
    assert scan.open_mask(path, like).notes == ()
    dataset = dcmread(path)
    dataset.FrameOfReferenceUID = "1.2.3.10"
    dataset.save_as(tmp_path / "other.dcm")
    assert any("frame of reference" in note for note in scan.open_mask(tmp_path / "other.dcm", like).notes)
    dataset.PatientID = "B"
    dataset.save_as(tmp_path / "other.dcm")
    with pytest.raises(MaskMismatch, match="another patient"):
        scan.open_mask(tmp_path / "other.dcm", like)


@pytest.mark.parametrize("shape", ["folder", "study", "bare", "seg.zip"])
def test_a_segmentation_may_be_a_folder_a_zip_or_lack_its_preamble(tmp_path: Path, shape: str) -> None:
    paths = write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1-1.dcm").write_bytes(path.read_bytes())
    (tmp_path / "study").mkdir()
    for source in (path, paths[0], paths[1]):
        (tmp_path / "study" / source.name).write_bytes(source.read_bytes())
    with zipfile.ZipFile(tmp_path / "seg.zip", "w") as archive:
        archive.write(path, "SEG_1/1-1.dcm")
    (tmp_path / "bare").write_bytes(path.read_bytes()[132:])
    found = scan.read_mask(tmp_path / shape, scan.open(tmp_path / "ct").geometry)[0]
    assert np.array_equal(found, labels())
    with pytest.raises(BadMask, match="6 DICOM files"):
        scan.read_mask(tmp_path / "ct")
    (tmp_path / "folder" / "1-2.dcm").write_bytes(path.read_bytes())
    with pytest.raises(BadMask, match="2 segmentations"):
        scan.read_mask(tmp_path / "folder")


@pytest.mark.parametrize("inside", ["file", "folder"])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_a_deflated_segmentation_is_inflated_once_and_within_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, inside: str
) -> None:
    write_series(tmp_path / "ct", HU)
    plain = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels(), kind=kind)
    (tmp_path / "only").mkdir()
    path = tmp_path / "only" / "deflated.dcm"
    dataset = dcmread(plain)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    engine, made = zlib.decompressobj, []
    monkeypatch.setattr(zlib, "decompressobj", lambda *how: made.append(how) or engine(*how))
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("inflated without a limit"))
    like = scan.open(tmp_path / "ct").geometry
    mask, _ = scan.read_mask(path.parent if inside == "folder" else path, like)
    assert np.array_equal(mask, labels())
    assert len(made) == 1
    with pytest.raises(TooLarge):
        scan.read_mask(path, like, limits=scan.Limits(unpacked_bytes=1000, archive_ratio=1))


def test_what_a_column_means_must_be_there(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    like = scan.open(tmp_path / "ct").geometry
    one = (labels() > 0).astype(np.uint8)
    path = segment(tmp_path / "lung.dcm", tmp_path / "ct", one, names=("Lung",))
    with pytest.raises(BadMask, match="holds no infection"):
        scan.open_mask(path, like, column="infection")
    path = segment(tmp_path / "two.dcm", tmp_path / "ct", labels(), names=("Lung", "Infection"))
    assert scan.open_mask(path, like, column="infection").notes == (
        "infection is segment 2 'Infection', without 1 'Lung'",
    )


def test_frames_lie_on_rounded_slices_and_beside_missing_ones(tmp_path: Path) -> None:
    """0.625 mm slices with positions of one decimal, and a series that lacks a slice: each frame on its slice."""
    for name, positions in (
        ("rounded", [f"{k * 0.625:.1f}" for k in range(6)]),
        ("gap", ["0", "2.5", "7.5", "10", "12.5", "15"]),
    ):
        paths = write_series(tmp_path / name, HU)
        for path, z in zip(paths, positions, strict=True):
            dataset = dcmread(path)
            dataset.ImagePositionPatient = [-14, -12.5, z]
            dataset.save_as(path)
        like = scan.open(tmp_path / name, allow_gaps=True).geometry
        for keep in ([1, 2, 4], [4], [2]):
            mask = labels() * np.isin(np.arange(6), keep)[:, None, None].astype(np.uint8)
            mask[keep, 0, 0] = 1  # no frame is empty
            mask[keep, 0, 1] = 2
            path = segment(tmp_path / "seg.dcm", tmp_path / name, mask)
            assert np.array_equal(scan.read_mask(path, like)[0], mask)


@pytest.mark.parametrize(
    ("heights", "aside", "slices", "off"),
    [
        (["0.0", "0.6", "1.2", "1.9", "2.5", "3.1"], 0, [0, 1, 2, 3, 4, 5], "0.06"),  # 0.04 mm of 0.62
        ([0, 2, 4, 6, 10, 12], 0, [0, 1, 2, 3, 5, 6], None),  # a slice without a frame
        ([0, 2, 4.5, 6.5, 8.5, 10.5], 0, [0, 1, 2, 3, 4, 5], "0.14"),  # 0.3 mm of 2.1
        ([0, 2, 4, 6, 8, 10], 0.28, [0, 1, 2, 3, 4, 5], "0.40"),  # of a column of 0.7 mm
        ([0, 2, 4, 6, 8, 10], 0.42, None, None),
    ],
)
def test_frames_without_a_scan_lie_on_the_nearest_slice_of_an_even_grid(
    tmp_path: Path, heights: list[Any], aside: float, slices: list[int] | None, off: str | None
) -> None:
    write_series(tmp_path / "ct", HU)
    full = labels()
    full[:, 0, :2] = 1, 2  # no frame is empty
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", full)
    dataset = dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        plane = group.PlanePositionSequence[0]
        at = round((float(plane.ImagePositionPatient[2]) - 100) / 2)
        plane.ImagePositionPatient = [-14 + aside * (at == 5), -12.5, heights[at]]
    dataset.save_as(path)
    if slices is None:
        with pytest.raises(BadMask, match="not evenly stacked"):
            scan.open_mask(path)
        return
    found = scan.open_mask(path)
    assert np.array_equal(found.labels[slices], full)
    assert np.count_nonzero(found.labels) == np.count_nonzero(full)
    assert found.notes == (() if off is None else (f"its frames lie up to {off} of a voxel off an even grid",))


def test_frames_closer_than_the_slices_of_the_scan_are_not_put_on_one_another(tmp_path: Path) -> None:
    """A segmentation of slices 0.8 mm apart, turned out of the scan's planes: its steps are the scan's 2 mm."""
    write_series(tmp_path / "fine", HU, gap_mm=0.8)
    write_series(tmp_path / "ct", HU, spacing=(0.9, 0.9))
    path = segment(tmp_path / "seg.dcm", tmp_path / "fine", np.maximum(labels(), 1))
    with pytest.raises(BadMask, match="not evenly stacked"):
        scan.open_mask(path, scan.open(tmp_path / "ct").geometry)


def test_masks_are_compared_with_their_scan_without_a_trace_of_whose_it_is(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, PatientID="SECRET", StudyInstanceUID="1.2.3.77", FrameOfReferenceUID="1.2.3.9")
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    like = scan.open(tmp_path / "ct").geometry
    assert like.origin is not None and "SECRET" not in repr(like.origin)
    assert like.origin.patient not in repr(like)
    dataset = dcmread(path)
    dataset.StudyInstanceUID = "1.2.3.78"
    dataset.save_as(path)
    assert scan.open_mask(path, like).notes == ("drawn in another study than the scan's",)
    dataset.PatientID = "OTHER"
    dataset.save_as(path)
    with pytest.raises(MaskMismatch) as caught:
        scan.open_mask(path, like)
    assert "SECRET" not in str(caught.value) and "OTHER" not in str(caught.value)
