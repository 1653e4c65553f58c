"""NIfTI: right in the patient by another library's reading, lazy, and refused where it lies."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings

from scan.dicom_builder import body
from scan.grids import geometries, rotation, to_canonical
from triplenet import scan
from triplenet.errors import (
    BadGeometry,
    NotAVolume,
    NotHu,
    OutputFailed,
    PathMissing,
    SeriesGap,
    TooLarge,
    TripleNetError,
    UnreadableFile,
)
from triplenet.scan import Geometry, Limits

HU = body(5, 24, 30)


def geometry(turn: tuple[float, float, float] = (0, 0, 0)) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = rotation(turn) @ np.array([[0, 0, 0.7], [0, 0.8, 0], [2.5, 0, 0]])
    affine[:3, 3] = (-33.5, 12.25, -700)
    return Geometry((5, 24, 30), affine)


def save(path: Path, values: Any, affine: Any = None, **header: Any) -> Path:
    """Write (X, Y, Z) values as nibabel would, with header fields changed."""
    image = nib.Nifti1Image(values, np.diag([0.7, 0.8, 2.5, 1]) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("turn", [(0, 0, 0), (180, 0, 0), (12, -7, 30), (90, 0, 0)])
def test_voxels_lie_where_simpleitk_says(tmp_path: Path, name: str, turn: tuple[float, float, float]) -> None:
    scan.write_nifti(tmp_path / name, HU, geometry(turn))
    ours, oracle = scan.read(tmp_path / name), sitk.ReadImage(str(tmp_path / name))
    assert np.array_equal(ours.hu, sitk.GetArrayFromImage(oracle))
    for z, y, x in [(0, 0, 0), (4, 23, 29), (1, 5, 17)]:
        place = oracle.TransformIndexToPhysicalPoint((x, y, z))
        assert ours.geometry.world((z, y, x)) == pytest.approx(place, abs=1e-3)
    assert ours.geometry.same_grid(geometry(turn))


@settings(max_examples=30, deadline=None)
@given(geometries)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, place: Geometry) -> None:
    path = tmp_path_factory.mktemp("nifti") / "mask.nii"
    labels = np.random.default_rng(0).integers(0, 3, place.shape).astype(np.uint8)
    scan.write_nifti(path, labels, place)
    mask, found = scan.read_mask(path)
    assert np.array_equal(mask, labels)
    assert found.same_grid(place, tolerance_mm=0.01)


def test_a_gantry_tilt_survives(tmp_path: Path) -> None:
    sheared = geometry()
    sheared.affine[1, 0] = 0.9
    scan.write_nifti(tmp_path / "a.nii", HU, sheared)
    assert scan.read(tmp_path / "a.nii").geometry.tilt_degrees == pytest.approx(sheared.tilt_degrees, abs=1e-4)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_slices_are_those_of_the_volume(tmp_path: Path, name: str) -> None:
    scan.write_nifti(tmp_path / name, HU, geometry())
    series = scan.open(tmp_path / name)
    assert np.array_equal(series.slice(3), HU[3])
    assert np.array_equal(series.slices([4, 0]), HU[[4, 0]])
    assert np.array_equal(series.slice(-1), HU[-1])


@pytest.mark.parametrize("turn", [(180, 0, 0), (0, 180, 0), (90, 0, 0), (0, 90, 90)])
def test_a_canonical_series_gives_the_slices_of_the_canonical_volume(
    tmp_path: Path, turn: tuple[float, float, float]
) -> None:
    scan.write_nifti(tmp_path / "a.nii", HU, geometry(turn))
    volume, _ = to_canonical(scan.read(tmp_path / "a.nii"))
    series, how = scan.open(tmp_path / "a.nii").canonical()
    middle = len(series) // 2
    assert np.array_equal(series.slice(middle), volume.hu[middle])
    assert np.array_equal(series.slices([middle, 0]), volume.hu[[middle, 0]])
    assert np.array_equal(how.undo(series.read().hu), HU)
    assert series.geometry.same_grid(volume.geometry)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16, ">i2"])
def test_other_types_are_rounded_to_hu(tmp_path: Path, dtype: Any) -> None:
    stored = HU.transpose(2, 1, 0)
    if dtype == np.uint16:
        path = save(tmp_path / "a.nii", (stored + 1024).astype(np.uint16), scl_slope=1, scl_inter=0)
        values = bytearray(path.read_bytes())
        values[112:120] = np.array([1, -1024], "<f4").tobytes()  # nibabel recomputes the scale when it saves
        path.write_bytes(values)
    else:
        path = save(
            tmp_path / "a.nii", (stored + 0.3).astype(dtype) if np.dtype(dtype).kind == "f" else stored.astype(dtype)
        )
    expected = np.maximum(HU, -1024)
    assert np.abs(scan.read(path).hu - expected).max() <= (1 if dtype == np.int32 else 0)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_scaled_values_are_nibabels(tmp_path: Path, name: str) -> None:
    image = nib.Nifti1Image(np.zeros((30, 24, 5), np.int16), np.diag([0.7, 0.8, 2.5, 1]))
    image.header.set_slope_inter(0.5, -24)
    image.header.set_data_offset(352)
    content = bytearray(image.header.binaryblock + bytes(4) + (2 * (HU + 24)).astype("<i2").tobytes())
    content[112:120] = np.array([0.5, -24], "<f4").tobytes()  # nibabel leaves the scale to whoever saves
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    expected = np.asarray(nib.load(path).dataobj).transpose(2, 1, 0)
    assert np.array_equal(expected, HU)
    assert np.array_equal(scan.read(path).hu, expected)


def test_metres_and_micrometres_become_millimetres(tmp_path: Path) -> None:
    values = HU.transpose(2, 1, 0)
    metres = save(tmp_path / "m.nii", values, np.diag([7e-4, 8e-4, 2.5e-3, 1]), xyzt_units=1)
    microns = save(tmp_path / "u.nii", values, np.diag([700, 800, 2500, 1.0]), xyzt_units=3)
    for path in (metres, microns):
        found = scan.read(path)
        assert found.geometry.spacing_mm == pytest.approx((2.5, 0.8, 0.7), rel=1e-5)
        assert any("metres" in note for note in found.source.notes)


def test_approximate_hu_are_noted(tmp_path: Path) -> None:
    scan.write_nifti(tmp_path / "a.nii", HU, geometry(), description=scan.APPROXIMATE)
    assert any("approximate HU" in note for note in scan.open(tmp_path / "a.nii").source.notes)


def test_an_orientation_that_is_not_stated_is_noted(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", HU.transpose(2, 1, 0), None)
    values = bytearray(path.read_bytes())
    values[252:256] = bytes(4)  # qform and sform code
    path.write_bytes(values)
    assert any("no orientation" in note for note in scan.open(path).source.notes)


@pytest.mark.parametrize(("shift", "told"), [(0.1, False), (50.0, True)])
def test_two_orientations_that_disagree_are_noted(tmp_path: Path, shift: float, told: bool) -> None:
    image = nib.Nifti1Image(HU.transpose(2, 1, 0), np.diag([0.7, 0.8, 2.5, 1]))
    other = np.diag([0.7, 0.8, 2.5, 1])
    other[2, 3] = shift
    image.set_sform(np.diag([0.7, 0.8, 2.5, 1]), 1)
    image.set_qform(other, 1)
    nib.save(image, tmp_path / "a.nii")
    found = scan.open(tmp_path / "a.nii")
    assert any("disagree" in note for note in found.source.notes) == told
    assert found.geometry.world((0, 0, 0))[2] == pytest.approx(0.0)


def test_one_volume_with_a_time_axis_of_one_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", HU.transpose(2, 1, 0)[..., None])
    assert np.array_equal(scan.read(path).hu, HU)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(HU.transpose(2, 1, 0), np.eye(4)), tmp_path / "a.nii")
    assert np.array_equal(scan.read(tmp_path / "a.nii").hu, HU)


def test_several_volumes_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.stack([HU.transpose(2, 1, 0)] * 2, axis=-1))
    with pytest.raises(NotAVolume, match="30 x 24 x 5 x 2"):
        scan.open(path)


def test_colour_is_refused(tmp_path: Path) -> None:
    rgb = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(NotAVolume):
        scan.open(save(tmp_path / "a.nii", rgb))


@pytest.mark.parametrize(
    "affine", [np.diag([0.001, 0.8, 2.5, 1]), np.diag([700, 800, 2500, 1.0]), np.diag([1e-6] * 3 + [1])]
)
def test_impossible_voxels_are_refused(tmp_path: Path, affine: Any) -> None:
    with pytest.raises(BadGeometry):
        scan.open(save(tmp_path / "a.nii", HU.transpose(2, 1, 0), affine))


def test_axes_in_one_plane_are_refused(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[:3, 1] = affine[:3, 0]
    with pytest.raises(BadGeometry):
        scan.open(save(tmp_path / "a.nii", HU.transpose(2, 1, 0), affine))


def test_values_that_are_not_hu_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", (HU - HU.min()).transpose(2, 1, 0))
    with pytest.raises(NotHu):
        scan.read(path)
    with pytest.raises(NotHu):
        scan.open(path).slice(2)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("keep", [0, 100, 347, 400, 3000])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, keep: int) -> None:
    scan.write_nifti(tmp_path / name, HU, geometry())
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:keep])
    with pytest.raises((UnreadableFile, TooLarge)):
        scan.read(tmp_path / name)


def test_a_damaged_gzip_stream_is_refused(tmp_path: Path) -> None:
    scan.write_nifti(tmp_path / "a.nii.gz", HU, geometry())
    values = bytearray((tmp_path / "a.nii.gz").read_bytes())
    values[len(values) // 2 : len(values) // 2 + 40] = bytes(40)
    (tmp_path / "a.nii.gz").write_bytes(values)
    with pytest.raises(UnreadableFile):
        scan.read(tmp_path / "a.nii.gz")


def test_gzip_members_one_behind_the_other_are_one_file(tmp_path: Path) -> None:
    scan.write_nifti(tmp_path / "a.nii", HU, geometry())
    whole = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]))
    assert np.array_equal(scan.read(tmp_path / "b.nii.gz").hu, HU)


def _claim(path: Path, shape: tuple[int, int, int], *, compress: bool) -> Path:
    """A header that claims a volume, and next to no data."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    block = header.binaryblock + bytes(1000)
    path.write_bytes(gzip.compress(block) if compress else block)
    return path


