"""Secondary Captures: pictures that lie where the scan's slices do, and say what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from outputs.dicom_results import (
    FRAME_OF_REFERENCE,
    chest_hu,
    enhanced_source,
    errors_of,
    result_of,
    source,
)
from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet.errors import NotDicom
from triplenet.inference import Keep, predict
from triplenet.inference.shown_slices import AROUND, neighbours
from triplenet.outputs import FORMATS, needed_by, secondary_capture, write
from triplenet.scan import Scan, Source

LESION = (4, 40, 28, 5)  # slice from the feet, row, column, radius


def captures(result, folder):
    """The objects, by the slice's number from the feet."""
    write(result, folder, ["sc"])
    chosen = result.record.slice.from_feet
    return {
        chosen if path.name == secondary_capture.FILE else int(path.stem[-4:]): pydicom.dcmread(path)
        for path in sorted(folder.glob("*.dcm"))
    }


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    paths = source(folder, chest_hu(LESION), Laterality="U", LossyImageCompression="01")
    return folder, paths


@pytest.fixture(scope="module")
def result(scan):
    return result_of(scan[0])


@pytest.fixture(scope="module")
def made(result, tmp_path_factory):
    return captures(result, tmp_path_factory.mktemp("made") / "out")


def reds(picture):
    """(Y, X) where a picture is coloured as high heat is."""
    red, green, blue = (picture[..., at].astype(int) for at in range(3))
    return (red > green + 60) & (red > blue + 60)


def in_patient(made, rows, columns):
    """(n, 3) mm of pixels, as PS3.3 C.7.6.2.1.1 has it."""
    cosines = np.array(made.ImageOrientationPatient, float)
    row_mm, column_mm = map(float, made.PixelSpacing)
    position = np.array(made.ImagePositionPatient, float)
    return position + np.outer(columns * column_mm, cosines[:3]) + np.outer(rows * row_mm, cosines[3:])


def middle_of_the_heat(made):
    """mm: of the largest coloured area that lies in the slice, the colour bar being beside it."""
    red = reds(made.pixel_array)
    labels, _ = ndimage.label(red[:, : -secondary_capture.SCALE])
    sizes = np.bincount(labels.ravel())[1:]
    rows, columns = np.nonzero(labels == sizes.argmax() + 1)
    return in_patient(made, rows, columns).mean(axis=0)


def test_the_chosen_slice_and_its_neighbours_are_shown(result, made):
    assert result.record.slice.from_feet == 4
    assert sorted(made) == [2, 3, 4, 5]  # of six slices there is one above the chosen one
    assert [one.InstanceNumber for _, one in sorted(made.items())] == [1, 2, 3, 4]
    assert neighbours(10, 30) == range(10 - AROUND, 11 + AROUND)
    assert neighbours(0, 30) == range(0, 1 + AROUND)


def test_every_slice_on_request(scan, tmp_path):
    every = captures(result_of(scan[0], every_slice=True), tmp_path / "out")
    assert sorted(every) == list(range(6))


def test_every_picture_is_of_the_size_of_its_neighbours(made):
    assert len({one.pixel_array.shape for one in made.values()}) == 1


def test_a_picture_lies_where_its_slice_does(scan, made):
    headers = {float(one.ImagePositionPatient[2]): one for one in map(pydicom.dcmread, scan[1])}
    for z, one in made.items():
        own = headers[-300.25 + 4.0 * z]
        assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == own.SOPInstanceUID
        assert one.FrameOfReferenceUID == FRAME_OF_REFERENCE
        assert list(one.ImageOrientationPatient) == list(own.ImageOrientationPatient)
        assert list(one.PatientOrientation) == ["L", "P"]
        assert one.SliceThickness == 4.0
        # 96 pixels of 4 mm are enlarged five times: 0.8 mm each. The slice's own edge is where its picture's is.
        assert list(one.PixelSpacing) == [0.8, 0.8]
        column = (own.ImagePositionPatient[0] - 2.0 + 0.4 - one.ImagePositionPatient[0]) / 0.8
        assert column == pytest.approx(0.0)
        assert one.ImagePositionPatient[2] == own.ImagePositionPatient[2]


def test_the_heat_lies_where_the_lesion_is(made):
    # The lesion's middle is pixel (40, 28) of 4 mm from (-190, -180.5).
    assert middle_of_the_heat(made[4]) == pytest.approx([-190.0 + 28 * 4, -180.5 + 40 * 4, -284.25], abs=1.0)
    assert not reds(made[2].pixel_array)[:, : -secondary_capture.SCALE].any()


def test_a_slice_that_is_large_enough_is_not_enlarged(tmp_path):
    factor = secondary_capture.READABLE // 96 + 1
    hu = np.kron(chest_hu(LESION), np.ones((1, factor, factor), np.int16))
    source(tmp_path / "scan", hu, spacing=(0.8, 0.8))
    made = captures(result_of(tmp_path / "scan"), tmp_path / "out")[4]
    assert list(made.PixelSpacing) == [0.8, 0.8]
    assert made.ImagePositionPatient[0] == -190.0
    assert made.Columns == 96 * factor + secondary_capture.SCALE


