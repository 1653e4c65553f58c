"""Decoding of single frames: any transfer syntax that the installed decoders know.

The JPEG families go through SimpleITK: it decodes all of them, 12-bit JPEG Extended included, and survives damaged
streams, on which python-gdcm aborts the whole process. JPEG 2000 goes through openjpeg, which is a tenth faster, unless
stream and header disagree about signs. RLE and high-throughput JPEG 2000 go through pydicom's plugins.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    RLELossless,
)

from triplenet.errors import ScanError, UnreadableFile
from triplenet.scan.codestream import check_codestream
from triplenet.scan.dicom_encoding import inflate
from triplenet.scan.dicom_frames import Frame, Pixels
from triplenet.scan.dicom_header import CT, DAMAGE
from triplenet.scan.dicom_syntax import BY_PLUGIN, BY_SIMPLEITK, NATIVE
from triplenet.scan.hounsfield import Padding
from triplenet.scan.input_files import Entry
from triplenet.scan.limits import Limits

_JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000})
_OPEN_ENDED = _JPEG_2000 | {HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}  # whose decoders notice a stream that is cut
_IN_MEMORY = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_OFFSETS = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"  # a table of none
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


class FrameReader:
    """Decodes frames; the last file is kept open, so that one of many frames is unpacked once and not for each."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entry: Entry | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._entry = None

    def decode(self, frame: Frame) -> npt.NDArray[Any]:
        """The stored values of one frame, (Y, X), in the file's own integer type.

        :raises UnreadableFile: the pixels are damaged or truncated
        :raises TooLarge: compressed pixels that unfold to more than the header says
        """
        pixels = frame.pixels
        try:
            values = self._native(frame) if pixels.syntax in NATIVE else self._decompressed(frame)
            if values.shape != (pixels.rows, pixels.columns):
                raise UnreadableFile(f"pixels of shape {values.shape} in a frame of another", where=frame.file.name)
            if values.dtype.itemsize * 8 == pixels.bits_allocated:
                values = _used_bits(values, pixels, frame.padding)
        except ScanError:
            raise
        except DAMAGE as error:
            raise UnreadableFile("the pixels are damaged and cannot be decoded", where=frame.file.name) from error
        return values

    def _native(self, frame: Frame) -> npt.NDArray[Any]:
        pixels = frame.pixels
        if pixels.bits_allocated not in (8, 16, 32):
            raise ValueError(f"{pixels.bits_allocated} bits allocated")
        order = ">" if pixels.syntax == ExplicitVRBigEndian else "<"
        dtype = np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")
        count = pixels.rows * pixels.columns
        offset = pixels.offset + frame.index * count * dtype.itemsize
        if frame.file.archive is None and not pixels.deflated:
            values = np.fromfile(frame.file.path, dtype, count, offset=offset)
        else:
            file = self._opened(frame)
            file.seek(offset)
            values = np.frombuffer(bytearray(file.read(count * dtype.itemsize)), dtype)
        if values.size < count:
            raise EOFError("truncated")
        return values.astype(dtype.newbyteorder("="), copy=False).reshape(pixels.rows, pixels.columns)

    def _decompressed(self, frame: Frame) -> npt.NDArray[Any]:
        pixels = frame.pixels
        file = self._opened(frame)
        file.seek(pixels.offset)
        stream = get_frame(file, frame.index, number_of_frames=pixels.frames)
        if pixels.syntax == RLELossless:
            return _by_plugin(pixels, stream)
        if pixels.syntax not in _OPEN_ENDED and not _ends(stream):
            raise EOFError("a compressed frame without its end")  # some decoders make up the rest, others search long
        coded = check_codestream(stream, pixels, frame.file.name)
        if pixels.syntax not in BY_SIMPLEITK:
            return _by_plugin(pixels, stream)
        found = _by_openjpeg(pixels, stream) if pixels.syntax in _JPEG_2000 else None
        return np.ascontiguousarray(_by_simpleitk(pixels, stream, coded.precision) if found is None else found)

    def _opened(self, frame: Frame) -> BinaryIO:
        """The frame's file; a deflated one, or a member of a zip, unpacked in memory."""
        if self._file is None or self._entry != frame.file:
            self.__exit__()
            entry, pixels = frame.file, frame.pixels
            self._file = (
                inflate(entry, pixels.start, self._limits) if pixels.deflated else entry.open_seekable(self._limits)
            )
            self._entry = entry
        return self._file


def decode(frame: Frame, limits: Limits) -> npt.NDArray[Any]:
    """One frame alone; see ``FrameReader.decode``."""
    with FrameReader(limits) as reader:
        return reader.decode(frame)


