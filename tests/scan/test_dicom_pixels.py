"""Every transfer syntax gives the values that went in, or is refused by its name before work starts."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from scan.dicom_builder import body, enhanced_dataset, save, slice_dataset, stored_values, write_series
from triplenet import scan
from triplenet.errors import TooLarge, UnreadableFile, UnsupportedSyntax
from triplenet.scan import Limits, dicom_pixels

HU = body(4, 40, 36)
NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
LOSSLESS = [RLELossless, JPEGLSLossless, JPEG2000Lossless]


def compressed_series(folder: Path, syntax: str, hu: np.typing.NDArray[np.int16] = HU, **options: object) -> None:
    for path in write_series(folder, hu, **options):
        dataset = dcmread(path)
        how = {"j2k_cr": [2]} if syntax == JPEG2000 else {"jls_error": 2} if syntax == JPEGLSNearLossless else {}
        dataset.compress(syntax, generate_instance_uid=False, **how)
        dataset.save_as(path)


def by_dcmtk(folder: Path, option: str, **options: object) -> None:
    """Compress with dcmtk's dcmcjpeg, which knows the JPEG processes that pydicom has no encoder for."""
    tool = shutil.which("dcmcjpeg")
    if tool is None:
        pytest.skip("dcmcjpeg is not installed")
    for path in write_series(folder, HU, **options):
        subprocess.run([tool, *option.split(), str(path), str(path)], check=True, capture_output=True)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("signed", [False, True])
def test_uncompressed_syntaxes_give_the_same_values(tmp_path: Path, syntax: str, signed: bool) -> None:
    write_series(tmp_path, HU, syntax=syntax, signed=signed, PixelPaddingValue=-2000 if signed else 63536)
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    assert np.array_equal(scan.open(tmp_path).slice(1), HU[1])


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("options", [{}, {"signed": True, "intercept": 0.0}, {"bits": (16, 12)}], ids=str)
def test_lossless_syntaxes_give_the_same_values(tmp_path: Path, syntax: str, options: dict[str, object]) -> None:
    compressed_series(tmp_path, syntax, **options)
    assert np.array_equal(scan.read(tmp_path).hu, HU)
    assert np.array_equal(scan.open(tmp_path).slice(1), HU[1])


def test_frames_are_decoded_without_files_in_memory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_pixels, "_IN_MEMORY", False)
    compressed_series(tmp_path, JPEG2000Lossless)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


@pytest.mark.parametrize("syntax", [JPEG2000, JPEGLSNearLossless], ids=lambda uid: uid.keyword)
def test_lossy_syntaxes_come_close(tmp_path: Path, syntax: str) -> None:
    compressed_series(tmp_path, syntax)
    found = scan.read(tmp_path)
    assert np.abs(found.hu.astype(int) - HU).max() <= (2 if syntax == JPEGLSNearLossless else 40)
    assert any("loss" in note for note in found.source.notes)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.keyword)
def test_an_enhanced_ct_can_be_compressed(tmp_path: Path, syntax: str) -> None:
    dataset = enhanced_dataset(HU, order=[2, 0, 3, 1])
    path = save(dataset, tmp_path / "e.dcm")
    dataset = dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path)
    assert np.array_equal(scan.read(path).hu, HU)
    assert np.array_equal(scan.open(path).slice(2), HU[2])


@pytest.mark.parametrize("option", ["+el", "+e1", "+e1 +sv 6"])
@pytest.mark.parametrize("options", [{}, {"bits": (16, 12)}], ids=str)
def test_jpeg_lossless_gives_the_same_values(tmp_path: Path, option: str, options: dict[str, object]) -> None:
    if "+sv" in option:
        option = "+el +sv 6"
    by_dcmtk(tmp_path, option, **options)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_12_bit_jpeg_extended_comes_close(tmp_path: Path) -> None:
    by_dcmtk(tmp_path, "+ee +q 95", bits=(16, 12))
    found = scan.read(tmp_path)
    assert found.source.header["transfer_syntax"] == "1.2.840.10008.1.2.4.51"
    assert np.abs(found.hu.astype(int) - HU).mean() < 12
    assert any("loss" in note for note in found.source.notes)


def test_12_bit_jpeg_extended_is_read_from_a_zip(tmp_path: Path) -> None:
    by_dcmtk(tmp_path / "files", "+ee +q 95", bits=(16, 12))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "files").iterdir():
            archive.write(path, path.name)
    assert np.array_equal(scan.read(tmp_path / "a.zip").hu, scan.read(tmp_path / "files").hu)


