"""Public data sets become cohort tables."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prepare.synthetic import chest
from triplenet import scan
from triplenet.catalog import TASKS
from triplenet.cohort import read_cohort
from triplenet.cohort.importers import import_dataset
from triplenet.cohort.importers.calibration import calibrate
from triplenet.errors import BadDataset, NotHu, OutputExists, PathMissing, UnknownName


def picture(slope, padding_hu=-2100, lesion=None, size=256):
    """A chest slice as an 8-bit picture of ``slope`` HU a grey level with a round field of view, and its true HU."""
    hu, _, infection, _ = chest(slices=3, size=size, lesion=lesion)
    hu = hu[2]
    rows, columns = np.ogrid[0:size, 0:size]
    outside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 > (size / 2 - 1) ** 2
    grey = np.where(outside, 0, np.rint((hu - padding_hu) / slope).clip(0, 255)).astype(np.uint8)
    return grey, hu, outside, infection[2]


@pytest.mark.parametrize("slope", [9.0, 12.0, 14.0, 30.0])
def test_grey_levels_are_tied_to_hu_by_air_and_soft_tissue(slope):
    grey, hu, outside, _ = picture(slope)
    found = calibrate(grey)
    assert found.slope == pytest.approx(slope, rel=0.04)
    error = found.hu(grey)[~outside] - hu[~outside]
    assert np.abs(np.median(error)) < slope
    assert (found.hu(grey)[outside] == -1024).all()


def test_a_picture_without_lungs_cannot_be_calibrated():
    with pytest.raises(NotHu):
        calibrate(np.tile(np.arange(256, dtype=np.uint8), (256, 1)))


@pytest.fixture
def slices(tmp_path):
    """MosMed's single slices: two patients without and two with infection, one of them with a mask."""
    src = tmp_path / "src"
    (src / "image").mkdir(parents=True)
    (src / "infection").mkdir()
    rows = [("s1", "CT-0", False), ("s2", "CT-1", True), ("s3", "CT-2", False), ("s4", "CT-0", False)]
    with (src / "index.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["patient", "severity", "image", "infection"])
        for patient, severity, masked in rows:
            grey, _, _, infection = picture(12.0, lesion=(2, 100, 75, 12) if masked else None)
            Image.fromarray(np.stack([grey] * 3, axis=-1)).save(src / "image" / f"{patient}.png")
            if masked:
                Image.fromarray(infection * 255).save(src / "infection" / f"{patient}.png")
            table.writerow([patient, severity, f"image/{patient}.png", f"infection/{patient}.png" if masked else ""])
    return src


def test_mosmed_slices_become_scans_in_approximate_hu(slices, tmp_path):
    cohort = read_cohort(import_dataset("mosmed", slices, tmp_path / "out", jobs=1), tasks=[TASKS["severity"]])
    assert [p.finding for p in cohort] == ["CT-0", "CT-1", "CT-2", "CT-0"]
    assert [p.no_infection for p in cohort] == [True, False, False, True]
    read = scan.read(cohort.patients[1].scan)
    assert any("approximate" in note for note in read.source.notes)
    mask, geometry = scan.read_mask(cohort.patients[1].infection, like=read.geometry)
    assert geometry.same_grid(read.geometry)
    assert read.hu[mask > 0].mean() == pytest.approx(-500, abs=40)


def test_mosmeds_official_volumes_stay_where_they_are(tmp_path):
    src = tmp_path / "COVID19_1110"
    for severity, study in (("CT-0", "study_0001"), ("CT-1", "study_0255")):
        (src / "studies" / severity).mkdir(parents=True)
        (src / "studies" / severity / f"{study}.nii.gz").write_bytes(b"x")
    (src / "masks").mkdir()
    (src / "masks" / "study_0255_mask.nii.gz").write_bytes(b"x")
    first, second = read_cohort(import_dataset("mosmed", src, tmp_path / "out"))
    assert first.no_infection and first.scan.samefile(src / "studies" / "CT-0" / "study_0001.nii.gz")
    assert second.infection.samefile(src / "masks" / "study_0255_mask.nii.gz")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "src").mkdir()
    with pytest.raises(BadDataset):
        import_dataset("mosmed", tmp_path / "src", tmp_path / "out")
    with pytest.raises(PathMissing):
        import_dataset("mosmed", tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UnknownName):
        import_dataset("moscow", tmp_path / "src", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_output_is_left_alone(slices, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(OutputExists):
        import_dataset("mosmed", slices, tmp_path / "out", jobs=1)


@pytest.mark.real_data
def test_real_mosmed_slices_calibrate_to_lung_and_tissue():
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA does not name the folder with real scans")
    from triplenet.prepare.lung import lung_mask

    medians = []
    for path in sorted((Path(folder) / "mosmed" / "image").iterdir())[::60]:
        grey = scan.read_image(path)
        hu = calibrate(grey).hu(grey)
        lung = lung_mask(hu[None], (1.0, 0.7, 0.7))[0] > 0
        assert lung.mean() > 0.05, path.name
        medians.append(float(np.median(hu[lung])))
    assert -920 < np.median(medians) < -800
    assert min(medians) > -1000 and max(medians) < -600
