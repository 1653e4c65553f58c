"""Folders, zips and DICOMDIRs: the same scan from each, and nothing from outside them."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet

from scan.dicom_builder import body, slice_dataset, write_series
from triplenet import scan
from triplenet.errors import (
    EmptyFolder,
    NoCtSeries,
    PathMissing,
    SeriesGap,
    TooLarge,
    UnreadableFile,
    UnsafeArchive,
)
from triplenet.scan import Geometry, Limits, survey

HU = body(6, 24, 20)


def zipped(folder: Path, target: Path, how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", how) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return target


def dicomdir(folder: Path, target: Path) -> Path:
    """A DICOMDIR and its copies of the files, as pydicom writes them."""
    files = FileSet()
    for path in sorted(folder.rglob("*.dcm")):
        dataset = dcmread(path)
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200101", "120000", "1"
        files.add(dataset)
    files.write(target)
    return target / "DICOMDIR"


def test_a_file_is_a_scan_of_one_slice(tmp_path: Path) -> None:
    paths = write_series(tmp_path, HU)
    assert np.array_equal(scan.read(paths[2]).hu, HU[2:3])


def test_a_folder_tree_is_searched_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "a" / "b", HU[:3])
    write_series(tmp_path / "c", HU[3:], origin=(-14, -12.5, 106))
    (tmp_path / "a" / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "._IM0001.dcm").write_bytes(b"\x00\x05\x16\x07" + bytes(200))
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    assert survey(tmp_path).skipped == {"not DICOM": 2, "resource fork of macOS": 1}


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_gives_the_same_scan_without_being_unpacked(tmp_path: Path, how: int) -> None:
    write_series(tmp_path / "in" / "deep", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip", how)
    before = sorted(tmp_path.rglob("*"))
    assert np.array_equal(scan.read(path).hu, HU)
    assert np.array_equal(scan.open(path).slice(4), HU[4])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_is_known_by_its_content(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    assert np.array_equal(scan.read(zipped(tmp_path / "in", tmp_path / "export.bin")).hu, HU)


@pytest.mark.parametrize("name", ["../evil.dcm", "a/../../evil.dcm", "/etc/evil.dcm", "..\\evil.dcm", "C:\\evil.dcm"])
def test_a_member_that_leads_out_of_the_zip_is_refused(tmp_path: Path, name: str) -> None:
    source = write_series(tmp_path / "in", HU)[0]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(source, "good.dcm")
        archive.writestr(zipfile.ZipInfo(name), source.read_bytes())
    with pytest.raises(UnsafeArchive):
        scan.open(tmp_path / "a.zip")
    assert not list(tmp_path.rglob("evil*"))


def test_a_link_inside_a_zip_is_not_followed(tmp_path: Path) -> None:
    source = write_series(tmp_path / "in", HU)
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in source:
            archive.write(path, path.name)
        archive.writestr(link, str(source[0]))
    assert np.array_equal(scan.read(tmp_path / "a.zip").hu, HU)
    assert survey(tmp_path / "a.zip").skipped == {"a link inside the zip": 1}


def test_a_zip_bomb_is_refused_from_its_directory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.dcm", bytes(20_000_000))
    with pytest.raises(TooLarge, match="250 times"):
        scan.open(tmp_path / "a.zip")


def test_limits_hold_for_folders_and_zips(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    for source in (tmp_path / "in", path):
        with pytest.raises(TooLarge, match="more than 5 files"):
            scan.open(source, limits=Limits(files=5))
    with pytest.raises(TooLarge, match="unpacks into more"):
        scan.open(path, limits=Limits(archive_bytes=1000))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_zip_is_refused(tmp_path: Path, share: float) -> None:
    write_series(tmp_path / "in", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UnreadableFile, match="zip"):
        scan.open(path)


def test_a_damaged_member_costs_the_scan(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip", zipfile.ZIP_STORED)
    values = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.infolist()[3]
    start = member.header_offset + 30 + len(member.filename)
    values[start + member.file_size - 100] ^= 0xFF  # a pixel; the checksum of the member tells
    path.write_bytes(values)
    with pytest.raises(UnreadableFile):
        scan.read(path)


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    values = bytearray(path.read_bytes())
    at = values.find(b"PK\x01\x02")
    while at >= 0:  # the flag in the central directory is what readers go by
        values[at + 8] |= 1
        at = values.find(b"PK\x01\x02", at + 4)
    path.write_bytes(values)
    with pytest.raises(UnreadableFile, match="encrypted"):
        scan.open(path)


def test_a_dicomdir_gives_the_scan_it_refers_to(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = dicomdir(tmp_path / "in", tmp_path / "cd")
    write_series(tmp_path / "cd" / "other", HU, series="1.2.3.4", BodyPartExamined="CHEST")
    assert np.array_equal(scan.read(path).hu, HU)
    assert len(survey(path).candidates) == 1
    assert len(survey(tmp_path / "cd").candidates) == 2  # the folder is more than its DICOMDIR
    assert survey(tmp_path / "cd").skipped == {"DICOMDIR": 1}


def test_files_missing_from_a_cd_are_counted_and_leave_a_gap(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = dicomdir(tmp_path / "in", tmp_path / "cd")
    next(p for p in sorted((tmp_path / "cd").rglob("IM*")) if dcmread(p).ImagePositionPatient[2] == 104).unlink()
    assert survey(path).skipped == {"named by the DICOMDIR but missing": 1}
    with pytest.raises(SeriesGap, match=r"104\.00"):
        scan.open(path)


def test_a_cd_mounted_in_small_letters_is_read(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = dicomdir(tmp_path / "in", tmp_path / "cd")
    lower = tmp_path / "lower"
    for source in (tmp_path / "cd").rglob("*"):
        if source.is_file() and source != path:
            target = lower / str(source.relative_to(tmp_path / "cd")).lower()
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    shutil.copy(path, lower / "dicomdir")
    assert np.array_equal(scan.read(lower / "dicomdir").hu, HU)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS", "ignore:The value length")
@pytest.mark.parametrize(
    "reference", [["..", "SECRET"], ["/etc/SECRET"], ["A", "..", "..", "SECRET"], ["..\\..\\SECRET"]]
)
def test_a_dicomdir_does_not_lead_out_of_its_folder(tmp_path: Path, reference: list[str]) -> None:
    write_series(tmp_path / "in", HU)
    path = dicomdir(tmp_path / "in", tmp_path / "cd")
    shutil.copy(tmp_path / "in" / "IM0001.dcm", tmp_path / "SECRET")
    index = dcmread(path)
    index.DirectoryRecordSequence[-1].ReferencedFileID = reference
    index.save_as(path)
    with pytest.raises(UnsafeArchive):
        scan.open(path)


def test_a_link_in_the_folder_of_a_dicomdir_does_not_lead_out(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = dicomdir(tmp_path / "in", tmp_path / "cd")
    image = next(p for p in sorted((tmp_path / "cd").rglob("IM*")) if p.is_file())
    image.unlink()
    image.symlink_to(tmp_path / "in" / "IM0001.dcm")
    with pytest.raises(UnsafeArchive):
        scan.open(path)


def test_pipes_and_links_in_circles_do_not_hang(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    os.mkfifo(tmp_path / "in" / "pipe.dcm")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "dangling.dcm").symlink_to(tmp_path / "nowhere")
    assert np.array_equal(scan.read(tmp_path / "in").hu, HU)
    with pytest.raises(UnreadableFile, match="neither"):
        scan.open(tmp_path / "in" / "pipe.dcm")


def test_a_folder_without_dicom_may_hold_one_volume(tmp_path: Path) -> None:
    geometry = scan.Geometry(HU.shape, np.diag([2.0, 1, 1, 1]))
    scan.write_nifti(tmp_path / "scan.nii.gz", HU, geometry)
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    scan.write_nifti(tmp_path / "mask.nii.gz", HU, geometry)
    with pytest.raises(NoCtSeries, match="2 volume files"):
        scan.open(tmp_path)
    (tmp_path / "mask.nii.gz").unlink()
    with pytest.raises(NoCtSeries, match="zip"):
        scan.open(zipped(tmp_path, tmp_path / "a.zip"))


def test_nothing_is_told_apart_from_nothing_usable(tmp_path: Path) -> None:
    with pytest.raises(EmptyFolder):
        scan.open(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(EmptyFolder):
        scan.open(tmp_path)
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.raises(EmptyFolder, match="import pictures"):
        scan.open(tmp_path)
    (tmp_path / "b.zip").write_bytes(b"PK")
    with pytest.raises(EmptyFolder, match="name one of its 1 zip files"):
        scan.open(tmp_path)
    with pytest.raises(UnreadableFile, match="not a scan"):
        scan.open(tmp_path / "a.txt")
    with pytest.raises(PathMissing):
        scan.open(tmp_path / "nothing")


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    path = write_series(tmp_path, HU)[0]
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(UnreadableFile):
        scan.open(path)


def test_patient_names_are_in_no_message(tmp_path: Path) -> None:
    write_series(tmp_path, HU)
    series = scan.open(tmp_path)
    told = repr(series.source) + repr(series.geometry) + repr(survey(tmp_path).candidates[0].header)
    assert "Secret" not in told
    assert "SECRET" not in told
    assert slice_dataset(HU[0]).PatientID == "SECRET-ID"


def test_the_dicomdir_in_a_zip_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    disc = dicomdir(tmp_path / "ct", tmp_path / "cd")
    with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
        for path in sorted(disc.parent.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(disc.parent))
    found = scan.read(tmp_path / "disc.zip")
    assert np.array_equal(found.hu, HU)


@pytest.mark.parametrize(
    ("of_file", "of_folder"),
    [(str, str.lower), (str.lower, str), (lambda name: name + ".dcm", str), (lambda name: name + ";1", str.title)],
)
def test_a_dicomdir_finds_its_files_in_any_spelling(
    tmp_path: Path, of_file: Callable[[str], str], of_folder: Callable[[str], str]
) -> None:
    write_series(tmp_path / "ct", HU)
    disc = dicomdir(tmp_path / "ct", tmp_path / "cd")
    inside = [path for path in sorted(disc.parent.rglob("*"), key=lambda path: -len(path.parts)) if path != disc]
    for path in inside:
        path.rename(path.with_name((of_folder if path.is_dir() else of_file)(path.name)))
    assert np.array_equal(scan.read(disc).hu, HU)


def test_a_dicomdir_without_its_files_says_how_many_are_missing(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    disc = dicomdir(tmp_path / "ct", tmp_path / "cd")
    alone = tmp_path / "alone" / "DICOMDIR"
    alone.parent.mkdir()
    shutil.copyfile(disc, alone)
    with pytest.raises(UnreadableFile, match=f"{len(HU)} files named by the DICOMDIR are missing"):
        scan.open(alone)


def test_files_of_macos_beside_a_volume_are_no_volumes(tmp_path: Path) -> None:
    scan.write_nifti(tmp_path / "a.nii.gz", HU, Geometry((6, 24, 20), np.diag([2.0, 0.8, 0.7, 1.0])[[2, 1, 0, 3]]))
    (tmp_path / "._a.nii.gz").write_bytes(b"\0\x05\x16\x07")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.nii.gz").write_bytes(b"x")
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_a_damaged_member_of_a_zip_is_that_members_fault(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        for path in paths:
            archive.write(path, path.name)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        member = archive.infolist()[3]
    start = member.header_offset + 30 + len(member.filename) + 9
    data[start : start + 200] = b"\xff" * 200
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(UnreadableFile):
        scan.open(tmp_path / "a.zip")


def test_a_member_that_packs_like_an_empty_mask_costs_nothing_but_itself(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mask.nii", bytes(20_000_000))
    assert np.array_equal(scan.read(path).hu, HU)
    assert survey(path).skipped == {"a zip member that unpacks to more than 250 times its size": 1}


def test_a_member_packed_by_an_unknown_method_is_refused_for_that(tmp_path: Path) -> None:
    write_series(tmp_path / "in", HU)
    path = zipped(tmp_path / "in", tmp_path / "a.zip")
    values = bytearray(path.read_bytes())
    for mark, at_method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = values.find(mark)
        values[at + at_method : at + at_method + 2] = (9).to_bytes(2, "little")  # Deflate64, which Windows writes
    path.write_bytes(values)
    with pytest.raises(UnreadableFile, match=r"a method that is not read \(number 9\): IM0001\.dcm"):
        scan.open(path)


def test_a_zip_without_dicom_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_series(tmp_path / "ct", HU)
    zipped(tmp_path / "ct", tmp_path / "in" / "study.zip")
    with pytest.raises(EmptyFolder, match=r"no DICOM file in the zip.*unpack it and name one of the 1 zip files in it"):
        scan.open(zipped(tmp_path / "in", tmp_path / "outer.zip"))


def test_a_dicomdir_takes_the_very_name_before_one_that_is_like_it(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    disc = dicomdir(tmp_path / "ct", tmp_path / "cd")
    for path in [path for path in disc.parent.rglob("*") if path.is_file() and path != disc]:
        for name in (path.name.lower(), path.name + ".dcm", "." + path.name):
            path.with_name(name).write_bytes(b"another file")
    assert np.array_equal(scan.read(disc).hu, HU)