def test_12_bit_jpeg_extended_is_read_from_an_enhanced_ct(tmp_path: Path) -> None:
    by_dcmtk(tmp_path, "+ee +q 95", bits=(16, 12))
    slices = scan.open(tmp_path)
    files = [dcmread(frame.file.path) for frame in slices.frames]
    dataset = enhanced_dataset(HU, intercepts=[0.0] * len(HU), BitsStored=12, HighBit=11)
    for group, file in zip(dataset.PerFrameFunctionalGroupsSequence, files, strict=True):
        group.PixelValueTransformationSequence[0].RescaleSlope = file.RescaleSlope
        group.PixelValueTransformationSequence[0].RescaleIntercept = file.RescaleIntercept
    dataset.PixelData = encapsulate([next(generate_frames(file.PixelData, number_of_frames=1)) for file in files])
    dataset["PixelData"].VR = "OB"
    path = save(dataset, tmp_path / "enhanced" / "e.dcm", JPEGExtended12Bit)
    assert np.array_equal(scan.read(path).hu, slices.read().hu)


def test_8_bit_jpeg_baseline_comes_close(tmp_path: Path) -> None:
    tool = shutil.which("dcmcjpeg")
    if tool is None:
        pytest.skip("dcmcjpeg is not installed")
    for k, values in enumerate(HU):
        dataset = slice_dataset(stored_values(values, 8.0), (0, 0, 2.0 * k), bits=(8, 8), slope=8.0)
        path = save(dataset, tmp_path / f"{k}.dcm")
        subprocess.run([tool, "+eb", "+q", "95", str(path), str(path)], check=True, capture_output=True)
    found = scan.read(tmp_path)
    assert found.source.header["transfer_syntax"] == "1.2.840.10008.1.2.4.50"
    assert np.abs(found.hu.astype(int) - HU).mean() < 20
    assert any("approximate HU" in note for note in found.source.notes)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC"),
        ("1.2.840.10008.1.2.4.107", "HEVC"),
        ("1.2.840.10008.1.2.4.94", "JPIP"),
        ("1.2.840.10008.1.2.4.110", "JPEG XL"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_a_syntax_that_cannot_be_decoded_is_named(tmp_path: Path, syntax: str, name: str) -> None:
    compressed_series(tmp_path, RLELossless)
    for path in tmp_path.iterdir():
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dcmwrite(path, dataset, implicit_vr=False, little_endian=True, force_encoding=True)
    with pytest.raises(UnsupportedSyntax, match=name):
        scan.open(tmp_path)


def cut(dataset: Dataset, share: float) -> Dataset:
    """The data set with the last part of its only compressed frame gone, yet well-formed around it."""
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: int(len(frame) * share)]])
    return dataset


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("how", ["file", "frame"])
def test_a_truncated_frame_costs_the_scan(tmp_path: Path, syntax: str, how: str) -> None:
    compressed_series(tmp_path, syntax)
    path = tmp_path / "IM0002.dcm"
    if how == "file":
        path.write_bytes(path.read_bytes()[:-300])
    else:
        cut(dcmread(path), 0.5).save_as(path)
    with pytest.raises(UnreadableFile):
        scan.read(tmp_path)


@pytest.mark.parametrize("option", ["+el", "+e1", "+ee"])
def test_a_truncated_jpeg_frame_costs_the_scan(tmp_path: Path, option: str) -> None:
    by_dcmtk(tmp_path, option, bits=(16, 12))
    path = tmp_path / "IM0002.dcm"
    cut(dcmread(path), 0.8).save_as(path)
    with pytest.raises(UnreadableFile):
        scan.read(tmp_path)


def test_a_deflated_bomb_is_stopped(tmp_path: Path) -> None:
    """Two megabytes of zeros are two kilobytes deflated; the limits say how much may come out."""
    dataset = slice_dataset(np.zeros((1000, 1000)))
    path = save(dataset, tmp_path / "a.dcm", DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 10_000
    with pytest.raises(TooLarge, match="unpacks into more than 100000 bytes"):
        scan.open(path, limits=Limits(unpacked_bytes=100_000, archive_ratio=10))


def test_a_damaged_deflate_stream_is_refused(tmp_path: Path) -> None:
    path = write_series(tmp_path, HU[:1], syntax=DeflatedExplicitVRLittleEndian)[0]
    values = bytearray(path.read_bytes())
    values[-200:-150] = b"\xff" * 50
    path.write_bytes(values)
    with pytest.raises(UnreadableFile):
        scan.read(path)


def test_syntaxes_may_differ_within_a_series(tmp_path: Path) -> None:
    paths = write_series(tmp_path, HU)
    for path, syntax in zip(paths, LOSSLESS, strict=False):
        dataset = dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    assert np.array_equal(scan.read(tmp_path).hu, HU)


@pytest.mark.parametrize("prefix", [True, False])
def test_a_file_without_preamble_is_read(tmp_path: Path, prefix: bool) -> None:
    """Old archives hold data sets alone, in implicit or explicit little endian."""
    for k, values in enumerate(HU):
        dataset = slice_dataset(stored_values(values), (0, 0, 2.0 * k))
        dataset.save_as(tmp_path / f"{k}", implicit_vr=prefix, little_endian=True, enforce_file_format=False)
    assert np.array_equal(scan.read(tmp_path).hu, HU)
