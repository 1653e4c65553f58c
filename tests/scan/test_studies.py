"""What is a scan below a folder of studies, whatever the folders stand for."""

import zipfile

import pytest

from scan.dicom_builder import body, write_series
from triplenet.errors import PathMissing
from triplenet.scan.studies import studies_below

HU = body(depth=2)


def names(root, **options):
    return [path.relative_to(root).as_posix() for path in studies_below(root, **options).scans]


def series(folder, study, patient="one"):
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_series(folder, HU, StudyInstanceUID=study, PatientID=patient)


def test_the_series_of_a_study_are_one_scan_and_the_studies_of_a_patient_several(tmp_path):
    series(tmp_path / "site" / "b" / "study-1" / "series-1", "1.2.1")
    series(tmp_path / "site" / "b" / "study-1" / "series-2", "1.2.1")
    series(tmp_path / "site" / "b" / "study-2" / "series-1", "1.2.2")
    series(tmp_path / "site" / "a" / "study-1" / "series-1", "1.2.3", "another")
    series(tmp_path / "other", "1.2.4")
    assert names(tmp_path) == ["other", "site/a", "site/b/study-1", "site/b/study-2"]


@pytest.mark.parametrize("uid", [None, "1.2.3"])
def test_patients_are_never_joined_where_their_studies_are_not_told_apart(tmp_path, uid):
    for patient in ("a", "b"):
        series(tmp_path / "site" / patient, uid, patient)
    assert names(tmp_path) == ["site/a", "site/b"]


def test_zips_and_volumes_are_a_scan_each_unless_they_lie_in_a_study(tmp_path):
    series(tmp_path / "b" / "series", "1.2.1")
    for name in ("a.nii.gz", "c/x.mhd", "c/x.raw", "c/y.nrrd", "b/lung.nii", "c/note.txt", "c/picture.png", "._a.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("x", b"y")
    found = studies_below(tmp_path)
    assert names(tmp_path) == ["a.nii.gz", "b", "c/x.mhd", "c/y.nrrd", "d.zip"]
    assert found.skipped == {
        "volume file or zip in a DICOM study": 1,
        "not a scan": 2,
        "picture": 1,
        "resource fork of macOS": 1,
    }


def test_a_study_whose_first_file_is_damaged_is_found(tmp_path):
    series(tmp_path / "a" / "series", "1.2.1")
    (tmp_path / "a" / "series" / "000.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"?" * 50)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "000.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"?" * 50)
    assert names(tmp_path) == ["a", "b"]


def test_results_below_the_folder_are_not_looked_at(tmp_path):
    (tmp_path / "results" / "scan-001").mkdir(parents=True)
    (tmp_path / "results" / "scan-001" / "heat.nii.gz").write_bytes(b"content")
    (tmp_path / "a.nii").write_bytes(b"content")
    assert names(tmp_path, leave_out=[tmp_path / "results"]) == ["a.nii"]


def test_volumes_of_earlier_results_are_no_scans(tmp_path):
    for name in ("a.nii", "old/scan-001/heat.nii.gz", "old/scan-001/result.json", "old/scan-002/b.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    assert names(tmp_path, results=["result.json"]) == ["a.nii", "old/scan-002/b.nii"]
    assert studies_below(tmp_path, results=["result.json"]).skipped == {"file of an earlier result": 2}


def test_a_study_that_is_given_itself_is_said(tmp_path):
    write_series(tmp_path / "study", HU)
    found = studies_below(tmp_path / "study")
    assert not found.scans and "DICOM beside the folders of the studies" in found.skipped
    with pytest.raises(PathMissing):
        studies_below(tmp_path / "nothing")
