"""What is drawn: the heat of Secondary Captures and the outlines of the Presentation State."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset

from conformance import peers
from conformance.judging.parametric_map import on_planes
from conformance.subjects import Subject
from outputs.dicom_results import Array, points_of
from outputs.test_mask_outlines import filled
from outputs.test_secondary_capture import reds
from triplenet.outputs import secondary_capture

EVIDENCE = "class_evidence"
"""How the file of a picture of what speaks for the class begins"""


def sc_dcmtk(subject: Subject, _: str) -> None:
    """The heat of each picture lies on the lesion of the slice that it is of."""
    shown = []
    for path in subject.files("sc"):
        made = peers.by_dcmtk(path)
        picture = peers.binary(made, "PixelData", "u1").reshape(made.Rows, made.Columns, 3)
        assert (made.PhotometricInterpretation, made.PlanarConfiguration) == ("RGB", 0)
        shown.append(made.InstanceNumber)
        hot = _coloured(picture[:, : -secondary_capture.SCALE], path)
        _heat_in_place(subject, path, made, points_of(hot, np.array(made.ImagePositionPatient, float), made))
    count = len(shown) // len({path.name.split("capture")[0] for path in subject.files("sc")})
    assert sorted(set(shown)) == list(range(1, count + 1)) and shown.count(1) == len(shown) // count


def sc_simpleitk(subject: Subject, _: str) -> None:
    for path in subject.files("sc"):
        image, values = peers.by_simpleitk(path)
        hot = _coloured(values[:, :, : -secondary_capture.SCALE], path)
        _heat_in_place(subject, path, pydicom.dcmread(path), peers.points_of_image(image, hot))


def _coloured(picture: Array, path: Path) -> Array:
    """Where a picture (..., 3) is coloured as heat from about a half on is, or as an outline; the highest is red."""
    coloured = picture.max(axis=-1).astype(int) - picture.min(axis=-1) > 40
    if not path.name.startswith(EVIDENCE):
        assert reds(picture).any() == coloured.any()
    return np.asarray(coloured)


def _heat_in_place(subject: Subject, path: Path, made: Dataset, found: Array) -> None:
    """Whether the coloured points of a picture are the lesion's, in their middle and their area.

    A picture of the evidence for the class has its colour on the lung around the lesion, and little elsewhere.
    """
    position, cosines = np.array(made.ImagePositionPatient, float), np.array(made.ImageOrientationPatient, float)
    of_class = path.name.startswith(EVIDENCE)
    if subject.orientation == "sagittal":  # the picture lies across the scan's slices
        expected = on_planes(subject.lesions, position, cosines)
    else:
        (image,) = made.SourceImageSequence
        plane = subject.planes[str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))]
        lesion = plane.lesion
        expected = plane.points(plane.lung & ~lesion if of_class and lesion.any() else lesion)
    assert (len(found) > 0) == (len(expected) > 0)
    if len(expected):
        np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=1.0)
        area = len(found) * float(np.prod(np.array(made.PixelSpacing, float))) / 16.0
        assert abs(area / len(expected) - 1) < 0.05


def gsps_dcmtk(subject: Subject, _: str) -> None:
    """The outlines, filled by another library, are the lesion of the slice that they are drawn on."""
    if subject.orientation == "sagittal" or not len(subject.lesions):
        assert subject.files("gsps") == []
        return
    drawn = {}
    for path in subject.files("gsps"):
        made = peers.by_dcmtk(path)
        assert "SoftcopyVOILUTSequence" not in made and made.PresentationCreationDate
        assert [layer.GraphicLayer for layer in made.GraphicLayerSequence] == list(
            dict.fromkeys(one.GraphicLayer for one in made.GraphicAnnotationSequence)
        )
        for annotation in made.GraphicAnnotationSequence:
            (image,) = annotation.ReferencedImageSequence
            key = str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))
            plane = subject.planes[key]
            lines = []
            for graphic in annotation.GraphicObjectSequence:
                assert (graphic.GraphicType, graphic.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
                lines.append(np.array(graphic.GraphicData, float).reshape(-1, 2))
                assert len(lines[-1]) == graphic.NumberOfGraphicPoints
                np.testing.assert_array_equal(lines[-1][0], lines[-1][-1])
            drawn[key] = filled(lines, plane.hu.shape)
        (area,) = made.DisplayedAreaSelectionSequence
        rows, columns = next(iter(subject.planes.values())).hu.shape
        assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
        assert list(area.DisplayedAreaBottomRightHandCorner) == [columns, rows]
    for key, mask in drawn.items():
        np.testing.assert_array_equal(mask, subject.planes[key].lesion)
    assert subject.largest in drawn
