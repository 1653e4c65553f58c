"""A file is read as its bytes show, whatever its preface says, or is refused for what it is."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from scan.dicom_builder import CT, body, enhanced_dataset, write_series
from triplenet import scan
from triplenet.errors import TooLarge, UnreadableFile, UnsupportedSyntax
from triplenet.scan import Limits, survey
from triplenet.scan.dicom_encoding import read_encoding
from triplenet.scan.dicom_syntax import stream_syntax

HU = body(4, 40, 36)
NATIVE = {
    ImplicitVRLittleEndian: (True, True),
    ExplicitVRLittleEndian: (False, True),
    ExplicitVRBigEndian: (False, False),
}
COMPRESSED = [JPEGLSLossless, JPEG2000Lossless, RLELossless]


def data_set(dataset: Dataset, implicit: bool = False, little: bool = True) -> bytes:
    """The bytes of a data set alone."""
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = implicit, little
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    write_dataset(out, dataset)
    return out.getvalue()


def preface(said: str, media_class: str = CT) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = media_class, "1.2.3", said
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = False, True
    write_file_meta_info(out, meta)
    return out.getvalue()


def marked(content: bytes) -> bytes:
    return bytes(128) + b"DICM" + content


def rewrite(folder: Path, change: Callable[[Dataset], bytes]) -> Path:
    for path in write_series(folder, HU):
        path.write_bytes(change(dcmread(path)))
    return folder


def compressed(dataset: Dataset, syntax: str) -> Dataset:
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


@pytest.mark.parametrize("said", NATIVE, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("shown", NATIVE, ids=lambda uid: uid.keyword)
def test_a_data_set_of_another_encoding_than_said_is_read(tmp_path: Path, said: str, shown: str) -> None:
    rewrite(tmp_path, lambda dataset: marked(preface(said) + data_set(dataset, *NATIVE[shown])))
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert found.source.header["transfer_syntax"] == shown
    assert any("read as what they are" in note for note in found.source.notes) == (said != shown)


@pytest.mark.parametrize("said", [*COMPRESSED, JPEGLosslessSV1], ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("implicit", [False, True])
def test_pixels_that_were_decompressed_without_saying_so_are_read(tmp_path: Path, said: str, implicit: bool) -> None:
    rewrite(tmp_path, lambda dataset: marked(preface(said) + data_set(dataset, implicit)))
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert any(note.startswith("the header says ") for note in found.source.notes)


@pytest.mark.parametrize("shown", COMPRESSED, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("said", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, *COMPRESSED, JPEGLosslessSV1])
def test_pixels_that_are_compressed_otherwise_than_said_are_read(tmp_path: Path, said: str, shown: str) -> None:
    rewrite(tmp_path, lambda dataset: marked(preface(said) + data_set(compressed(dataset, shown))))
    found = scan.read(tmp_path)
    assert np.array_equal(found.hu, HU)
    assert any("read as what they are" in note for note in found.source.notes) == (said != shown)


def test_compressed_pixels_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> bytes:
        dataset.PixelData = encapsulate([bytes(range(1, 101))])
        dataset["PixelData"].is_undefined_length = True
        return marked(preface(ExplicitVRLittleEndian) + data_set(dataset))

    with pytest.raises(UnreadableFile, match="compressed in an unknown way"):
        scan.open(rewrite(tmp_path, change))


def raw_deflate(content: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(content) + engine.flush()


@pytest.mark.parametrize("pack", [raw_deflate, zlib.compress, bytes], ids=["deflate", "zlib", "not packed"])
@pytest.mark.parametrize("with_preamble", [True, False])
def test_deflated_data_sets_are_read_in_each_form(
    tmp_path: Path, pack: Callable[[bytes], bytes], with_preamble: bool
) -> None:
    """Some writers put zlib's header around the stream, and some tools inflate a file and leave its preface."""

    def change(dataset: Dataset) -> bytes:
        content = preface(DeflatedExplicitVRLittleEndian) + pack(data_set(dataset))
        return marked(content) if with_preamble else content

    assert np.array_equal(scan.read(rewrite(tmp_path, change)).hu, HU)


