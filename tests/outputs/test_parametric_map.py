"""The Parametric Map: the values themselves at their places, read back by readers that did not write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from outputs.dicom_results import Array, errors_of, result_of, source, source_pixels, written
from outputs.dicom_sources import SOURCES, marked
from toy_model import MARKED_HU, marker
from triplenet.catalog import METHODS
from triplenet.explanation.map_kinds import CLASS, MAPS, OWN
from triplenet.inference import Result
from triplenet.outputs import FORMATS, parametric_map, write

PM, SECOND = FORMATS["pm"].files
RUNS = ("plain", "prone", "feet first", "tilted", "oblique", "sagittal", "enhanced")


@dataclass(frozen=True)
class Case:
    """A source, what the toy model says of it, and its map: of one slice, or of a run of them."""

    name: str
    folder: Path
    paths: list[Path]
    result: Result
    pm: pydicom.Dataset


def make(folder, name, **more):
    write_source, options = SOURCES[name]
    paths = write_source(folder / "scan", marked(0, 2, 5))
    result = result_of(folder / "scan", any_body_part=True, **options, **more)
    return Case(name, folder, paths, result, written(result, folder / "out", "pm")["pm"])


@pytest.fixture(scope="module", params=SOURCES)
def one(request, tmp_path_factory):
    """The slice that is shown."""
    return make(tmp_path_factory.mktemp("one"), request.param)


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    """Every slice."""
    return make(tmp_path_factory.mktemp("run"), request.param, every_slice=True)


def values_of(pm) -> Array:
    return np.frombuffer(pm.FloatPixelData, "<f4").reshape(int(pm.NumberOfFrames), pm.Rows, pm.Columns)


def refers_to(pm):
    """(UID, frame number, position) of every frame."""
    for frame in pm.PerFrameFunctionalGroupsSequence:
        (derivation,) = frame.DerivationImageSequence
        (told,) = derivation.SourceImageSequence
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        yield told.ReferencedSOPInstanceUID, int(told.get("ReferencedFrameNumber", 1)), position


def check_against_the_source(case):
    """The toy model's heat is 1 where the source has its mark, and 0 elsewhere."""
    shown = {(uid, number): (place, hu) for uid, number, place, _, hu in source_pixels(case.paths)}
    for (uid, number, position), values in zip(refers_to(case.pm), values_of(case.pm), strict=True):
        np.testing.assert_array_equal(values, (shown[uid, number][1] == MARKED_HU).astype(np.float32))
        np.testing.assert_array_equal(position, shown[uid, number][0])


def test_one_slice_has_the_values_and_the_place_of_that_slice(one):
    if one.name == "sagittal":  # the map is of an axial slice, of which the source has none
        pytest.skip("the map's plane is none of the source's")
    assert one.pm.NumberOfFrames == 1
    check_against_the_source(one)


def test_a_run_has_every_slice_in_the_order_of_the_normal(run):
    check_against_the_source(run)
    places = np.array([place for *_, place in refers_to(run.pm)])
    assert len(places) == (96 if run.name == "sagittal" else 6)
    orientation = run.pm.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    normal = np.cross(np.array(orientation[:3], float), np.array(orientation[3:], float))
    assert (np.diff(places @ normal) > 0).all()
    frames = run.pm.PerFrameFunctionalGroupsSequence
    index = [frame.FrameContentSequence[0].DimensionIndexValues for frame in frames]
    assert index == list(range(1, len(places) + 1))


def check_by_validators(case):
    file = case.folder / "out" / PM
    assert errors_of("dciodvfy", file, options=["-new"]) == []
    assert errors_of("dcentvfy", *case.paths, file) == []


def test_an_axial_slice_of_a_sagittal_scan_lies_where_it_was_cut(tmp_path):
    case = make(tmp_path, "sagittal")
    place, _ = case.pm.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence, None
    height = case.result.record.slice.z_mm
    assert [float(value) for value in place[0].ImagePositionPatient] == pytest.approx([-190.0, -180.5, height])
    np.testing.assert_array_equal(values_of(case.pm)[0], marked(0, 2, 5)[5] == MARKED_HU)
    shared = case.pm.SharedFunctionalGroupsSequence[0]
    np.testing.assert_allclose(shared.PlaneOrientationSequence[0].ImageOrientationPatient, [1, 0, 0, 0, 1, 0])


def test_unevenly_spaced_slices_have_the_map_of_one(tmp_path):
    case = make(tmp_path, "uneven", every_slice=True)
    assert case.pm.NumberOfFrames == 1
    check_against_the_source(case)


def test_what_the_values_are_is_coded(one):
    shared = one.pm.SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == 0.0
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == 1.0
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    (quantity,) = mapping.QuantityDefinitionSequence
    assert quantity.ConceptCodeSequence[0].CodeValue == "130402"  # the attention map of the triple net
    assert mapping.LUTExplanation == "infection probability"
    assert shared.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeValue == "39607008"
    assert one.pm.BodyPartExamined == "CHEST" and one.pm.ContentQualification == "RESEARCH"


@pytest.mark.parametrize(
    ("method", "code"), [("baseline", "130403"), ("wsdl", "130402"), ("abn", "130402"), ("triple", "130402")]
)
def test_the_quantity_follows_from_the_methods_map(tmp_path, method, code):
    source(tmp_path / "scan", marked(2))
    result = result_of(tmp_path / "scan", model=marker(method=method))
    (mapping,) = (
        written(result, tmp_path / "out", "pm")["pm"].SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    )
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == code


def test_every_map_that_there_is_has_a_code():
    known = {method.explanation for method in METHODS.values()} | {name for name in MAPS if name != OWN}
    assert known == set(parametric_map.QUANTITIES)
    codes = {name: parametric_map.QUANTITIES[name].value for name in known}
    assert codes["occlusion"] == codes["integrated-gradients"] == "130404"
    assert codes["grad-cam"] == codes["layer-cam"] == codes[CLASS] == "130403"
    assert codes["cam"] == codes["score-cam"] == codes["attention"] == "130402"


def test_the_evidence_for_the_class_is_a_second_map(tmp_path):
    hu = marked(2, 3)
    paths = source(tmp_path / "scan", hu)
    result = result_of(tmp_path / "scan", model=marker(evidence=True), every_slice=True)
    write(result, tmp_path / "out", ["pm"])
    first, second = (pydicom.dcmread(tmp_path / "out" / name) for name in (PM, SECOND))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2) and first.SOPInstanceUID != second.SOPInstanceUID
    (mapping,) = second.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "130403"
    # The toy model has 0.25 in the lung for the first class, and 0.5 for the second, which its mark makes likeliest.
    assert [round(float(values.max()), 1) for values in values_of(second)] == [0.3, 0.3, 0.5, 0.5, 0.3, 0.3]
    assert not np.array_equal(values_of(first), values_of(second))
    for name in (PM, SECOND):
        assert errors_of("dciodvfy", tmp_path / "out" / name, options=["-new"]) == []
    assert errors_of("dcentvfy", *paths, tmp_path / "out" / PM, tmp_path / "out" / SECOND) == []


def test_a_map_of_one_slice_has_the_networks_own_values(tmp_path):
    source(tmp_path / "scan", marked(2))
    result = result_of(tmp_path / "scan")
    heat = np.linspace(0, 1, result.heat.size, dtype=np.float32).reshape(result.heat.shape)
    made = written(replace(result, heat=heat), tmp_path / "out", "pm")["pm"]
    np.testing.assert_array_equal(values_of(made)[0], heat)
