"""Slices in the order of their positions, whatever the patient's position; gaps and duplicates told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from scan.dicom_builder import body, save, slice_dataset, stored_values, write_series
from scan.grids import HEAD_BACK_LEFT, rotation, to_canonical
from triplenet import scan
from triplenet.errors import BadGeometry, DuplicateSlices, SeriesGap
from triplenet.scan.dicom_series import DicomSeries

HU = body()

POSITIONS = {
    "head first supine": ((1, 0, 0), (0, 1, 0)),
    "head first prone": ((-1, 0, 0), (0, -1, 0)),
    "feet first supine": ((-1, 0, 0), (0, 1, 0)),
    "feet first prone": ((1, 0, 0), (0, -1, 0)),
    "head first decubitus right": ((0, -1, 0), (1, 0, 0)),
    "head first decubitus left": ((0, 1, 0), (-1, 0, 0)),
    "feet first decubitus right": ((0, 1, 0), (1, 0, 0)),
    "oblique": ((0.96, 0.28, 0), (-0.28, 0.96, 0)),
}


def check_against_simpleitk(series: scan.Series) -> None:
    """Every corner of every slice lies where SimpleITK puts it, reading that slice's file alone."""
    assert isinstance(series, DicomSeries)
    _, height, width = series.geometry.shape
    for z, frame in enumerate(series.frames):
        image = sitk.ReadImage(str(frame.file.path))
        for y, x in ((0, 0), (height - 1, 0), (0, width - 1), (height // 2, width // 3)):
            place = image.TransformIndexToPhysicalPoint((x, y, 0))
            assert series.geometry.world((z, y, x)) == pytest.approx(place, abs=2e-3)
        assert np.array_equal(series.slice(z), sitk.GetArrayFromImage(image)[0])


@pytest.mark.parametrize("position", POSITIONS)
def test_every_patient_position_lies_right(tmp_path: Path, position: str) -> None:
    across, down = POSITIONS[position]
    write_series(tmp_path, HU, across=across, down=down)
    series = scan.open(tmp_path)
    check_against_simpleitk(series)
    canonical, how = to_canonical(series.read())
    directions = canonical.geometry.affine[:3, :3] / canonical.geometry.spacing_mm
    assert (np.diag(directions[::-1]) > 0.7).all()
    if position != "oblique":
        assert directions == pytest.approx(HEAD_BACK_LEFT, abs=1e-9)
    assert np.array_equal(how.undo(canonical.hu), series.read().hu)


@pytest.mark.parametrize("position", [name for name in POSITIONS if name != "oblique"])
def test_the_canonical_picture_is_the_same_however_the_patient_lay(tmp_path: Path, position: str) -> None:
    """The same body scanned prone or feet first gives the same canonical volume, voxel by voxel."""
    across, down = (np.array(direction, float) for direction in POSITIONS[position])
    square = body(6, 36, 36)
    normal = np.cross(across, down)
    index = np.indices(square.shape).reshape(3, -1).T  # z, y, x of the canonical body
    place = index[:, ::-1] * (1.0, 1.0, 2.0)  # and where its voxels lie, LPS
    corner = place[np.argmin(place @ (across + down) + place @ normal)]
    turned = np.zeros_like(square)
    offset = place - corner
    to = np.rint([offset @ normal / 2.0, offset @ down, offset @ across]).astype(int)
    turned[tuple(to)] = square.ravel()
    write_series(tmp_path, turned, origin=corner, across=across, down=down, spacing=(1, 1))
    canonical, _ = to_canonical(scan.read(tmp_path))
    assert np.array_equal(canonical.hu, square)


def test_names_and_instance_numbers_do_not_decide_the_order(tmp_path: Path) -> None:
    write_series(tmp_path, HU, names=[f"{n}.dcm" for n in (5, 3, 7, 1, 0, 2, 6, 4)], InstanceNumber=1)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_raw_z_does_not_decide_the_order(tmp_path: Path) -> None:
    """Slices nearly along the body axis: z hardly changes from one to the next, the normal does."""
    across, down = (0, 1, 0), (0, 0.02, -1)
    down = tuple(np.array(down) - np.array(across) * 0.02)
    write_series(tmp_path, HU, across=across, down=down)
    found = scan.open(tmp_path, series="1.2.826.0.1.3680043.8.498.1")
    assert np.array_equal(found.read().hu, HU)
    check_against_simpleitk(found)


@settings(max_examples=15, deadline=None)
@given(st.tuples(st.floats(-25, 25), st.floats(-25, 25), st.floats(-180, 180)), st.permutations(range(4)))
def test_any_orientation_and_any_file_order(
    tmp_path_factory: pytest.TempPathFactory, turn: tuple[float, float, float], order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("series")
    axes = rotation(turn)
    hu = body(4, 12, 14)
    write_series(folder, hu, across=axes[:, 0], down=axes[:, 1], names=[f"{n}.dcm" for n in order])
    series = scan.open(folder)
    assert np.array_equal(series.read().hu, hu)
    check_against_simpleitk(series)


@pytest.mark.parametrize("tilt", [12.0, -20.0])
def test_a_gantry_tilt_is_a_shear(tmp_path: Path, tilt: float) -> None:
    angle = np.radians(tilt)
    down = (0, np.cos(angle), np.sin(angle))
    write_series(tmp_path, HU, down=down, step=(0, 0, 2.0 / np.cos(angle)), GantryDetectorTilt=tilt)
    series = scan.open(tmp_path)
    check_against_simpleitk(series)
    assert not series.geometry.is_rectangular
    assert series.geometry.tilt_degrees == pytest.approx(abs(tilt), abs=1e-3)
    assert series.spacing_mm[0] == pytest.approx(2.0, abs=1e-4)
    assert any("tilt" in note for note in series.source.notes)
    canonical, how = to_canonical(series.read())
    assert how.is_identity
    assert not canonical.geometry.is_rectangular


def test_missing_slices_are_named_in_millimetres(tmp_path: Path) -> None:
    paths = write_series(tmp_path, HU)
    paths[2].unlink()
    paths[5].unlink()
    with pytest.raises(SeriesGap, match=r"2 slices missing at 104\.00, 110\.00 mm"):
        scan.open(tmp_path)


def test_gaps_can_be_allowed_and_slices_stay_in_their_places(tmp_path: Path) -> None:
    paths = write_series(tmp_path, HU)
    paths[2].unlink()
    series = scan.open(tmp_path, allow_gaps=True)
    assert np.array_equal(series.read().hu, np.delete(HU, 2, axis=0))
    assert any("missing at 104.00" in note for note in series.source.notes)
    check_against_simpleitk(series)
    turned, _ = to_canonical(series.read())
    assert turned.geometry.world((2, 0, 0))[2] == pytest.approx(106.0)


@pytest.mark.parametrize("heights", [(0, 2, 4, 7, 9, 11), (0, 1, 3, 6, 10, 15), (0, 2, 4.9, 6, 8, 10)])
def test_uneven_slices_are_refused(tmp_path: Path, heights: tuple[float, ...]) -> None:
    for k, height in enumerate(heights):
        save(slice_dataset(stored_values(HU[k]), (0, 0, height)), tmp_path / f"{k}.dcm")
    with pytest.raises(SeriesGap):
        scan.open(tmp_path)
    check_against_simpleitk(scan.open(tmp_path, allow_gaps=True))


def test_slices_shifted_sideways_are_refused(tmp_path: Path) -> None:
    for k in range(6):
        save(slice_dataset(stored_values(HU[k]), (5.0 * (k == 3), 0, 2.0 * k)), tmp_path / f"{k}.dcm")
    with pytest.raises(SeriesGap, match="shifted"):
        scan.open(tmp_path)


def test_positions_rounded_in_the_header_are_even(tmp_path: Path) -> None:
    for k, values in enumerate(body(30)):
        save(slice_dataset(stored_values(values), (0, 0, round(0.625 * k, 1))), tmp_path / f"{k}.dcm")
    found = scan.open(tmp_path)
    assert found.geometry.is_even
    assert found.spacing_mm[0] == pytest.approx(0.625, abs=0.002)


def test_a_slice_copied_twice_counts_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path, HU)
    shutil.copy(paths[4], tmp_path / "again.dcm")
    dataset = dcmread(paths[1])
    dataset.SOPInstanceUID = "1.2.3.4.5"
    save(dataset, tmp_path / "sent again under another UID.dcm")
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert "2 duplicate slices dropped" in found.source.notes


@pytest.mark.parametrize("change", ["pixels", "rescale"])
def test_two_different_slices_at_one_position_are_refused(tmp_path: Path, change: str) -> None:
    paths = write_series(tmp_path, HU)
    dataset = dcmread(paths[4])
    dataset.SOPInstanceUID = "1.2.3.4.5"
    if change == "pixels":
        values = np.frombuffer(dataset.PixelData, "<u2").copy()
        values[7] += 1
        dataset.PixelData = values.tobytes()
    else:
        dataset.RescaleIntercept = -1000
    save(dataset, tmp_path / "other.dcm")
    for allow_gaps in (False, True):
        with pytest.raises(DuplicateSlices, match=r"108\.00 mm"):
            scan.open(tmp_path, allow_gaps=allow_gaps)


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": None},
        {"PixelSpacing": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 0.5, 0]},
        {"PixelSpacing": [0, 0]},
        {"PixelSpacing": [-0.7, 0.7]},
        {"PixelSpacing": [300, 300]},
        {"ImagePositionPatient": [0, 0]},
    ],
)
def test_a_series_without_a_place_in_the_patient_is_refused(tmp_path: Path, attributes: dict[str, object]) -> None:
    write_series(tmp_path, HU, **attributes)
    with pytest.raises(BadGeometry):
        scan.open(tmp_path)


