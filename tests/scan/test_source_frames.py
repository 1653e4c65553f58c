"""The headers behind a scan's slices are had in the slices' order, from files and zips, whole."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from scan.dicom_builder import body, enhanced_dataset, save, write_series
from triplenet import scan
from triplenet.errors import TooLarge, UnreadableFile
from triplenet.processes import Worker
from triplenet.scan.elsewhere import with_fallback_elsewhere
from triplenet.scan.limits import DEFAULT_LIMITS


@pytest.fixture
def folder(tmp_path):
    """Eight slices of 2 mm from 100 mm on, the files' names against their order."""
    write_series(tmp_path / "study", body(), PregnancyStatus=4)
    return tmp_path / "study"


def heights(headers):
    return [float(header.ImagePositionPatient[2]) for header in headers]


def test_headers_stand_in_the_order_of_the_slices(folder):
    frames = scan.open(folder).source_frames()
    headers = scan.read_source(frames)
    assert heights(headers) == [100.0 + 2 * k for k in range(8)]
    assert [frame.number for frame in frames] == [1] * 8
    assert {header.PatientID for header in headers} == {"SECRET-ID"}
    assert all("PixelData" not in header for header in headers)


def test_members_of_a_zip_are_read_where_they_are(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in folder.iterdir():
            packed.write(path, path.name)
    frames = scan.open(tmp_path / "study.zip").source_frames()
    assert heights(scan.read_source(frames)) == [100.0 + 2 * k for k in range(8)]


def test_another_process_tells_the_same_frames(folder):
    expected = scan.open(folder).source_frames()
    with Worker() as worker:
        assert with_fallback_elsewhere(worker, folder, lambda series: series.source_frames()) == expected


def test_an_enhanced_object_is_one_header_with_numbered_frames(tmp_path):
    order = [3, 0, 5, 1, 4, 2]
    path = save(enhanced_dataset(body(6), order=order), tmp_path / "enhanced.dcm")
    frames = scan.open(path).source_frames()
    assert [frame.number for frame in frames] == [order.index(k) + 1 for k in range(6)]
    (header,) = scan.read_source(frames)
    assert header.NumberOfFrames == 6


def test_a_scan_of_another_kind_has_none(tmp_path):
    hu = body(4)
    scan.write_nifti(tmp_path / "scan.nii", hu, scan.Geometry(hu.shape, np.diag([2.0, 0.8, 0.7, 1.0])[[2, 1, 0, 3]]))
    assert scan.open(tmp_path / "scan.nii").source_frames() == ()


def test_a_value_that_is_none_is_left_out_and_the_rest_is_there(folder):
    for path in folder.iterdir():
        wrong = path.read_bytes().replace(b"\x10\x00\xc0\x21US", b"\x10\x00\xc0\x21UL")  # two bytes where four belong
        path.write_bytes(wrong)
    headers = scan.read_source(scan.open(folder).source_frames())
    assert all("PregnancyStatus" not in header and header.PatientID == "SECRET-ID" for header in headers)


def test_a_file_that_is_gone_or_another_is_said(folder):
    frames = scan.open(folder).source_frames()
    whole = frames[3].path.read_bytes()
    for other in (whole[:400], frames[4].path.read_bytes()):  # of the same length, but another slice
        frames[3].path.write_bytes(other)
        with pytest.raises(UnreadableFile, match=f"changed.*{frames[3].path.name}"):
            scan.read_source(frames)
    frames[3].path.unlink()
    with pytest.raises(UnreadableFile, match=frames[3].path.name):
        scan.read_source(frames)


def test_a_header_longer_than_any_is_refused(folder):
    frames = scan.open(folder).source_frames()
    with pytest.raises(TooLarge, match="header of"):
        scan.read_source(frames, replace(DEFAULT_LIMITS, header_bytes=frames[0].before_pixels - 1))
    assert len(scan.read_source(frames, replace(DEFAULT_LIMITS, header_bytes=frames[0].before_pixels))) == 8
