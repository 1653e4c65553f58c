"""Masks: their labels unchanged, in the order of the scan's voxels, on its grid or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scan.grids import geometries
from triplenet import scan
from triplenet.errors import BadMask, MaskMismatch, PathMissing
from triplenet.scan import Geometry

RNG = np.random.default_rng(0)


def axial(shape: tuple[int, int, int] = (4, 5, 6), origin: tuple[float, float, float] = (0, 0, 0)) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 0.7], [0, 0.8, 0], [2.5, 0, 0]]
    affine[:3, 3] = origin
    return Geometry(shape, affine)


def labels(shape: tuple[int, ...] = (4, 5, 6)) -> scan.MaskArray:
    return RNG.integers(0, 3, shape).astype(np.uint8)


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz", "m.nrrd", "m.mha"])
def test_labels_come_out_as_they_are(tmp_path: Path, name: str) -> None:
    mask = labels()
    if ".nii" in name:
        scan.write_nifti(tmp_path / name, mask, axial())
    else:
        image = sitk.GetImageFromArray(mask)
        image.SetSpacing((0.7, 0.8, 2.5))
        sitk.WriteImage(image, str(tmp_path / name))
    found, geometry = scan.read_mask(tmp_path / name, axial())
    assert np.array_equal(found, mask)
    assert found.dtype == np.uint8
    assert geometry.same_grid(axial())


@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3), geometries)
def test_a_mask_stored_in_another_order_is_put_into_the_scans(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], flips: tuple[bool, bool, bool], like: Geometry
) -> None:
    """However another tool turned the axes, the label of a voxel stays at its place in the patient."""
    how = scan.Reorientation((order[0], order[1], order[2]), flips)
    mask = labels(like.shape)
    path = tmp_path_factory.mktemp("mask") / "m.nii"
    scan.write_nifti(path, how.apply(mask), how.apply_geometry(like))
    found, geometry = scan.read_mask(path, like)
    assert geometry.same_grid(like)
    assert np.array_equal(found, mask)


def test_a_mask_on_another_grid_stays_on_its_own(tmp_path: Path) -> None:
    mask = labels((8, 5, 6))
    own = axial((8, 5, 6), (0, 0, 1.0))
    scan.write_nifti(tmp_path / "m.nii", mask, own)
    found, geometry = scan.read_mask(tmp_path / "m.nii", axial())
    assert np.array_equal(found, mask)
    assert geometry.same_grid(own)


def test_resampling_takes_the_nearest_label() -> None:
    fine = axial()
    affine = fine.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) / 2  # each coarse voxel is eight fine ones
    mask = labels()
    eight = Geometry((8, 10, 12), affine)
    assert np.array_equal(scan.resample_mask(mask, fine, eight), mask.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    assert np.array_equal(scan.resample_mask(mask, fine, fine), mask)


def test_resampling_agrees_with_simpleitk() -> None:
    mask = labels((6, 9, 8))
    source = axial(mask.shape, (3.1, -2.3, 1.2))
    target = axial((5, 11, 12), (1.0, -3.0, 0.1))
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((3.1, -2.3, 1.2))
    grid = sitk.Image((12, 11, 5), sitk.sitkUInt8)
    grid.SetSpacing((0.7, 0.8, 2.5))
    grid.SetOrigin((1.0, -3.0, 0.1))
    oracle = sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    assert np.array_equal(scan.resample_mask(mask, source, target), oracle)


def test_a_mask_elsewhere_belongs_to_another_scan() -> None:
    with pytest.raises(MaskMismatch):
        scan.resample_mask(labels(), axial(origin=(0, 0, 500)), axial())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32, np.uint16])
def test_whole_numbers_of_any_type_are_labels(tmp_path: Path, dtype: Any) -> None:
    mask = labels()
    nib.save(nib.Nifti1Image(mask.transpose(2, 1, 0).astype(dtype), np.eye(4)), tmp_path / "m.nii")
    assert np.array_equal(scan.read_mask(tmp_path / "m.nii")[0], mask)


@pytest.mark.parametrize("value", [-1, 256, 0.5, np.nan, np.inf])
def test_other_values_are_no_labels(tmp_path: Path, value: float) -> None:
    values = np.zeros((6, 5, 4), np.float32)
    values[1, 2, 3] = value
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(BadMask):
        scan.read_mask(tmp_path / "m.nii")


def test_a_scaled_mask_is_what_it_stands_for(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), np.eye(4))
    nib.save(image, tmp_path / "m.nii")
    values = bytearray((tmp_path / "m.nii").read_bytes())
    values[112:120] = np.array([2, 1], "<f4").tobytes()  # slope and intercept
    (tmp_path / "m.nii").write_bytes(values)
    assert (scan.read_mask(tmp_path / "m.nii")[0] == 1).all()


def test_a_scaled_label_a_rounding_below_a_whole_number_is_that_number(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), 10, np.uint8), np.eye(4)), tmp_path / "m.nii")
    values = bytearray((tmp_path / "m.nii").read_bytes())
    values[112:120] = np.array([0.2, 0], "<f4").tobytes()
    (tmp_path / "m.nii").write_bytes(values)
    assert (scan.read_mask(tmp_path / "m.nii")[0] == 2).all()
    values[112:120] = np.array([0.7, 0], "<f4").tobytes()  # 10 x 0.699999988
    (tmp_path / "m.nii").write_bytes(values)
    assert nib.load(tmp_path / "m.nii").get_fdata()[0, 0, 0] < 7
    assert (scan.read_mask(tmp_path / "m.nii")[0] == 7).all()


def test_a_picture_is_the_mask_of_one_slice(tmp_path: Path) -> None:
    drawn = np.where(labels((5, 6)) > 0, 255, 0).astype(np.uint8)
    Image.fromarray(drawn).save(tmp_path / "m.png")
    mask, geometry = scan.read_mask(tmp_path / "m.png", axial((1, 5, 6)))
    assert np.array_equal(mask[0], drawn)
    assert geometry.same_grid(axial((1, 5, 6)))
    with pytest.raises(MaskMismatch):
        scan.read_mask(tmp_path / "m.png", axial())


def test_what_is_no_mask_says_so(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("none")
    with pytest.raises(BadMask):
        scan.read_mask(tmp_path / "m.txt")
    with pytest.raises(PathMissing):
        scan.read_mask(tmp_path / "nothing.nii")


@pytest.mark.parametrize("off", [0.0, 0.02, 0.3, 0.49])
def test_a_mask_less_than_half_a_voxel_off_lies_on_the_nearest_voxels(tmp_path: Path, off: float) -> None:
    mask = labels()
    scan.write_nifti(tmp_path / "m.nii", mask, axial(origin=(off * 0.7, 0, 0)))
    found = scan.open_mask(tmp_path / "m.nii", like := axial())
    assert np.array_equal(found.labels, mask) and found.geometry.same_grid(like)
    assert bool(found.notes) == (off > 0.0)


def test_a_mask_half_a_voxel_off_is_on_another_grid(tmp_path: Path) -> None:
    spacing = axial().spacing_mm
    scan.write_nifti(tmp_path / "m.nii", labels(), axial(origin=(0.6 * spacing[2], 0, 0)))
    assert not scan.open_mask(tmp_path / "m.nii", axial()).geometry.same_grid(axial())


@pytest.mark.parametrize("cut", [np.s_[1:3, 1:4, 2:5], np.s_[0:4, 0:5, 3:6], np.s_[2:3, :, :]])
@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_cut_out_of_its_scans_voxels_is_put_back(tmp_path: Path, cut: tuple[slice, ...], flip: bool) -> None:
    mask, like = labels(), axial()
    starts = [part.start or 0 for part in cut]
    part = mask[cut]
    affine = like.affine.copy()
    affine[:3, 3] = like.world(starts)
    if flip:
        affine[:3, 3] += affine[:3, 2] * (part.shape[2] - 1)
        affine[:3, 2] *= -1
        part = part[:, :, ::-1]
    own = Geometry((part.shape[0], part.shape[1], part.shape[2]), affine)
    scan.write_nifti(tmp_path / "m.nii", np.ascontiguousarray(part), own)
    found = scan.open_mask(tmp_path / "m.nii", like)
    expected = np.zeros_like(mask)
    expected[cut] = mask[cut]
    assert np.array_equal(found.labels, expected)
    assert any("covers" in note for note in found.notes)


def test_labels_that_scaling_rounded_are_the_labels(tmp_path: Path) -> None:
    mask = labels() > 0
    image = nib.Nifti1Image(mask.astype(np.float64).transpose(2, 1, 0), np.eye(4))
    image.set_data_dtype("uint8")  # nibabel scales 1.0 to 255 and back to 1.00000006
    nib.save(image, tmp_path / "m.nii")
    assert np.array_equal(scan.read_mask(tmp_path / "m.nii")[0], mask)


def test_the_index_is_the_inverse_of_the_world_also_between_uneven_slices() -> None:
    positions = np.array([[0.0, 0, z] for z in (0.0, 1.0, 4.0, 5.0)])
    for geometry in (axial(), Geometry((4, 5, 6), axial().affine, positions)):
        index = np.random.default_rng(0).uniform(0, 3, (20, 3))
        np.testing.assert_allclose(geometry.index(geometry.world(index)), index, atol=1e-9)


@pytest.mark.parametrize("flip", [False, True])
def test_an_even_mask_of_a_scan_with_a_gap_is_laid_slice_by_slice(tmp_path: Path, flip: bool) -> None:
    """NIfTI cannot say where slices are missing: converters write the first step for all."""
    whole = axial()
    heights = np.array([0.0, 2.5, 7.5, 10.0])
    positions = np.stack([np.zeros(4), np.zeros(4), heights], axis=1)
    affine = whole.affine.copy()
    affine[2, 0] = 10 / 3
    like = Geometry(whole.shape, affine, positions)
    mask, drawn = labels(), whole.affine.copy()
    stored = mask
    if flip:  # rows from the back to the front, as dcm2niix has them
        drawn[:3, 3] += drawn[:3, 1] * 4
        drawn[:3, 1] *= -1
        stored = np.ascontiguousarray(mask[:, ::-1])
    scan.write_nifti(tmp_path / "m.nii", stored, Geometry(whole.shape, drawn))
    found = scan.open_mask(tmp_path / "m.nii", like)
    assert np.array_equal(found.labels, mask) and found.geometry.same_grid(like)
    assert any("by their number" in note for note in found.notes)
    beside = drawn.copy()
    beside[2, 3] += 5.0
    scan.write_nifti(tmp_path / "m.nii", stored, Geometry(whole.shape, beside))
    assert not scan.open_mask(tmp_path / "m.nii", like).geometry.same_grid(like)
    drawn[2, 0] = 1.25  # no step of the scan
    scan.write_nifti(tmp_path / "m.nii", stored, Geometry(whole.shape, drawn))
    assert not scan.open_mask(tmp_path / "m.nii", like).geometry.same_grid(like)


def test_the_only_volume_of_a_folder_is_the_mask(tmp_path: Path) -> None:
    mask = labels()
    (tmp_path / "seg").mkdir()
    (tmp_path / "seg" / "readme.txt").write_text("drawn on Monday")
    scan.write_nifti(tmp_path / "seg" / "m.nii.gz", mask, axial())
    assert np.array_equal(scan.read_mask(tmp_path / "seg", axial())[0], mask)
    scan.write_nifti(tmp_path / "seg" / "n.nii.gz", mask, axial())
    with pytest.raises(BadMask):
        scan.read_mask(tmp_path / "seg", axial())


def test_how_far_a_grid_is_off_is_said_in_voxels() -> None:
    assert scan.voxels_apart(axial(origin=(0, 0, 7.5)), axial()) == pytest.approx(3.0)
    assert scan.voxels_apart(axial((4, 5, 7)), axial()) is None


@pytest.mark.real_data
def test_real_masks_are_read_as_others_read_them(real_data: Path) -> None:
    volumes = sorted((real_data / "mosmed" / "official_masks").rglob("*.nii.gz"))[::10]
    assert volumes
    for path in volumes:
        mask, _ = scan.read_mask(path)
        assert np.array_equal(mask, np.asanyarray(nib.load(path).dataobj).transpose(2, 1, 0)), path.name
    for path in sorted((real_data / "medseg" / "infection").glob("*.png"))[::10]:
        assert np.array_equal(scan.read_mask(path)[0][0], np.asarray(Image.open(path))), path.name


def test_the_segments_of_a_slicer_file_are_told_by_its_header(tmp_path: Path) -> None:
    mask = labels()
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((0.7, 0.8, 2.5))
    for number, (name, code) in enumerate(
        (("Segment_1", "SCT^39607008^Lung"), ("Verschattung", "SCT^85756007^Tissue"))
    ):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
        image.SetMetaData(
            f"Segment{number}_TerminologyEntry", f"Segmentation category~SCT^85756007^Tissue~{code}~^^~~^^~^^"
        )
    sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
    assert np.array_equal(scan.read_mask(tmp_path / "m.seg.nrrd", axial())[0], mask)
    found = scan.open_mask(tmp_path / "m.seg.nrrd", axial(), column="infection")
    assert np.array_equal(found.labels, mask == 2)
    assert found.notes == ("infection is segment 2 'Verschattung', without 1 'Segment_1'",)
    assert np.array_equal(scan.open_mask(tmp_path / "m.seg.nrrd", axial(), column="lung").labels, mask > 0)
    image.SetMetaData("Segment1_Name", "Segment_2")
    image.SetMetaData("Segment0_TerminologyEntry", "")
    sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
    with pytest.raises(BadMask, match="cannot be told"):
        scan.open_mask(tmp_path / "m.seg.nrrd", axial(), column="infection")
    own = scan.SegmentNames(infection=("segment 2",), lung=("segment 1",))
    again = scan.open_mask(tmp_path / "m.seg.nrrd", axial(), column="infection", names=own)
    assert np.array_equal(again.labels, mask == 2)


def test_the_values_of_a_slicer_file_are_those_its_header_names_whatever_the_order(tmp_path: Path) -> None:
    """Segments that were deleted or moved leave numbers that are not their values less one."""
    mask = labels()
    stored = np.array([0, 7, 3], np.uint8)[mask]  # 7 in the lung, 3 where it is infected
    image = sitk.GetImageFromArray(stored)
    image.SetSpacing((0.7, 0.8, 2.5))
    for number, (name, value) in enumerate((("Infection", 3), ("Lung", 7))):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
    sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
    infection = scan.open_mask(tmp_path / "m.seg.nrrd", axial(), column="infection")
    assert np.array_equal(infection.labels, mask == 2)
    assert np.array_equal(scan.open_mask(tmp_path / "m.seg.nrrd", axial(), column="mask").labels, mask)
