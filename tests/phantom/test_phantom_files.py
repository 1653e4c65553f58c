"""A phantom cohort on disk: valid DICOM, masks on the scan's grid, whole or not at all."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import typer
from typer.testing import CliRunner

from triplenet import phantom, scan
from triplenet.catalog import TASKS
from triplenet.cli.phantom import phantom as verb
from triplenet.cohort import read_cohort
from triplenet.errors import OutputExists, UnknownName

SIZE = {"matrix": 64, "thickness_mm": 8.0}
SEED, PATIENTS = 4, 4


@pytest.fixture(scope="module")
def dicom(tmp_path_factory):
    """A cohort with DICOM scans, made in this process, and what the progress callback was told."""
    told = []
    out = tmp_path_factory.mktemp("dicom") / "cohort"
    table = phantom.write_cohort(
        out, patients=PATIENTS, seed=SEED, jobs=1, on_progress=lambda *args: told.append(args), **SIZE
    )
    return table, told


@pytest.fixture(scope="module")
def nifti(tmp_path_factory):
    """The same cohort with NIfTI scans."""
    out = tmp_path_factory.mktemp("nifti") / "cohort"
    return phantom.write_cohort(out, patients=PATIENTS, seed=SEED, format="nifti", jobs=1, **SIZE)


def rows(table):
    with table.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@cache
def made(index):
    """The patient that the cohort's row shows."""
    return phantom.patient(SEED, index, **SIZE)


def series(folder):
    """A DICOM series as SimpleITK orders and reads it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def headers(folder):
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]


def corners(image):
    """Physical points of an image's corner voxels."""
    last = [n - 1 for n in image.GetSize()]
    return [
        image.TransformIndexToPhysicalPoint((x, y, z)) for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])
    ]


def test_the_table_is_a_valid_cohort_with_all_findings(dicom):
    table, told = dicom
    cohort = read_cohort(table, tasks=[TASKS["appearance"], TASKS["binary"]])
    assert cohort.findings() == {"typical": 1, "indeterminate": 1, "atypical": 1, "negative": 1}
    assert all(patient.site and patient.lung and patient.infection for patient in cohort)
    assert [row["finding"] for row in rows(table)] == phantom.findings(SEED, PATIENTS)
    assert told == [(k, PATIENTS) for k in range(1, PATIENTS + 1)]


def test_every_path_in_the_table_is_relative(dicom):
    for row in rows(dicom[0]):
        for column in ("scan", "infection", "lung"):
            assert not Path(row[column]).is_absolute()
            assert (dicom[0].parent / row[column]).exists()


@pytest.mark.parametrize("index", range(PATIENTS))
def test_dicom_series_and_masks_share_their_physical_points(dicom, index):
    row, truth = rows(dicom[0])[index], made(index)
    image = series(dicom[0].parent / row["scan"])
    for name, voxels in (("infection", truth.infection), ("lung", truth.lung)):
        mask = sitk.ReadImage(str(dicom[0].parent / row[name]))
        np.testing.assert_allclose(corners(mask), corners(image), atol=1e-3)
        assert np.array_equal(sitk.GetArrayFromImage(mask), voxels)
    assert np.array_equal(sitk.GetArrayFromImage(image), truth.hu)
    x, y, z = image.TransformIndexToPhysicalPoint((5, 7, 3))
    np.testing.assert_allclose(truth.geometry.world((3, 7, 5)), (x, y, z), atol=1e-3)


def test_nifti_scans_hold_the_same_voxels_at_the_same_points(dicom, nifti):
    for one, other in zip(rows(dicom[0]), rows(nifti), strict=True):
        image, volume = series(dicom[0].parent / one["scan"]), sitk.ReadImage(str(nifti.parent / other["scan"]))
        np.testing.assert_allclose(corners(volume), corners(image), atol=1e-3)
        assert np.array_equal(sitk.GetArrayFromImage(volume), sitk.GetArrayFromImage(image))
        assert one["patient"] == other["patient"]


def test_the_nifti_affine_runs_to_the_right_front_and_top(nifti):
    # RAS: the patient's left has negative x, the back negative y.
    for row in rows(nifti):
        volume = nibabel.load(nifti.parent / row["scan"])
        assert nibabel.aff2axcodes(volume.affine) == ("L", "P", "S")
        left, back, up = made(int(row["patient"][-4:]) - 1).geometry.world((2, 3, 4))
        np.testing.assert_allclose(volume.affine @ [4, 3, 2, 1], [-left, -back, up, 1], atol=1e-3)


def test_triplenet_reads_what_it_wrote(dicom):
    for index, row in enumerate(rows(dicom[0])):
        read = scan.read(dicom[0].parent / row["scan"])
        assert np.array_equal(read.hu, np.maximum(made(index).hu, scan.AIR))
        assert read.geometry.same_grid(made(index).geometry)


def test_file_names_are_not_in_the_order_of_the_slices(dicom):
    heights = [float(header.ImagePositionPatient[2]) for header in headers(dicom[0].parent / rows(dicom[0])[0]["scan"])]
    steps = [b > a for a, b in pairwise(heights)]
    assert 0.2 < np.mean(steps) < 0.8


def test_dicom_says_that_it_is_synthetic_and_shows_nobody(dicom):
    for index, row in enumerate(rows(dicom[0])):
        for header in headers(dicom[0].parent / row["scan"]):
            assert header.SyntheticData == "YES"
            assert "Synthetic" in header.ImageComments
            assert str(header.PatientName) == f"PHANTOM^{index + 1:04d}"
            assert header.PatientBirthDate == ""
            assert header.Manufacturer == "triplenet phantom"