@pytest.mark.parametrize("compress", [True, False])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path, compress: bool) -> None:
    with pytest.raises((TooLarge, UnreadableFile)):
        scan.open(_claim(tmp_path / ("a.nii.gz" if compress else "a.nii"), (512, 512, 800), compress=compress))


def test_a_volume_beyond_the_limits_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="30000"):
        scan.open(_claim(tmp_path / "a.nii", (30000, 30000, 30000), compress=False))
    scan.write_nifti(tmp_path / "b.nii", HU, geometry())
    with pytest.raises(TooLarge):
        scan.open(tmp_path / "b.nii", limits=Limits(voxels=100))


@pytest.mark.parametrize("at", range(0, 348, 4))
def test_a_damaged_header_is_read_or_refused(tmp_path: Path, at: int) -> None:
    scan.write_nifti(tmp_path / "a.nii", HU, geometry())
    values = bytearray((tmp_path / "a.nii").read_bytes())
    values[at : at + 4] = b"\xff\x7f\xff\xff"
    (tmp_path / "a.nii").write_bytes(values)
    try:
        assert scan.read(tmp_path / "a.nii").hu.dtype == np.int16
    except TripleNetError as error:
        assert error.code not in ("FAILED", "SCAN")


def test_what_is_not_nifti_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"something else entirely" * 50)
    with pytest.raises(UnreadableFile, match="not a NIfTI"):
        scan.open(tmp_path / "a.nii")
    with pytest.raises(PathMissing):
        scan.open(tmp_path / "b.nii")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputFailed):
        scan.write_nifti(tmp_path / "file" / "a.nii", HU, geometry())
    (tmp_path / "file").unlink()
    scan.write_nifti(tmp_path / "a.nii.gz", HU, geometry())
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]
    first = (tmp_path / "a.nii.gz").read_bytes()
    scan.write_nifti(tmp_path / "b.nii.gz", HU, geometry())
    assert (tmp_path / "b.nii.gz").read_bytes() == first  # no time stamp, no file name


def test_uneven_slices_are_not_written(tmp_path: Path) -> None:
    uneven = Geometry(geometry().shape, geometry().affine, np.zeros((5, 3)))
    with pytest.raises(SeriesGap):
        scan.write_nifti(tmp_path / "a.nii", HU, uneven)
    with pytest.raises(ValueError, match="does not fit"):
        scan.write_nifti(tmp_path / "a.nii", HU[1:], geometry())


@pytest.mark.parametrize("name", ["scaled.nii", "scaled.nii.gz"])
def test_values_that_a_reader_scales_lie_where_they_were_put(tmp_path, name):
    """By nibabel and by ITK, which share no code."""
    stored = np.random.default_rng(0).integers(0, 256, (3, 5, 7)).astype(np.uint8)
    grid = np.eye(4)[:, [2, 1, 0, 3]]  # slices along z
    scan.write_nifti(tmp_path / name, stored, Geometry(stored.shape, grid), "heat", slope=1 / 255)
    by_nibabel = np.asanyarray(nib.load(tmp_path / name).dataobj).transpose(2, 1, 0)
    by_itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name)))
    for found in (by_nibabel, by_itk):
        np.testing.assert_allclose(found, stored / 255, atol=1e-6)