@pytest.mark.parametrize("media_class", ["1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.3.10"], ids=["MR", "DICOMDIR"])
def test_the_data_set_knows_its_class_better_than_the_preface(tmp_path: Path, media_class: str) -> None:
    rewrite(tmp_path, lambda dataset: marked(preface(ExplicitVRLittleEndian, media_class) + data_set(dataset)))
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_a_class_in_the_preface_alone_will_do(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> bytes:
        del dataset.SOPClassUID
        return marked(preface(ExplicitVRLittleEndian) + data_set(dataset))

    assert np.array_equal(scan.read(rewrite(tmp_path, change)).hu, HU)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("before", [b"", bytes(128) + b"DICM", b"DICM"], ids=["nothing", "preamble", "mark"])
@pytest.mark.parametrize("with_preface", [False, True])
def test_files_without_preamble_or_preface_are_read(
    tmp_path: Path, implicit: bool, before: bytes, with_preface: bool
) -> None:
    said = preface(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian) if with_preface else b""
    rewrite(tmp_path, lambda dataset: before + said + data_set(dataset, implicit))
    assert np.array_equal(scan.read(tmp_path).hu, HU)


@pytest.mark.parametrize("shown", COMPRESSED, ids=lambda uid: uid.keyword)
def test_a_compressed_file_may_lack_its_preface(tmp_path: Path, shown: str) -> None:
    rewrite(tmp_path, lambda dataset: data_set(compressed(dataset, shown)))
    assert np.array_equal(scan.read(tmp_path).hu, HU)


def test_an_enhanced_ct_without_preface_is_read(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(data_set(enhanced_dataset(HU, order=[2, 0, 3, 1]), implicit=True))
    assert np.array_equal(scan.read(tmp_path / "e").hu, HU)


@pytest.mark.parametrize("content", [b"\x08\x00\x05\x00", b"\x02\x00" * 400, b"\x00\x08" + bytes(1000), b"DICM"])
def test_files_that_only_begin_alike_are_no_scan(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    found = survey(tmp_path)
    assert not found.candidates


@pytest.mark.parametrize("syntax", ["1.2.3.4.5", "1.2.840.113619.5.2", "1.2.840.10008.1.2.4.94"])
@pytest.mark.parametrize("kept", ["short", "elsewhere", "plain", "fragments"])
def test_pixels_of_an_unknown_syntax_are_not_called_damaged(tmp_path: Path, syntax: str, kept: str) -> None:
    """A private syntax, or one that keeps pixels on a server, has no reason to look like those that are known."""

    def change(dataset: Dataset) -> bytes:
        if kept == "short":
            dataset.PixelData = bytes(98)
        elif kept == "elsewhere":
            del dataset.PixelData
        elif kept == "fragments":
            dataset.PixelData = encapsulate([bytes(98)])
            dataset["PixelData"].is_undefined_length = True
        return marked(preface(syntax) + data_set(dataset))

    with pytest.raises(UnsupportedSyntax, match="cannot be decoded"):
        scan.open(rewrite(tmp_path, change))


def test_a_header_element_has_a_budget(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> bytes:
        return marked(
            preface(ExplicitVRLittleEndian) + data_set(dataset).replace(b"LO\x06\x00Chest ", b"UT\0\0\0\0\0\x40")
        )

    with pytest.raises(TooLarge, match="a header element of 1073741824 bytes"):
        scan.open(rewrite(tmp_path, change))


def test_pixels_that_are_packed_like_no_scan_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    dataset = enhanced_dataset(HU)
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)] * len(HU))
    dataset["PixelData"].is_undefined_length = True
    (tmp_path / "a.dcm").write_bytes(marked(preface(JPEG2000Lossless) + data_set(dataset)))
    with pytest.raises(TooLarge, match="more than 1 times"):
        scan.open(tmp_path / "a.dcm", limits=Limits(archive_ratio=1, unpacked_bytes=500))


def test_a_deflated_file_of_many_frames_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from triplenet.scan import dicom_pixels

    path = tmp_path / "e.dcm"
    dataset = enhanced_dataset(HU, order=[3, 2, 1, 0])
    path.write_bytes(marked(preface(DeflatedExplicitVRLittleEndian) + raw_deflate(data_set(dataset))))
    opened = scan.open(path)
    times: list[int] = []
    unpack = dicom_pixels.inflate
    monkeypatch.setattr(dicom_pixels, "inflate", lambda *args: times.append(1) or unpack(*args))
    assert np.array_equal(opened.read().hu, HU)
    assert len(times) == 1


def test_what_does_not_begin_like_dicom_has_no_encoding() -> None:
    assert read_encoding(BytesIO(b"")) is None
    assert read_encoding(BytesIO(b"hello" * 100)) is None


def test_a_stream_that_agrees_or_does_not_tell_keeps_the_name_it_has(tmp_path: Path) -> None:
    dataset = compressed(dcmread(write_series(tmp_path, HU)[0]), JPEGLSLossless)
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    assert stream_syntax(stream, JPEGLSLossless) == JPEGLSLossless
    assert stream_syntax(b"\xff\xd8abc", JPEGLosslessSV1) == JPEGLosslessSV1
    assert stream_syntax(b"", RLELossless) == RLELossless