def _used_bits(values: npt.NDArray[Any], pixels: Pixels, padding: Padding | None = None) -> npt.NDArray[Any]:
    """Only the bits that are said to hold the value: old files keep overlays in the others.

    Padding may be written with all bits; what holds it keeps them, so that it is found.
    """
    above = pixels.bits_allocated - 1 - pixels.high_bit
    below = pixels.high_bit + 1 - pixels.bits_stored
    if above < 0 or below < 0:
        raise ValueError(f"{pixels.bits_stored} bits up to bit {pixels.high_bit} of {pixels.bits_allocated}")
    if above > 0 or below > 0:
        outside = None
        if padding is not None and not _fits(padding.first, pixels):
            outside = (values >= padding.first) & (values <= padding.last)
            written = values[outside]
        np.left_shift(values, above, out=values)
        np.right_shift(values, above + below, out=values)  # arithmetic, so the sign is kept
        if outside is not None:
            values[outside] = written
    return values


def _fits(value: int, pixels: Pixels) -> bool:
    """Whether a value can be written with the stored bits alone."""
    half = 1 << (pixels.bits_stored - 1)
    return -half <= value < half if pixels.signed else 0 <= value < 2 * half


def _ends(stream: bytes) -> bool:
    """Whether a JPEG or JPEG-LS stream has its end marker, and behind it nothing but padding.

    Fragments are of even length, so a byte of any value may follow; some writers fill up with zeros or ones. Within
    the coded data the marker's two bytes cannot stand.
    """
    at = stream.rfind(b"\xff\xd9")
    tail = stream[at + 2 :]
    return at >= 0 and (len(tail) <= 2 or not tail.strip(b"\0\xff"))


def _by_openjpeg(pixels: Pixels, stream: bytes) -> npt.NDArray[Any] | None:
    """A JPEG 2000 frame; None where its stream and the file's header disagree about signs."""
    from openjpeg.utils import decode as decode_jpeg2000

    values: npt.NDArray[Any] = decode_jpeg2000(stream)
    return values if (values.dtype.kind == "i") == pixels.signed else None


def _by_simpleitk(pixels: Pixels, stream: bytes, precision: int) -> npt.NDArray[Any]:
    """Decode from a file that holds nothing but this frame, and no rescale that SimpleITK would apply.

    :param precision: bits of a sample in the stream; those beyond the stored ones are kept, where padding may be
    """
    import SimpleITK  # slow to load, and not needed for an uncompressed series

    bits = pixels.bits_allocated, pixels.bits_stored, pixels.high_bit
    if precision > pixels.bits_stored:
        bits = pixels.bits_allocated, precision, precision - 1
    header = _header_alone(pixels.syntax, pixels.rows, pixels.columns, bits, pixels.signed)
    with _named_file(header + _PIXEL_DATA + _OFFSETS + _item(stream)) as name:
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(name, imageIO="GDCMImageIO"))
    return np.asarray(values.reshape(values.shape[-2:]))


@contextmanager
def _named_file(content: bytes) -> Iterator[str]:
    """A file with this content for as long as it is needed: in memory where the system can, else a temporary one."""
    if not _IN_MEMORY:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "frame.dcm")
            path.write_bytes(content)
            yield str(path)
        return
    with os.fdopen(os.memfd_create("frame"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


@lru_cache(maxsize=64)
def _header_alone(syntax: str, rows: int, columns: int, bits: tuple[int, int, int], signed: bool) -> bytes:
    """A DICOM file of one grey frame, up to its pixel data; ``bits``: allocated, stored, the highest."""
    alone = Dataset()
    alone.SOPClassUID, alone.SOPInstanceUID, alone.Modality = CT, "1.2.3", "CT"
    alone.Rows, alone.Columns = rows, columns
    alone.SamplesPerPixel, alone.PhotometricInterpretation = 1, "MONOCHROME2"
    alone.BitsAllocated, alone.BitsStored, alone.HighBit = bits
    alone.PixelRepresentation = int(signed)
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = UID(syntax)
    out = BytesIO()
    alone.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _by_plugin(pixels: Pixels, stream: bytes) -> npt.NDArray[Any]:
    options: Any = {  # pydicom declares each as a dictionary of its own kind
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": 1,
        "samples_per_pixel": pixels.samples,
        "photometric_interpretation": pixels.photometric,
        "planar_configuration": pixels.planar,
        "bits_allocated": pixels.bits_allocated,
        # Run lengths hold all bits, those of overlays and padding too, which are parted here.
        "bits_stored": pixels.bits_allocated if pixels.syntax == RLELossless else pixels.bits_stored,
        "pixel_representation": int(pixels.signed),
        "pixel_keyword": "PixelData",
    }
    syntax = UID(pixels.syntax)
    values, _ = get_decoder(syntax).as_array(
        _OFFSETS + _item(stream), index=0, raw=True, decoding_plugin=BY_PLUGIN[syntax], **options
    )
    return np.asarray(values)


def _item(stream: bytes) -> bytes:
    """A frame as the only fragment of encapsulated pixels."""
    padded = stream + b"\0" * (len(stream) % 2)
    return _ITEM + struct.pack("<I", len(padded)) + padded + _END
