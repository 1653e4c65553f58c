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
from triplenet.cohort.folds import Member, split
from triplenet.errors import BadInput, OutputExists, UnknownName
from triplenet.files import held_folder
from triplenet.phantom import kept_patients

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


def stopped_after(count, out, **settings):
    """A cohort whose making is interrupted when so many patients are done."""

    def stop(done, _total):
        if done == count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phantom.write_cohort(out, jobs=1, on_progress=stop, **(SIZE | {"seed": SEED, "format": "nifti"} | settings))


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def patients_made(monkeypatch):
    """The numbers of the patients that are made, and not found; whatever the settings, those of the fixtures."""
    numbers = []

    def noted(_seed, index, **_settings):
        numbers.append(index)
        return made(index)

    monkeypatch.setattr(kept_patients, "patient", noted)
    return numbers


@pytest.mark.parametrize("format", phantom.FORMATS)
def test_a_stopped_cohort_goes_on_to_the_same_bytes(dicom, nifti, tmp_path, format, patients_made):
    out = tmp_path / "cohort"
    stopped_after(2, out, patients=PATIENTS, format=format)
    assert not out.exists()
    assert patients_made == [0, 1]
    (partial,) = tmp_path.iterdir()
    # What a killed process leaves of the patient it was at: half of its files, under their own or passing names.
    (cohort,) = partial.glob("*/cohort")
    half = cohort / "scans" / ("phantom-0003" if format == "dicom" else ".tmp-elsewhere-phantom-0003.nii.gz")
    if format == "dicom":
        half.mkdir()
        half /= "half.dcm"
    half.write_bytes(b"half")
    told = []
    phantom.write_cohort(
        out, patients=PATIENTS, seed=SEED, format=format, jobs=1, on_progress=lambda *done: told.append(done), **SIZE
    )
    assert patients_made == [0, 1, 2, 3]
    assert told == [(k, PATIENTS) for k in range(1, PATIENTS + 1)]
    whole = dicom[0].parent if format == "dicom" else nifti.parent
    assert files_of(out) == files_of(whole)
    assert list(tmp_path.iterdir()) == [out]


def test_a_kept_patient_whose_file_has_changed_is_made_again(nifti, tmp_path, patients_made):
    out = tmp_path / "cohort"
    stopped_after(2, out, patients=PATIENTS)
    (scan,) = tmp_path.rglob("phantom-0001-lung.nii.gz")
    scan.write_bytes(scan.read_bytes()[:-1])
    phantom.write_cohort(out, patients=PATIENTS, seed=SEED, format="nifti", jobs=1, **SIZE)
    assert patients_made == [0, 1, 0, 2, 3]
    assert files_of(out) == files_of(nifti.parent)


def test_a_smaller_cohort_takes_over_its_patients_only(tmp_path, patients_made):
    stopped_after(3, tmp_path / "cohort", patients=PATIENTS)
    smaller = phantom.write_cohort(tmp_path / "cohort", patients=2, seed=SEED, format="nifti", jobs=1, **SIZE)
    assert patients_made == [0, 1, 2]
    fresh = phantom.write_cohort(tmp_path / "fresh", patients=2, seed=SEED, format="nifti", jobs=1, **SIZE)
    assert files_of(smaller.parent) == files_of(fresh.parent)


@pytest.mark.parametrize("other", [{"seed": SEED + 1}, {"format": "dicom"}, {"matrix": 65}, {"thickness_mm": 9.0}])
def test_patients_of_another_cohort_are_not_taken_over(tmp_path, patients_made, other):
    stopped_after(1, tmp_path / "cohort", patients=1)
    stopped_after(1, tmp_path / "cohort", patients=1, **other)
    assert patients_made == [0, 0]


def test_patients_of_another_version_are_not_taken_over(tmp_path, patients_made, monkeypatch):
    stopped_after(1, tmp_path / "cohort", patients=1)
    monkeypatch.setattr(kept_patients, "__version__", "0.0.0")
    stopped_after(1, tmp_path / "cohort", patients=1)
    assert patients_made == [0, 0]


@pytest.mark.usefixtures("patients_made")
def test_a_cohort_that_another_process_writes_is_refused(tmp_path):
    stopped_after(1, tmp_path / "cohort", patients=1)
    with held_folder(tmp_path / ".cohort.partial"), pytest.raises(OutputExists, match="another process"):
        phantom.write_cohort(tmp_path / "cohort", patients=1, seed=SEED, format="nifti", jobs=1, **SIZE)
    assert len(list(tmp_path.rglob("*.nii.gz"))) == 3


def test_a_failure_before_the_first_patient_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no patient")

    monkeypatch.setattr(kept_patients, "patient", fail)
    with pytest.raises(RuntimeError, match="no patient"):
        phantom.write_cohort(tmp_path / "cohort", patients=1, jobs=1, **SIZE)
    assert list(tmp_path.iterdir()) == []


def test_a_cohort_like_the_papers_has_its_numbers_in_every_fold():
    order = phantom.findings(0, 1279)
    folds = split([Member(f"phantom-{k + 1:04d}", finding) for k, finding in enumerate(order)])
    finding_of = {f"phantom-{k + 1:04d}": finding for k, finding in enumerate(order)}
    for fold in folds:
        # What the paper says of its own: 169 of the target in each test fold, 84 in each validation fold.
        for part, positive in ((fold.test, 169), (fold.validation, 84)):
            assert sum(finding_of[p] in ("typical", "indeterminate") for p in part) == positive
    assert [(len(f.train), len(f.validation), len(f.test)) for f in folds] == [
        (852, 141, 286),
        (854, 141, 284),
        (852, 141, 286),
    ]


@pytest.mark.usefixtures("patients_made")
def test_a_cohort_like_another_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(phantom.LIKE, "small", {"typical": 1, "negative": 1})
    out = phantom.write_cohort(tmp_path / "small", like="small", seed=SEED, format="nifti", jobs=1, **SIZE).parent
    about = json.loads((out / "phantom.json").read_text(encoding="utf-8"))
    assert (about["like"], len(about["patients"])) == ("small", 2)


def test_a_cohort_like_no_known_one_or_of_two_sizes_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="paper"):
        phantom.write_cohort(tmp_path / "cohort", like="papers", jobs=1, **SIZE)
    with pytest.raises(BadInput, match="both"):
        phantom.write_cohort(tmp_path / "cohort", like="paper", patients=3, jobs=1, **SIZE)
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


def test_the_command_makes_twenty_patients_or_as_many_as_the_paper(monkeypatch, tmp_path):
    asked = []

    def stop(_out, **options):
        asked.append((options["patients"], options["like"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(phantom, "write_cohort", stop)
    run(tmp_path / "cohort")
    run(tmp_path / "cohort", "--like", "paper")
    assert asked == [(None, None), (None, "paper")]
    assert phantom.PATIENTS == 20
    assert sum(phantom.LIKE["paper"].values()) == 1279


@pytest.mark.parametrize("options", [("--like", "papers"), ("--like", "paper", "--patients", 3)])
def test_the_command_refuses_a_cohort_that_is_unknown_or_of_two_sizes(tmp_path, options):
    assert run(tmp_path / "cohort", *options).exit_code == 2
    assert list(tmp_path.iterdir()) == []