@pytest.mark.parametrize("turned", ["feet first", "wide"])
def test_heat_lies_where_the_lesion_is_however_the_scan_is_stored(tmp_path, turned):
    hu = chest_hu(LESION)
    if turned == "feet first":
        options = {"PatientPosition": "FFS", "across": (-1, 0, 0), "step": (0, 0, -4.0)}
        middle = [-190.0 - 28 * 4, -180.5 + 40 * 4, -300.25 - 16.0]
    else:  # more columns than rows, and pixels that are not square
        hu, options = hu[:, 12:90], {"spacing": (4.0, 3.0)}
        middle = [-190.0 + 28 * 3, -180.5 + 28 * 4, -284.25]
    source(tmp_path / "scan", hu, **options)
    made = captures(result_of(tmp_path / "scan"), tmp_path / "out")
    assert middle_of_the_heat(pydicom.dcmread(tmp_path / "out" / secondary_capture.FILE)) == pytest.approx(
        middle, abs=2.0
    )
    assert all(one.PatientOrientation[1] == "P" for one in made.values())


def test_a_frame_of_an_enhanced_object_is_named(tmp_path):
    enhanced_source(tmp_path, chest_hu(LESION))
    made = captures(result_of(tmp_path / "enhanced.dcm"), tmp_path / "out")
    assert [one.SourceImageSequence[0].ReferencedFrameNumber for _, one in sorted(made.items())] == [3, 4, 5, 6]
    for path in (tmp_path / "out").glob("*.dcm"):
        assert errors_of("dciodvfy", path, options=["-new"]) == []


def test_what_is_burned_in_is_told_and_the_sources_facts_stay(made):
    for one in made.values():
        assert one.BurnedInAnnotation == "YES"
        assert one.PhotometricInterpretation == "RGB"
        assert (one.Laterality, one.LossyImageCompression) == ("U", "01")
        assert one.ConversionType == "WSD"


def test_the_words_say_class_probability_model_and_purpose(result, monkeypatch):
    said = []
    draw = secondary_capture.write_line
    monkeypatch.setattr(secondary_capture, "write_line", lambda *told: (said.append(told[2]), draw(*told)))
    secondary_capture.capture(result, result.shown[3])
    text = " ".join(said)
    for part in ("positive 1.00", "negative 0.00", "Infection probability", "model triple eeeeeeeeeeee."):
        assert part in text
    assert "Slice 3 (0 at the feet, 5 at the head), 1 below the one chosen." in said
    assert "Research use only" in text and "not a medical device" in text
    assert "Cyan outline: infection by triple." not in said  # this slice has none
    secondary_capture.capture(result, result.shown[4])
    assert "Cyan outline: infection by triple." in said


def test_nothing_burned_in_hides_the_slice(result):
    made = secondary_capture.capture(result, result.shown[2])
    (down, right), factor = made.corner, made.enlarged
    image = result.shown[2].image
    inside = made.picture[down : down + 96 * factor, right : right + 96 * factor]
    assert (inside[..., 0] == inside[..., 1]).all()  # no heat on this slice, and no word
    assert np.abs(inside[2::5, 2::5, 0].astype(int) - image).max() <= 1  # the middle of each enlarged pixel


def test_a_3d_method_shows_the_slices_between_its_frames(scan, tmp_path):
    made = captures(result_of(scan[0], model=marker(frames=6, method="resnet3d")), tmp_path / "out")
    assert sorted(made) == [2, 3, 4, 5]
    assert reds(made[4].pixel_array)[:, : -secondary_capture.SCALE].any()


def test_slices_are_held_only_where_an_output_needs_them(scan):
    assert needed_by(["sc"]) == Keep(segments=True, instances=True, shown=True)
    held = predict(scan[0], marker(), keep=Keep(segments=True, instances=True))
    assert held.shown is None
    with pytest.raises(NotDicom, match="slices to be shown"):
        list(secondary_capture.secondary_captures(held))


def test_heat_of_neighbours_changes_no_measure(scan):
    without = predict(scan[0], marker(), keep=Keep(instances=True))
    shown = predict(scan[0], marker(), keep=Keep(instances=True, shown=True))
    plain = [one.record.model_dump(exclude={"timings_ms"}) for one in (without, shown)]
    assert plain[0] == plain[1]


def test_a_scan_that_is_no_dicom_has_its_slices_too():
    hu, _, infection, geometry = chest(lesion=LESION)
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)
    held = predict(Scan(hu, geometry, Source("nifti", "x")), marker(), keep=Keep(shown=True))
    chosen = held.record.slice.from_feet
    assert held.shown.slices == neighbours(chosen, 6)
    np.testing.assert_array_equal(held.shown[chosen].image, held.image)
    np.testing.assert_array_equal(held.shown[chosen].heat, held.heat)
    with pytest.raises(NotDicom):
        list(secondary_capture.secondary_captures(replace(held, instances=None)))
    assert FORMATS["sc"].is_dicom