def test_dicom_has_what_a_ct_image_needs(dicom):
    for row in rows(dicom[0]):
        found = headers(dicom[0].parent / row["scan"])
        first = found[0]
        assert first.SOPClassUID == pydicom.uid.CTImageStorage
        assert list(first.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert [float(v) for v in first.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
        assert first.BitsAllocated == 16
        assert float(first.RescaleSlope) == 1
        for name in ("KVP", "ConvolutionKernel", "SliceThickness", "PixelSpacing", "FrameOfReferenceUID"):
            assert first.get(name)
        instances = {header.SOPInstanceUID for header in found}
        assert len(instances) == len(found)
        assert all(uid.is_valid and uid.startswith("2.25.") for uid in instances)
        for shared in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            assert len({header[shared].value for header in found}) == 1
        assert sorted(int(header.InstanceNumber) for header in found) == list(range(1, len(found) + 1))


def test_series_of_different_patients_and_sizes_have_different_uids(dicom, tmp_path):
    uids = {headers(dicom[0].parent / row["scan"])[0].SeriesInstanceUID for row in rows(dicom[0])}
    assert len(uids) == PATIENTS
    other = phantom.write_cohort(tmp_path / "other", patients=1, seed=SEED, jobs=1, matrix=64, thickness_mm=9.0)
    assert headers(other.parent / rows(other)[0]["scan"])[0].SeriesInstanceUID not in uids


@pytest.mark.parametrize("model", phantom.MODELS, ids=lambda model: model.site)
def test_stored_values_follow_the_simulated_scanner(model, tmp_path):
    protocol = replace(made(0).protocol, model=model)
    hu = made(0).hu.copy()
    hu[:, 0, 0] = -1024 if protocol.padding_hu is None else protocol.padding_hu
    phantom.write_dicom(replace(made(0), protocol=protocol, hu=hu), tmp_path / "scan")
    dataset = pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    assert dataset.PixelRepresentation == int(model.signed)
    assert float(dataset.RescaleIntercept) == model.intercept
    assert dataset.get("PixelPaddingValue") == model.padding
    assert dataset.pixel_array[0, 0] == (0 if model.padding is None else model.padding)
    height = float(dataset.ImagePositionPatient[2]) - made(0).geometry.affine[2, 3]
    z = int(np.rint(height / SIZE["thickness_mm"]))
    assert np.array_equal(dataset.pixel_array.astype(int) + model.intercept, hu[z])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(dicom):
    for row in rows(dicom[0]):
        path = next((dicom[0].parent / row["scan"]).iterdir())
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        text = said.stdout + said.stderr
        assert "CTImage" in text
        # Synthetic Data (0008,001C) is younger than the validator's dictionary.
        errors = [line for line in text.splitlines() if line.startswith("Error")]
        assert [line for line in errors if not re.search(r"\(0x0008,0x001c\)", line)] == []


def test_a_patients_files_are_the_same_bytes_whatever_the_number_of_jobs_or_patients(dicom, tmp_path):
    fewer = phantom.write_cohort(tmp_path / "cohort", patients=2, seed=SEED, jobs=2, **SIZE).parent
    compared = [path.relative_to(fewer) for folder in ("scans", "masks") for path in (fewer / folder).rglob("*.*")]
    assert len(compared) > 50
    for name in compared:
        assert (fewer / name).read_bytes() == (dicom[0].parent / name).read_bytes(), name
    for row in rows(fewer / "cohort.csv"):
        ours, theirs = (list((root / row["scan"]).iterdir()) for root in (fewer, dicom[0].parent))
        assert len(ours) == len(theirs)


def test_what_was_drawn_is_written_beside_the_table(dicom):
    about = json.loads((dicom[0].parent / "phantom.json").read_text(encoding="utf-8"))
    assert about["seed"] == SEED
    assert [p["finding"] for p in about["patients"]] == phantom.findings(SEED, PATIENTS)
    assert {p["pattern"] for p in about["patients"] if p["finding"] == "negative"} == {"none"}


def test_an_output_that_exists_is_refused_and_untouched(tmp_path):
    (tmp_path / "kept.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(OutputExists):
        phantom.write_cohort(tmp_path, patients=1, jobs=1, **SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phantom.write_cohort(tmp_path / "cohort", patients=1, jobs=1, on_progress=stop, **SIZE)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_before_any_work(tmp_path):
    with pytest.raises(UnknownName, match="dicom, nifti"):
        phantom.write_cohort(tmp_path / "cohort", patients=1, format="png", jobs=1, **SIZE)
    assert list(tmp_path.iterdir()) == []


def run(*arguments):
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_prints_one_json_object(tmp_path):
    options = ("--patients", 1, "--format", "nifti", "--matrix", 64, "--thickness", 10, "--jobs", 1, "--json")
    result = run(tmp_path / "cohort", *options)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["patients"] == 1
    assert told["findings"] == {phantom.finding_of(0, 0): 1}
    assert Path(told["cohort"]) == tmp_path / "cohort" / "cohort.csv"
    assert Path(told["cohort"]).is_file()


def test_the_command_refuses_a_format_it_does_not_know(tmp_path):
    assert run(tmp_path / "cohort", "--format", "png").exit_code == 2