def test_one_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    path = save(slice_dataset(stored_values(HU[3]), (1, 2, 3), thickness=5.0), tmp_path / "a.dcm")
    series = scan.open(path)
    assert series.geometry.shape == (1, *HU.shape[1:])
    assert series.spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    check_against_simpleitk(series)


def test_slices_of_several_orientations_or_spacings_are_refused_and_counted(tmp_path: Path) -> None:
    turn = {"ImageOrientationPatient": ["0.999998", "0.002", "0", "-0.002", "0.999998", "0"]}
    for name, changed, says in (
        ("turned", turn, r"2 of 8 slices have another orientation \(by up to 0\.11 degrees\)"),
        ("scaled", {"PixelSpacing": ["1.502", "1.502"]}, "2 of 8 slices have another pixel spacing"),
    ):
        for path in write_series(tmp_path / name, HU)[-2:]:
            dataset = dcmread(path)
            for keyword, value in changed.items():
                setattr(dataset, keyword, value)
            save(dataset, path)
        with pytest.raises(BadGeometry, match=says):
            scan.open(tmp_path / name)


def test_all_slices_at_one_position_are_no_two_acquisitions(tmp_path: Path) -> None:
    write_series(tmp_path, HU, step=(0, 0, 0))
    with pytest.raises(BadGeometry, match="8 slices have one and the same position"):
        scan.open(tmp_path)
