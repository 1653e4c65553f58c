"""DICOM Segmentations written by highdicom come out as masks on the grid of their scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from scan.dicom_builder import body, write_series
from triplenet import scan
from triplenet.errors import BadMask, MaskMismatch, TooLarge, UnreadableFile
from triplenet.scan.segment_meaning import segments_of

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
    path: Path, folder: Path, mask: scan.MaskArray, *, kind: str = "BINARY", names: Any = ("Lung", "Infection")
) -> Path:
    """A segmentation of the series in a folder, slices in the order of their positions along the normal."""
    series = scan.open(folder)
    sources = [dcmread(frame.file.path) for frame in series.frames]  # type: ignore[attr-defined]
    for source in sources:
        source.StudyDate = source.StudyTime = source.StudyID = source.PatientBirthDate = source.PatientSex = ""
        source.AccessionNumber = source.ReferringPhysicianName = ""
        source.FrameOfReferenceUID = "1.2.3.9"
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=n,
            segment_label=name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
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


@pytest.mark.parametrize("shape", ["folder", "bare"])
def test_a_segmentation_may_be_a_folder_or_lack_its_preamble(tmp_path: Path, shape: str) -> None:
    write_series(tmp_path / "ct", HU)
    path = segment(tmp_path / "seg.dcm", tmp_path / "ct", labels())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1-1.dcm").write_bytes(path.read_bytes())
    (tmp_path / "bare").write_bytes(path.read_bytes()[132:])
    found = scan.read_mask(tmp_path / shape, scan.open(tmp_path / "ct").geometry)[0]
    assert np.array_equal(found, labels())
    with pytest.raises(BadMask, match="6 DICOM files"):
        scan.read_mask(tmp_path / "ct")


def _item(label: str, category: str = "", kind: str = "") -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = 1, label
    for keyword, value in (
        ("SegmentedPropertyCategoryCodeSequence", category),
        ("SegmentedPropertyTypeCodeSequence", kind),
    ):
        if value:
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", ""
            setattr(item, keyword, [code])
    return item


@pytest.mark.parametrize(
    ("label", "category", "kind", "meant"),
    [
        ("Poumon", "91723000", "39607008", "lung"),
        ("RUL", "", "", "lung"),
        ("x", "", "T-28000", "lung"),  # SRT, as older files have it
        ("Linke Lunge", "", "", "lung"),
        ("Segment_1", "49755003", "52988006", "infection"),
        ("Segment_1", "", "", "unknown"),
        ("Pulmonary infiltrate", "", "", "infection"),
        ("Verre dépoli", "", "", "infection"),
        ("Milchglas links", "", "", "infection"),
        ("матовое стекло", "", "", "infection"),
        ("Lung nodule", "", "", "other"),
        ("Lung nodule", "49755003", "52988006", "infection"),
        ("Heart", "91723000", "80891009", "other"),
        ("Pleural effusion", "49755003", "60046008", "other"),
        ("background", "", "", "other"),
        ("crib", "", "", "unknown"),  # no rib
    ],
)
def test_codes_say_first_what_a_segment_is_then_names(label: str, category: str, kind: str, meant: str) -> None:
    dataset = Dataset()
    dataset.SegmentSequence = [_item(label, category, kind)]
    assert segments_of(dataset)[0].kind == meant


def test_a_site_adds_its_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset()
    dataset.SegmentSequence = [_item("Schmutzfleck")]
    assert segments_of(dataset)[0].kind == "unknown"
    (tmp_path / "names.toml").write_text('infection = ["schmutz"]')
    monkeypatch.setenv("TRIPLENET_SEGMENTS", str(tmp_path / "names.toml"))
    assert segments_of(dataset)[0].kind == "infection"
    (tmp_path / "bad.toml").write_text("infection = 3")
    monkeypatch.setenv("TRIPLENET_SEGMENTS", str(tmp_path / "bad.toml"))
    with pytest.raises(BadMask, match="lists of texts"):
        segments_of(dataset)


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
