"""Regions and map as NIfTI lie where the scan does, read by SimpleITK."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK

from outputs.dicom_results import points_of, result_of, same_points, source, source_pixels
from outputs.dicom_sources import SOURCES, marked
from toy_model import MARKED_HU, marker
from triplenet.errors import SeriesGap
from triplenet.inference import Keep
from triplenet.outputs import write


def read(path):
    image = SimpleITK.ReadImage(str(path))
    return image, SimpleITK.GetArrayFromImage(image)


def voxels_of(path):
    """(n, 3) where the voxels that are not 0 lie in the patient, LPS mm."""
    image, values = read(path)
    return np.array([image.TransformIndexToPhysicalPoint(at) for at in np.argwhere(values)[:, ::-1].tolist()])


@pytest.mark.parametrize("name", ["plain", "prone", "feet first", "oblique", "sagittal", "enhanced"])
def test_the_infection_lies_where_the_source_shows_it(tmp_path, name):
    write_source, options = SOURCES[name]
    paths = write_source(tmp_path / "scan", marked(0, 2, 5))
    write(result_of(tmp_path / "scan", keep=Keep(segments=True), **options), tmp_path / "out", ["nifti"])
    expected = [points_of(hu == MARKED_HU, at, plane) for _, _, at, plane, hu in source_pixels(paths)]
    infection = voxels_of(tmp_path / "out" / "infection.nii.gz")
    assert same_points(infection, np.concatenate(expected))
    lung = {tuple(point) for point in voxels_of(tmp_path / "out" / "lung.nii.gz").round(2).tolist()}
    assert {tuple(point) for point in infection.round(2).tolist()} < lung
    # The slice that is shown is the last one, whose mark is the largest; the toy model's heat is 1 there.
    heat = voxels_of(tmp_path / "out" / "map.nii.gz")
    height = heat[:, 2] if name != "oblique" else heat[:, 2].round(3)
    assert len(np.unique(height.round(3))) == 1
    top = np.concatenate(expected)
    assert same_points(heat, top[top[:, 2].round(3) == height.round(3)[0]])


def test_what_a_result_does_not_tell_is_not_there(tmp_path):
    source(tmp_path / "scan", marked(2))
    result = result_of(tmp_path / "scan", keep=Keep(segments=True), model=marker(method="baseline"), search="lung")
    write(result, tmp_path / "out", ["nifti"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["map.nii.gz"]


def test_a_scan_without_infection_has_a_volume_of_zeros(tmp_path):
    source(tmp_path / "scan", marked())
    write(result_of(tmp_path / "scan", model=marker(evidence=True)), tmp_path / "out", ["nifti"])
    assert read(tmp_path / "out" / "infection.nii.gz")[1].shape == (6, 96, 96)
    assert not read(tmp_path / "out" / "infection.nii.gz")[1].any()
    _, evidence = read(tmp_path / "out" / "class-evidence-map.nii.gz")
    assert evidence.shape == (1, 96, 96) and set(np.unique(evidence).tolist()) == {0.0, 0.25}


def test_unevenly_spaced_slices_are_refused(tmp_path):
    write_source, options = SOURCES["uneven"]
    write_source(tmp_path / "scan", marked(2))
    with pytest.raises(SeriesGap, match="leave nifti out"):
        write(result_of(tmp_path / "scan", **options), tmp_path / "out", ["nifti"])
    assert not (tmp_path / "out").exists()


def test_the_csv_is_the_record_in_a_line(tmp_path):
    source(tmp_path / "scan", marked(2))
    result = result_of(tmp_path / "scan")
    write(result, tmp_path / "out", ["csv"])
    with (tmp_path / "out" / "result.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    measures = result.record.measures
    assert row["predicted"] == "positive" and row["slice"] == "2" and row["slices"] == "6"
    assert float(row["infected_ml"]) == pytest.approx(measures.both.infection_ml.estimate)
    assert float(row["p_negative"]) + float(row["p_positive"]) == pytest.approx(1)
    assert "status" not in row
