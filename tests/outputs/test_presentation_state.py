"""Presentation State: the infection's outline lies on the scan's own slices, and changes nothing else there."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from outputs.dicom_results import chest_hu, enhanced_source, errors_of, result_of, source, written
from outputs.test_mask_outlines import filled
from toy_model import MARKED_HU
from triplenet.outputs import presentation_state, write

LESION = (4, 40, 28, 5)


def lesion():
    """(Z, Y, X) HU: one lesion on two slices, and where it is."""
    hu = chest_hu(LESION)
    y, x = np.mgrid[:96, :96]
    hu[3][(y - 44) ** 2 + (x - 30) ** 2 < 16] = MARKED_HU
    return hu


def drawn(made):
    """By the instance and frame it is drawn on, the mask of 96 x 96 that the outlines enclose."""
    masks = {}
    for annotation in made.GraphicAnnotationSequence:
        (image,) = annotation.ReferencedImageSequence
        lines = []
        for graphic in annotation.GraphicObjectSequence:
            assert (graphic.GraphicType, graphic.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
            lines.append(np.array(graphic.GraphicData).reshape(-1, 2))
            assert len(lines[-1]) == graphic.NumberOfGraphicPoints
        masks[image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")] = filled(lines, (96, 96))
    return masks


@pytest.mark.parametrize("turned", ["plain", "feet first"])
def test_the_outlines_enclose_the_lesion_on_the_slices_as_they_are_stored(tmp_path, turned):
    options = {}
    if turned == "feet first":
        options = {"PatientPosition": "FFS", "across": (-1, 0, 0), "step": (0, 0, -4.0)}
    paths = source(tmp_path / "scan", lesion(), WindowCenter="-500", WindowWidth="1400", **options)
    made = written(result_of(tmp_path / "scan"), tmp_path / "out", "gsps")["gsps"]
    masks = drawn(made)
    marked = {}
    for path in paths:
        one = pydicom.dcmread(path)
        inside = one.pixel_array.astype(int) + int(one.RescaleIntercept) == MARKED_HU
        if inside.any():
            marked[one.SOPInstanceUID, None] = inside
    assert len(marked) == 2 and masks.keys() == marked.keys()
    for place, mask in masks.items():
        np.testing.assert_array_equal(mask, marked[place])
    assert errors_of("dciodvfy", tmp_path / "out" / presentation_state.FILE, options=["-new"]) == []
    assert errors_of("dcentvfy", *paths, tmp_path / "out" / presentation_state.FILE) == []
    assert "SoftcopyVOILUTSequence" not in made  # a reader's own window stays
    assert made.InstanceNumber == 1
    (area,) = made.DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelSpacing) == [4.0, 4.0] and "PresentationPixelAspectRatio" not in area
    (series,) = made.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence} == {uid for uid, _ in marked}


def test_frames_of_an_enhanced_object_are_drawn_on(tmp_path):
    path = enhanced_source(tmp_path, lesion())
    made = written(result_of(path), tmp_path / "out", "gsps")["gsps"]
    source_uid = pydicom.dcmread(path).SOPInstanceUID
    masks = drawn(made)
    assert list(masks) == [(source_uid, 4), (source_uid, 5)]
    np.testing.assert_array_equal(masks[source_uid, 5], lesion()[4] == MARKED_HU)
    (series,) = made.ReferencedSeriesSequence
    assert list(series.ReferencedImageSequence[0].ReferencedFrameNumber) == [4, 5]
    assert errors_of("dciodvfy", tmp_path / "out" / presentation_state.FILE, options=["-new"]) == []


def test_slices_of_another_rescale_have_a_state_of_their_own(tmp_path):
    paths = source(tmp_path / "scan", lesion())
    (first,) = [path for path in paths if pydicom.dcmread(path).ImagePositionPatient[2] == -300.25 + 3 * 4.0]
    one = pydicom.dcmread(first)
    one.PixelData = (one.pixel_array.astype(int) + int(one.RescaleIntercept) + 2000).astype(np.uint16).tobytes()
    one.PixelRepresentation, one.RescaleIntercept = 0, "-2000"
    one.save_as(first)
    write(result_of(tmp_path / "scan"), tmp_path / "out", ["gsps"])
    states = [
        pydicom.dcmread(tmp_path / "out" / name) for name in (presentation_state.FILE, "presentation_state_2.dcm")
    ]
    assert [float(state.RescaleIntercept) for state in states] == [-2000.0, -1024.0]
    assert [state.InstanceNumber for state in states] == [1, 2]
    assert [len(state.GraphicAnnotationSequence) for state in states] == [1, 1]
    assert (
        states[0].GraphicAnnotationSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    )
    for path in (tmp_path / "out").glob("*.dcm"):
        assert errors_of("dciodvfy", path, options=["-new"]) == []


def test_the_layer_says_what_is_outlined_and_by_what(tmp_path):
    source(tmp_path / "scan", lesion())
    made = written(result_of(tmp_path / "scan"), tmp_path / "out", "gsps")["gsps"]
    (layer,) = made.GraphicLayerSequence
    assert layer.GraphicLayerDescription == "Infection by triple. Research use only"
    assert made.ContentDescription == layer.GraphicLayerDescription


def test_without_a_finding_there_is_none(tmp_path):
    source(tmp_path / "scan", chest_hu(lesion=None))
    write(result_of(tmp_path / "scan"), tmp_path / "out", ["json", "gsps"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]
