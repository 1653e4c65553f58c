"""Every importer takes scans, masks and pictures in every format that the reader reads, and loses none in silence."""

import shutil
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from datasets.test_datasets import passed, picture
from scan.dicom_builder import body, write_series
from triplenet import scan
from triplenet.cohort.table import read_cohort
from triplenet.datasets import import_dataset
from triplenet.datasets.scan_files import ANOTHER_FORMAT, SCANS
from triplenet.scan.formats import PICTURE_SUFFIXES, VOLUME_SUFFIXES

HU = body(6, 24, 20)
FOLDER = ""
KINDS = (*SCANS, FOLDER)
BY_FINDING = {
    "folders": ("typical", "negative"),
    "covid-ct-md": ("COVID-19 Cases", "Normal Cases"),
}


def write(path, array=HU):
    """A volume in the format that its suffix says; a folder of DICOM files without one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(VOLUME_SUFFIXES):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
        return path
    files = write_series(path.parent / "written" if path.suffix in (".dcm", ".zip") else path, array)
    if path.suffix == ".dcm":
        shutil.move(files[0], path)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.name)
    shutil.rmtree(path.parent / "written", ignore_errors=True)
    return path


def draw(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(grey, np.uint8)).save(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dataset", BY_FINDING)
def test_a_folder_of_a_finding_takes_every_format(tmp_path, dataset, kind):
    for number, finding in enumerate(BY_FINDING[dataset]):
        write(tmp_path / "src" / finding / f"p{number}{kind}")
    cohort = read_cohort(import_dataset(dataset, tmp_path / "src", tmp_path / "out"))
    assert sorted(p.patient for p in cohort) == ["p0", "p1"]
    for patient in cohort:
        assert scan.read(patient.scan).hu.shape[1:] == HU.shape[1:]
    assert not (tmp_path / "out" / "passed-over.csv").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_mosmed_takes_every_format(tmp_path, kind):
    src = tmp_path / "src"
    write(src / "studies" / "CT-1" / f"study_0255{kind}")
    write(src / "masks" / f"study_0255_mask{kind}", (HU > 0).astype(np.int16))
    (patient,) = read_cohort(import_dataset("mosmed", src, tmp_path / "out"))
    assert patient.patient == "study_0255"
    assert scan.read(patient.scan).hu.shape[1:] == HU.shape[1:]
    assert patient.infection.samefile(src / "masks" / f"study_0255_mask{kind}")
    assert not (tmp_path / "out" / "passed-over.csv").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["COVID-19-CT-Seg_20cases", "."])
def test_covid19_ct_seg_takes_every_format(tmp_path, kind, place):
    src = tmp_path / "src"
    write(src / place / f"coronacases_001{kind}")
    for folder in ("Infection_Mask", "Lung_Mask"):
        write(src / folder / f"coronacases_001{kind}", (HU > 0).astype(np.int16))
    (patient,) = read_cohort(import_dataset("covid19-ct-seg", src, tmp_path / "out"))
    assert patient.patient == "coronacases_001"
    assert scan.read(patient.scan).hu.shape[1:] == HU.shape[1:]
    assert patient.infection.samefile(src / "Infection_Mask" / f"coronacases_001{kind}")
    assert patient.lung.samefile(src / "Lung_Mask" / f"coronacases_001{kind}")
    assert not (tmp_path / "out" / "passed-over.csv").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_covid_19_20_takes_every_format(tmp_path, kind):
    write(tmp_path / "src" / "Train" / f"volume-covid19-A-0003_ct{kind}")
    write(tmp_path / "src" / "Train" / f"volume-covid19-A-0003_seg{kind}", (HU > 0).astype(np.int16))
    (patient,) = read_cohort(import_dataset("covid-19-20", tmp_path / "src", tmp_path / "out"))
    assert scan.read(patient.scan).hu.shape[1:] == HU.shape[1:]
    assert patient.infection.samefile(tmp_path / "src" / "Train" / f"volume-covid19-A-0003_seg{kind}")
    assert not (tmp_path / "out" / "passed-over.csv").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_stoic_takes_every_format(tmp_path, kind):
    write(tmp_path / "src" / "data" / "mha" / f"21{kind}")
    (tmp_path / "src" / "metadata").mkdir()
    (tmp_path / "src" / "metadata" / "reference.csv").write_text("PatientID,probCOVID,probSevere\n21,1,0\n")
    (patient,) = read_cohort(import_dataset("stoic", tmp_path / "src", tmp_path / "out"))
    assert scan.read(patient.scan).hu.shape[1:] == HU.shape[1:]
    assert not (tmp_path / "out" / "passed-over.csv").exists()


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_slices_are_taken_in_every_picture_format(tmp_path, suffix):
    grey, _, lung, infection = picture(12.0, lesion=(2, 100, 75, 12))
    for dataset in ("folders", "covid-ct"):
        for finding in ("CT_COVID", "CT_NonCOVID"):
            draw(tmp_path / dataset / finding / f"a{suffix}", grey)
        assert len(read_cohort(import_dataset(dataset, tmp_path / dataset, tmp_path / f"{dataset}-out", jobs=1))) == 2
    for name, drawn in (("image", grey), ("infection", infection * 255)):
        draw(tmp_path / "covid19" / "coronacases_001" / name / f"000{suffix}", drawn)
    for name, drawn in (("img", grey), ("infection", infection * 255), ("lung", lung * 255)):
        draw(tmp_path / "medseg" / name / f"3{suffix}", np.rot90(drawn, 1))
    for dataset, src in (("covid19-ct-seg", "covid19"), ("medseg", "medseg")):
        (patient,) = read_cohort(import_dataset(dataset, tmp_path / src, tmp_path / f"{src}-out", jobs=1))
        mask, _ = scan.read_mask(patient.infection)
        assert mask.sum() == pytest.approx(infection.sum(), rel=0.02)  # also where the picture is lossy
        assert not (tmp_path / f"{src}-out" / "passed-over.csv").exists()


def test_one_scan_in_two_formats_is_one_patient(tmp_path):
    src = tmp_path / "src"
    for suffix in (".mha", ".nii"):
        write(src / "studies" / "CT-1" / f"study_0255{suffix}")
        write(src / "studies" / "CT-0" / f"study_0001{suffix}")
    cohort = read_cohort(import_dataset("mosmed", src, tmp_path / "out"))
    assert [p.scan.name for p in cohort] == ["study_0001.nii", "study_0255.nii"]
    assert passed(tmp_path / "out") == {
        "studies/CT-0/study_0001.mha": ANOTHER_FORMAT, "studies/CT-1/study_0255.mha": ANOTHER_FORMAT
    }  # fmt: skip


def test_covid19_ct_seg_counts_masks_of_none_of_its_volumes(tmp_path):
    src = tmp_path / "src"
    write(src / "COVID-19-CT-Seg_20cases" / "coronacases_001.nii")
    for name in ("coronacases_001", "coronacases_009"):
        write(src / "Infection_Mask" / f"{name}.nii")
    import_dataset("covid19-ct-seg", src, tmp_path / "out")
    assert passed(tmp_path / "out") == {"Infection_Mask/coronacases_009.nii": "a mask of none of the volumes"}
