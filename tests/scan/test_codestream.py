"""A compressed frame may not unfold to more than the header of its file says."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import openjpeg
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless

from scan.dicom_builder import body, save, slice_dataset, stored_values, write_series
from scan.test_htj2k import LOSSLESS as HTJ2K_STREAM
from triplenet import scan
from triplenet.errors import TooLarge, UnreadableFile
from triplenet.scan.codestream import Coded, check_codestream, coded_header
from triplenet.scan.dicom_pixels import _by_simpleitk
from triplenet.scan.dicom_series import DicomSeries
from triplenet.scan.inspection import inspect

HU = body(1, 40, 36)[0]


def size(stream: bytes) -> tuple[int, int]:
    coded = coded_header(stream)
    assert coded is not None
    return coded.rows, coded.columns


def stream_of(folder: Path, syntax: str) -> bytes:
    """A slice as pydicom's encoders compress it."""
    path = save(slice_dataset(stored_values(HU)), folder / "plain.dcm")
    dataset = dcmread(path)
    dataset.compress(syntax)
    path.unlink()
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def hold(path: Path, syntax: str, stream: bytes, shape: tuple[int, int]) -> Path:
    """A file whose header says ``shape``, whatever its stream holds."""
    dataset = slice_dataset(np.zeros(shape))
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    return save(dataset, path, syntax)


def enlarged(stream: bytes, old: tuple[int, int], kind: str) -> bytes:
    """The stream with another size in its own header: 30000 x 30000."""
    if kind == "j2k":
        before = struct.pack(">2I", old[1], old[0])
        assert before in stream
        return stream.replace(before, struct.pack(">2I", 30000, 30000))
    before = struct.pack(">2H", *old)
    assert before in stream
    return stream.replace(before, struct.pack(">2H", 30000, 30000), 1)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.keyword)
def test_the_size_is_read_from_the_stream_itself(tmp_path: Path, syntax: str) -> None:
    assert coded_header(stream_of(tmp_path, syntax)) == Coded(40, 36, 16, 1)


def test_the_size_is_read_from_high_throughput_streams_and_behind_boxes_too() -> None:
    assert size(HTJ2K_STREAM) == (16, 20)
    boxed = openjpeg.encode(np.zeros((64, 70), np.uint16), codec_format=1)
    assert boxed[4:8] == b"jP  "
    assert size(boxed) == (64, 70)


@pytest.mark.parametrize("process", ["jpeg", "jpeg lossless"])
def test_the_size_of_a_jpeg_stands_behind_its_tables(process: str) -> None:
    start_of_frame = b"\xff\xc0" if process == "jpeg" else b"\xff\xc3"
    tables = b"\xff\xe0\x00\x04ab" + b"\xff\xc4\x00\x06\x00\x01\x00\x01" + b"\xff\xff\xdb\x00\x04\x00\x09"
    stream = (
        b"\xff\xd8" + tables + start_of_frame + b"\x00\x0b\x08" + struct.pack(">2H", 500, 400) + b"\x01\x01\x11\x00"
    )
    assert size(stream) == (500, 400)


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\x00\x03", b"\xff\xd8abc", b"\xff\x4f\xff\x51"])
def test_a_stream_that_does_not_tell_reaches_no_decoder(tmp_path: Path, stream: bytes) -> None:
    assert coded_header(stream) is None
    path = hold(tmp_path / "a.dcm", JPEGLSLossless, stream + b"\xff\xd9", HU.shape)
    with pytest.raises(UnreadableFile, match="without a header of its own"):
        scan.read(path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("shape", [(0, 36), (40, 0), (39, 36), (40, 8)])
def test_a_stream_of_fewer_pixels_reaches_no_decoder(tmp_path: Path, syntax: str, shape: tuple[int, int]) -> None:
    """A side of nothing has killed the process that decoded it."""
    stream = stream_of(tmp_path, syntax)
    form, order = (">2I", -1) if syntax == JPEG2000Lossless else (">2H", 1)
    changed = stream.replace(struct.pack(form, *HU.shape[::order]), struct.pack(form, *shape[::order]), 1)
    with pytest.raises(UnreadableFile, match=f"{shape[0]} x {shape[1]} pixels in a file that says 40 x 36"):
        scan.read(hold(tmp_path / "a.dcm", syntax, changed, HU.shape))


def test_another_first_marker_reaches_no_decoder(tmp_path: Path) -> None:
    """A lossless JPEG whose second marker is none, and whose precision is absurd, has killed a decoder."""
    stream = bytearray(stream_of(tmp_path, JPEGLSLossless))
    stream[2] = 0x6E
    with pytest.raises(UnreadableFile, match="without a header"):
        scan.read(hold(tmp_path / "a.dcm", JPEGLSLossless, bytes(stream), HU.shape))


@pytest.mark.parametrize(
    ("process", "precision", "possible"),
    [(0xC0, 8, True), (0xC0, 12, False), (0xC1, 12, True), (0xC3, 2, True), (0xC3, 16, True), (0xC3, 17, False),
     (0xC3, 1, False), (0xC9, 8, False), (0xF7, 16, True), (0xF7, 1, False)],
)  # fmt: skip
def test_each_process_knows_its_own_sample_sizes(process: int, precision: int, possible: bool) -> None:
    """Table B.2 of ITU-T T.81, and T.87 for JPEG-LS; nothing decodes arithmetic coding."""
    stream = b"\xff\xd8" + struct.pack(">BBHBHHB", 0xFF, process, 11, precision, 40, 36, 1) + b"\x01\x11\x00"
    coded = coded_header(stream)
    assert coded is not None and coded.possible is possible


@pytest.mark.parametrize(
    ("syntax", "kind"),
    [(JPEG2000Lossless, "j2k"), (JPEGLSLossless, "jpeg"), (HTJ2KLossless, "j2k")],
    ids=["JPEG2000", "JPEGLS", "HTJ2K"],
)
def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path: Path, syntax: str, kind: str) -> None:
    shape = (16, 20) if syntax == HTJ2KLossless else HU.shape
    stream = HTJ2K_STREAM if syntax == HTJ2KLossless else stream_of(tmp_path, syntax)
    path = hold(tmp_path / "bomb.dcm", syntax, enlarged(stream, shape, kind), shape)
    with pytest.raises(TooLarge, match="30000 x 30000 pixels in a file that says"):
        scan.read(path)
    assert inspect(path).problems[0]["code"] == "TOO_LARGE"


