"""DICOM values: every way a CT stores its HU comes out as the same HU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from scan.dicom_builder import Array, body, enhanced_dataset, save, slice_dataset, stored_values, write_series
from triplenet import scan
from triplenet.errors import NoCtSeries, NotHu, TooLarge, UnreadableFile
from triplenet.scan import AIR, Limits, survey

HU = body()


def notes(series: scan.Series | scan.Scan) -> str:
    return "; ".join(series.source.notes)


@pytest.mark.parametrize(
    "options",
    [
        {"intercept": -1024.0},
        {"intercept": -1024.0, "bits": (16, 12)},
        {"intercept": -1000.0, "signed": True},
        {"intercept": 0.0, "signed": True},
        {"intercept": -1024.0, "signed": True, "bits": (16, 12)},
        {"intercept": -8192.0},
        {"intercept": -1024.0, "bits": (32, 32)},
    ],
)
def test_signed_unsigned_12_16_and_32_bit(tmp_path: Path, options: dict[str, Any]) -> None:
    write_series(tmp_path, HU, **options)
    expected = np.maximum(HU, -1000) if options["intercept"] == -1000.0 else HU
    found = scan.read(tmp_path)
    assert found.hu.dtype == np.int16
    assert np.array_equal(np.maximum(found.hu, expected.min()), expected)


def test_every_slice_has_its_own_slope_and_intercept(tmp_path: Path) -> None:
    for k, values in enumerate(HU):
        slope, intercept = 0.5 + 0.25 * k, -1024.0 - 3 * k
        stored = stored_values(values, slope, intercept)
        save(slice_dataset(stored, (0, 0, 2.0 * k), slope=slope, intercept=intercept), tmp_path / f"{k}.dcm")
    for k, found in enumerate(scan.read(tmp_path).hu):
        slope = 0.5 + 0.25 * k
        assert np.abs(found.astype(int) - HU[k]).max() <= np.ceil(slope / 2)


def test_bits_above_the_stored_ones_are_not_values(tmp_path: Path) -> None:
    """Old files keep an overlay in the upper four bits."""
    for signed, intercept in ((False, -1024.0), (True, 0.0)):
        folder = tmp_path / str(signed)
        for k, values in enumerate(HU):
            stored = (values - int(intercept)).astype(np.int64) & 0x0FFF
            overlay = (np.arange(stored.size).reshape(stored.shape) % 16) << 12
            dataset = slice_dataset(stored | overlay, (0, 0, 2.0 * k), bits=(16, 12), signed=False, intercept=intercept)
            dataset.PixelRepresentation = int(signed)
            save(dataset, folder / f"{k}.dcm")
        assert np.array_equal(scan.read(folder).hu, HU)


@pytest.mark.parametrize("value", [-2000, -2048, -3024, -32768])
def test_padding_is_air_with_or_without_a_word_in_the_header(tmp_path: Path, value: int) -> None:
    padded = HU.astype(int)
    padded[:, :3, :5] = value
    expected = HU.copy()
    expected[:, :3, :5] = AIR
    for name, attributes in (("silent", {}), ("told", {"PixelPaddingValue": value})):
        write_series(tmp_path / name, padded, signed=True, intercept=0.0, **attributes)
        assert np.array_equal(scan.read(tmp_path / name).hu, expected)


def test_a_padding_value_among_the_valid_ones_is_air_too(tmp_path: Path) -> None:
    padded = np.minimum(HU, 3000).astype(int)
    padded[:, :2] = 3071  # stored as 4095
    write_series(tmp_path / "value", padded, PixelPaddingValue=4095)
    write_series(tmp_path / "range", padded, PixelPaddingValue=4095, PixelPaddingRangeLimit=4090)
    for name in ("value", "range"):
        found = scan.read(tmp_path / name).hu
        assert (found[:, :2] == AIR).all()
        assert np.array_equal(found[:, 2:], HU[:, 2:])


def test_monochrome1_is_hu_all_the_same(tmp_path: Path) -> None:
    write_series(tmp_path, HU, PhotometricInterpretation="MONOCHROME1")
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert "MONOCHROME1" in notes(found)
    dataset = dcmread(tmp_path / "IM0001.dcm")  # shows the last slice
    assert np.array_equal(found.hu[-1], apply_modality_lut(dataset.pixel_array, dataset))


def test_an_inverted_picture_is_no_ct(tmp_path: Path) -> None:
    write_series(tmp_path, 3000 - HU.astype(int), PhotometricInterpretation="MONOCHROME1")
    with pytest.raises(NotHu):
        scan.read(tmp_path)


@pytest.mark.parametrize("intercept", [0.0, -1024.0])
def test_an_8_bit_picture_in_a_ct_object_is_refused(tmp_path: Path, intercept: float) -> None:
    grey = scan.window(HU, -1000, 400)
    for k, values in enumerate(grey):
        save(slice_dataset(values, (0, 0, 2.0 * k), bits=(8, 8), intercept=intercept), tmp_path / f"{k}.dcm")
    with pytest.raises(NotHu):
        scan.read(tmp_path)
    with pytest.raises(NotHu):
        scan.open(tmp_path).slice(4)


def test_8_bit_with_a_slope_that_makes_hu_is_approximate(tmp_path: Path) -> None:
    for k, values in enumerate(HU):
        stored = stored_values(values, 8.0, -1024.0)
        save(slice_dataset(stored, (0, 0, 2.0 * k), bits=(8, 8), slope=8.0), tmp_path / f"{k}.dcm")
    found = scan.read(tmp_path)
    assert np.abs(found.hu.astype(int) - HU).max() <= 4
    assert "approximate HU" in notes(found)


def test_a_missing_rescale_is_noted_and_judged_by_the_values(tmp_path: Path) -> None:
    write_series(tmp_path / "hu", HU, slope=None, intercept=None, signed=True)
    found = scan.read(tmp_path / "hu")
    assert np.array_equal(found.hu, HU)
    assert "no rescale" in notes(found)
    write_series(tmp_path / "lost", HU + 1024, slope=None, intercept=None)
    with pytest.raises(NotHu):
        scan.read(tmp_path / "lost")


def test_a_lossy_series_is_noted(tmp_path: Path) -> None:
    write_series(tmp_path, HU, LossyImageCompression="01")
    assert "compressed with loss" in notes(scan.open(tmp_path))


@pytest.mark.parametrize("kind", ["HU_MOD", "Z_EFF", "ED", "OD"])
def test_values_said_to_be_something_else_are_refused(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path, HU, RescaleType=kind)
    with pytest.raises(NoCtSeries, match=kind):
        scan.open(tmp_path)


def test_an_enhanced_ct_is_a_stack_of_its_frames(tmp_path: Path) -> None:
    order = [3, 0, 7, 1, 6, 2, 5, 4]
    path = save(enhanced_dataset(HU, order=order), tmp_path / "e.dcm")
    found = scan.read(path)
    assert np.array_equal(found.hu, HU)
    assert found.geometry.spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert found.geometry.world((3, 0, 0)) == pytest.approx((-14.0, -12.5, 106.0))
    assert np.array_equal(scan.open(path).slice(5), HU[5])


def test_an_enhanced_ct_may_rescale_every_frame_differently(tmp_path: Path) -> None:
    intercepts = [-1024.0 - 10 * k for k in range(len(HU))]
    path = save(enhanced_dataset(HU, order=range(len(HU))[::-1], intercepts=intercepts), tmp_path / "e.dcm")
    assert np.array_equal(scan.read(path).hu, HU)


def test_enhanced_objects_of_one_series_are_one_stack(tmp_path: Path) -> None:
    save(enhanced_dataset(HU[4:], origin=(-14, -12.5, 108)), tmp_path / "b.dcm")
    save(enhanced_dataset(HU[:4]), tmp_path / "a.dcm")
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_a_frame_count_that_does_not_fit_the_functional_groups_is_damage(tmp_path: Path) -> None:
    dataset = enhanced_dataset(HU)
    del dataset.PerFrameFunctionalGroupsSequence[2:4]
    with pytest.raises(UnreadableFile, match="functional groups"):
        scan.open(save(dataset, tmp_path / "e.dcm"))


def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    dataset = slice_dataset(np.zeros((4, 4)))
    dataset.Rows = dataset.Columns = 60000
    with pytest.raises((TooLarge, UnreadableFile)):
        scan.open(save(dataset, tmp_path / "big.dcm"))
    dataset = enhanced_dataset(HU)
    dataset.NumberOfFrames = 2_000_000
    with pytest.raises((TooLarge, UnreadableFile)):
        scan.open(save(dataset, tmp_path / "frames.dcm"))


def test_a_series_beyond_the_limits_is_refused_before_a_slice_is_decoded(tmp_path: Path) -> None:
    write_series(tmp_path, HU)
    with pytest.raises(TooLarge):
        scan.open(tmp_path, limits=Limits(voxels=HU.size - 1))
    assert len(scan.open(tmp_path, limits=Limits(voxels=HU.size))) == len(HU)


@pytest.mark.parametrize("keep", [0.999, 0.7, 0.45, 0.2])
def test_a_truncated_slice_costs_its_scan(tmp_path: Path, keep: float) -> None:
    paths = write_series(tmp_path, HU)
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UnreadableFile):
        scan.open(tmp_path)


def test_a_damaged_series_does_not_cost_the_other(tmp_path: Path) -> None:
    thin = write_series(tmp_path / "thin", HU, series="1.2.3.4", SeriesNumber=4, thickness=1.0)
    write_series(tmp_path / "thick", HU, series="1.2.3.5", SeriesNumber=5, thickness=5.0)
    thin[0].write_bytes(thin[0].read_bytes()[:-10])
    found = scan.read(tmp_path)
    assert found.source.header["series_number"] == 5
    assert "UNREADABLE_FILE" in found.source.choice


def test_a_description_in_another_script_is_understood(tmp_path: Path) -> None:
    write_series(
        tmp_path, HU, SpecificCharacterSet="ISO_IR 100", SeriesDescription="Thorax für Lunge", BodyPartExamined=""
    )
    write_series(tmp_path / "jp", HU, SpecificCharacterSet="ISO_IR 192", SeriesDescription="胸部", series="1.2.3")
    headers = {candidate.key: candidate.header for candidate in survey(tmp_path).candidates}
    assert headers["1.2.826.0.1.3680043.8.498.1"].description == "Thorax für Lunge"
    assert headers["1.2.3"].description == "胸部"


@pytest.mark.parametrize("lacking", [{4}, {0}, set(range(4, 8))])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_slices_without_rescale_take_that_of_their_series(tmp_path: Path, lacking: set[int], how: str) -> None:
    for k, path in enumerate(write_series(tmp_path, HU)):
        if k in lacking:
            dataset = dcmread(path)
            if how == "absent":
                del dataset.RescaleIntercept
            else:
                dataset.RescaleIntercept = None
            save(dataset, path)
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert any(f"{len(lacking)} of 8 slices lack the rescale" in note for note in found.source.notes)


def test_slices_without_rescale_among_others_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    for k, path in enumerate(write_series(tmp_path, HU)):
        dataset = dcmread(path)
        if k == 3:
            del dataset.RescaleSlope
        elif k > 4:
            dataset.RescaleIntercept = -1000
        save(dataset, path)
    with pytest.raises(NotHu, match="1 of 8 slices lack the rescale"):
        scan.open(tmp_path)


def test_what_some_slices_say_is_noted_with_their_number(tmp_path: Path) -> None:
    for path in write_series(tmp_path, HU)[5:]:
        dataset = dcmread(path)
        dataset.LossyImageCompression = "01"
        save(dataset, path)
    notes = scan.open(tmp_path).source.notes
    assert any(note.startswith("3 of 8 slices: compressed with loss") for note in notes)


@pytest.mark.parametrize("word", ["Houndsfield Unit", "hounsfield", "H.U.", "HU"])
def test_rescale_types_that_mean_hu_are_hu(tmp_path: Path, word: str) -> None:
    write_series(tmp_path, HU, RescaleType=word)
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert not any("rescale type" in note for note in found.source.notes)


def test_an_unknown_rescale_type_is_a_note(tmp_path: Path) -> None:
    write_series(tmp_path, HU, RescaleType="NORMALIZED")
    assert any("'NORMALIZED'" in note for note in scan.read(tmp_path).source.notes)


@pytest.mark.parametrize(
    "header",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "GSI MD"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MATERIAL_DENSITY"]},
        {"SeriesDescription": "Water(Iodine) chest"},
        {"RescaleType": "MGML"},
    ],
)
def test_material_maps_are_no_hu(tmp_path: Path, header: dict[str, Any]) -> None:
    write_series(tmp_path, HU, **header)
    with pytest.raises(NoCtSeries, match="not HU but a map"):
        scan.open(tmp_path)


def test_a_missing_image_type_is_not_derived(tmp_path: Path) -> None:
    for path in write_series(tmp_path, HU):
        dataset = dcmread(path)
        del dataset.ImageType
        save(dataset, path)
    choice = scan.open(tmp_path).source.choice
    assert "derived" not in choice and "no image type" in choice


def test_what_slices_of_one_series_write_otherwise_parts_nothing(tmp_path: Path) -> None:
    for k, path in enumerate(write_series(tmp_path, HU, RescaleType="HU")):
        dataset = dcmread(path)
        if k > 4:
            del dataset.RescaleType
            dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        save(dataset, path)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_padding_written_with_all_bits_is_found_although_fewer_are_stored(tmp_path: Path, syntax: str) -> None:
    """63536 is -2000 in 16 bits; cut to the 12 stored ones it would be bone."""
    expected = HU.copy()
    expected[:, :, :3] = AIR
    for k, path in enumerate(write_series(tmp_path, HU, bits=(16, 12))):
        dataset = dcmread(path)
        stored = (HU[k].astype(int) + 1024).astype("<u2")
        stored[:, :3] = 63536
        dataset.PixelData = stored.tobytes()
        dataset.add_new(0x00280120, "US", 63536)
        if syntax != ExplicitVRLittleEndian:
            dataset.BitsStored, dataset.HighBit = 16, 15
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.BitsStored, dataset.HighBit = 12, 11
        save(dataset, path, syntax)
    assert np.array_equal(scan.read(tmp_path).hu, expected)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_overlay_bits_shift_no_value(tmp_path: Path, syntax: str) -> None:
    for k, path in enumerate(write_series(tmp_path, HU, bits=(16, 12))):
        dataset = dcmread(path)
        stored = (HU[k].astype(int) + 1024).astype("<u2")
        stored[2:5, 4:9] |= 0x8000  # an overlay in the highest bit
        dataset.PixelData = stored.tobytes()
        if syntax != ExplicitVRLittleEndian:
            dataset.BitsStored, dataset.HighBit = 16, 15
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.BitsStored, dataset.HighBit = 12, 11
        save(dataset, path, syntax)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def series_of(folder: Path, stored: Array, syntax: str, pixel_representation: int = 0, **header: Any) -> None:
    """Slices whose 16 bits are exactly these, of which the header says that 12 are stored."""
    for k, path in enumerate(write_series(folder, HU, bits=(16, 12), **header)):
        dataset = dcmread(path)
        dataset.PixelData = stored[k].astype("<u2").tobytes()
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, pixel_representation
        if syntax == JPEGLosslessSV1:
            save(dataset, path)
            tool = shutil.which("dcmcjpeg")
            if tool is None:
                pytest.skip("dcmcjpeg is not installed")
            subprocess.run([tool, "+e1", str(path), str(path)], check=True, capture_output=True)
            dataset = dcmread(path)
        elif syntax != ExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.BitsStored, dataset.HighBit = 12, 11
        save(dataset, path, syntax)


EVERY_FAMILY = [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]


@pytest.mark.parametrize("syntax", EVERY_FAMILY, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("bit", [12, 13, 15])
def test_overlay_bits_shift_no_value_in_any_family(tmp_path: Path, syntax: str, bit: int) -> None:
    stored = HU.astype(int) + 1024
    stored[:, 2:5, 4:9] |= 1 << bit
    series_of(tmp_path, stored, syntax)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


@pytest.mark.parametrize("syntax", EVERY_FAMILY, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("limit", [None, 63600], ids=["one value", "a range"])
def test_padding_outside_the_stored_bits_is_air_in_any_family(tmp_path: Path, syntax: str, limit: int | None) -> None:
    expected = HU.copy()
    stored = HU.astype(int) + 1024
    expected[:, :, :3] = AIR
    stored[:, :, :3] = 63536 if limit is None else 63550
    header = {"PixelPaddingValue": 63536} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    series_of(tmp_path, stored, syntax, **header)
    assert np.array_equal(scan.read(tmp_path).hu, expected)


@pytest.mark.parametrize("syntax", EVERY_FAMILY, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("extended", [True, False])
def test_signs_are_those_of_the_stored_bits_in_any_family(tmp_path: Path, syntax: str, extended: bool) -> None:
    """Some writers leave the bits above the sign empty, others repeat the sign in them."""
    stored = HU.astype(int) & (0xFFFF if extended else 0x0FFF)
    series_of(tmp_path, stored, syntax, 1, signed=True, intercept=0.0)
    assert np.array_equal(scan.read(tmp_path).hu, HU)
