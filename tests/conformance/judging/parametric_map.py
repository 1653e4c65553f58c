"""Parametric Maps: every value at its place."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from pydicom import Dataset

from conformance import peers
from conformance.judging.segmentation import plane_of, same_plane
from conformance.subjects import Subject
from outputs.dicom_results import Array, points_of, same_points
from triplenet.outputs import FORMATS


def _values(made: Dataset) -> Array:
    """(F, Y, X) of a Parametric Map that dcmtk has read."""
    return peers.binary(made, "FloatPixelData", "<f4").reshape(int(made.NumberOfFrames), made.Rows, made.Columns)


def _truth_of_map(subject: Subject, path: Path) -> tuple[Array, float]:
    """(n, 3) mm where a map is not 0, and its value there; the toy model's heat is 1 on a lesion.

    Its evidence for the second class, which a lesion makes likeliest, is 0.5 on what is lung and no lesion.
    """
    if path.name != FORMATS["pm"].files[1]:
        return subject.lesions, 1.0
    pure = [plane.points(plane.lung & ~plane.lesion) for plane in subject.planes.values()]
    return np.concatenate(pure), 0.5


def on_planes(points: Array, position: Array, cosines: Array) -> Array:
    """Those of the points that lie on a plane."""
    normal = np.cross(cosines[:3], cosines[3:])
    return points[np.abs((points - position) @ normal) < 0.05]


def pm_dcmtk(subject: Subject, _: str) -> None:
    """Every value, at its place in the patient; what it is of; the slice that it says it is of."""
    for path in subject.files("pm"):
        made = peers.by_dcmtk(path)
        (shared,) = made.SharedFunctionalGroupsSequence
        (orientation,), (measures,) = shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
        (mapping,) = shared.RealWorldValueMappingSequence
        quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue
        assert quantity == ("130403" if path.name == FORMATS["pm"].files[1] else "130402")
        assert (mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.RealWorldValueSlope) == (0.0, 1.0)
        assert (mapping.DoubleFloatRealWorldValueLastValueMapped, mapping.RealWorldValueIntercept) == (1.0, 0.0)
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        (anatomy,) = shared.FrameAnatomySequence
        assert anatomy.FrameLaterality == "B"
        assert anatomy.AnatomicRegionSequence[0].CodeValue == "39607008"
        truth, value = _truth_of_map(subject, path)
        values = _values(made)
        cosines = np.array(orientation.ImageOrientationPatient, float)
        places = []
        for frame, one in zip(made.PerFrameFunctionalGroupsSequence, values, strict=True):
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            places.append(position @ np.cross(cosines[:3], cosines[3:]))
            plane = Dataset()
            plane.ImageOrientationPatient = list(cosines)
            plane.PixelSpacing = measures.PixelSpacing
            found = points_of(one > 0, position, plane)
            expected = on_planes(truth, position, cosines)
            assert same_points(found, expected) if len(expected) else len(found) == 0
            assert np.all(np.abs(one[one > 0] - value) < 1e-6 + (1 / 510 if len(values) > 1 else 0))
            if subject.orientation != "sagittal":
                told, _ = plane_of(subject, frame)
                same_plane(frame, orientation, measures, told)
        assert np.all(np.diff(places) > 0)  # in the order that dcmqi takes them for


def pm_dcmqi(subject: Subject, _: str) -> None:
    for path in subject.files("pm"):
        with TemporaryDirectory() as folder:
            image, values = peers.map_by_dcmqi(path, Path(folder))
        assert values.dtype == np.float32
        truth, value = _truth_of_map(subject, path)
        found = peers.points_of_image(image, values > 0)
        made = pydicom.dcmread(path)
        cosines = np.array(
            made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float
        )
        frames = made.PerFrameFunctionalGroupsSequence
        positions = [np.array(one.PlanePositionSequence[0].ImagePositionPatient, float) for one in frames]
        expected = np.concatenate([on_planes(truth, at, cosines) for at in positions])
        assert same_points(found, expected) if len(expected) else len(found) == 0
        assert np.all(np.abs(values[values > 0] - value) < 1e-6 + (1 / 510 if len(frames) > 1 else 0))