@pytest.mark.parametrize("options", [{}, {"signed": True, "intercept": 0.0}, {"bits": (16, 12)}], ids=str)
def test_both_decoders_of_jpeg_2000_give_the_same_values(tmp_path: Path, options: dict[str, object]) -> None:
    for path in write_series(tmp_path, body(3, 40, 36), **options):
        dataset = dcmread(path)
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(path)
    series = scan.open(tmp_path)
    assert isinstance(series, DicomSeries)
    for k, frame in enumerate(series.frames):
        stream = next(generate_frames(dcmread(frame.file.path).PixelData, number_of_frames=1))
        stored = _by_simpleitk(frame.pixels, stream, frame.pixels.bits_stored)
        assert np.array_equal(stored + (0 if options.get("intercept") == 0.0 else -1024.0), series.slice(k))


@pytest.mark.parametrize("precision", [0, 17, 127, 128, 255])
def test_a_precision_that_no_stream_can_have_reaches_no_decoder(tmp_path: Path, precision: int) -> None:
    """Such a byte has killed the process that decoded it."""
    stream = bytearray(stream_of(tmp_path, JPEGLSLossless))
    at = stream.find(b"\xff\xf7")
    stream[at + 4] = precision
    path = hold(tmp_path / "absurd.dcm", JPEGLSLossless, bytes(stream), HU.shape)
    with pytest.raises(UnreadableFile, match=f"1 x {precision} bits a pixel in a file that says 1 x 16"):
        scan.read(path)


def test_several_components_in_a_grey_file_are_refused(tmp_path: Path) -> None:
    stream = bytearray(stream_of(tmp_path, JPEG2000Lossless))
    stream[40:42] = struct.pack(">H", 3)
    with pytest.raises(UnreadableFile, match="3 x 16 bits"):
        frame = scan.open(hold(tmp_path / "a.dcm", JPEG2000Lossless, bytes(stream), HU.shape)).frames[0]  # type: ignore[attr-defined]
        check_codestream(bytes(stream), frame.pixels, "a.dcm")


@pytest.mark.parametrize("padding", [b"", b"\0", b"\x5a", b"\xff", b"\0\0\0", b"\xff\xff"])
def test_a_frame_may_end_with_padding(tmp_path: Path, padding: bytes) -> None:
    """Fragments are even, so a byte of any value may follow the end marker."""
    stream = stream_of(tmp_path, JPEGLSLossless).rstrip(b"\0")
    path = hold(tmp_path / "a.dcm", JPEGLSLossless, stream + padding, HU.shape)
    assert np.array_equal(scan.read(path).hu[0], HU)


@pytest.mark.parametrize("cut", [1, 2, 3, 40])
def test_a_frame_that_is_cut_is_refused_all_the_same(tmp_path: Path, cut: int) -> None:
    stream = stream_of(tmp_path, JPEGLSLossless).rstrip(b"\0")
    path = hold(tmp_path / "a.dcm", JPEGLSLossless, stream[:-cut], HU.shape)
    with pytest.raises(UnreadableFile):
        scan.read(path)
