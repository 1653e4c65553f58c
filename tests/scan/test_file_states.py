"""Every file behind a name: a change in any of them is seen, whatever the layout."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.fileset import FileSet

from scan.dicom_builder import body, write_series
from triplenet.scan.file_states import file_states


def volume(path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16)), str(path))


def same_bytes_and_time(path):
    """What a copy that brings its times along does: other bytes, nothing else to see."""
    info = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_a_file_deep_in_a_folder_counts(tmp_path):
    deep = tmp_path / "patient" / "study" / "series"
    deep.mkdir(parents=True)
    (deep / "1.dcm").write_bytes(b"one")
    before = file_states(tmp_path / "patient")
    assert before[0][0] == "study/series/1.dcm"
    assert file_states(tmp_path / "patient") == before
    same_bytes_and_time(deep / "1.dcm")
    changed = file_states(tmp_path / "patient")
    assert changed != before
    (deep / "2.dcm").write_bytes(b"two")
    assert file_states(tmp_path / "patient") != changed


@pytest.mark.parametrize(("header", "data"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw")])
def test_the_data_file_of_a_header_counts(tmp_path, header, data):
    volume(tmp_path / header)
    (tmp_path / "other.raw").write_bytes(b"of nobody")
    before = file_states(tmp_path / header)
    assert sorted(state[0] for state in before) == sorted([header, data])
    same_bytes_and_time(tmp_path / data)
    assert file_states(tmp_path / header) != before


def test_a_data_file_named_in_another_way_counts(tmp_path):
    (tmp_path / "x.raw").write_bytes(b"1234")
    (tmp_path / "a.nhdr").write_text("NRRD0004\ndata file: ./x.raw\n\n")
    (tmp_path / "b.nhdr").write_text("NRRD0004\ndatafile: LIST\nx.raw\n")
    for header in ("a.nhdr", "b.nhdr"):
        assert "x.raw" in [state[0] for state in file_states(tmp_path / header)]


def test_what_a_dicomdir_refers_to_counts(tmp_path):
    fileset = FileSet()
    for path in write_series(tmp_path / "plain", body(4)):
        dataset = dcmread(path)
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200101", "120000", "1"
        fileset.add(dataset)
    fileset.write(tmp_path / "disc")
    before = file_states(tmp_path / "disc" / "DICOMDIR")
    members = [path for path in (tmp_path / "disc").rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    assert len(before) == 1 + len(members)
    same_bytes_and_time(members[1])
    assert file_states(tmp_path / "disc" / "DICOMDIR") != before


def test_links_in_a_circle_and_to_nowhere_do_no_harm(tmp_path):
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    assert [state[0] for state in file_states(tmp_path)] == ["nowhere"]


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError):
        file_states(tmp_path / "absent")
