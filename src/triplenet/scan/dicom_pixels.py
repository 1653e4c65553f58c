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
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom.config
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
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from triplenet.errors import ScanError, UnreadableFile, UnsupportedSyntax
from triplenet.scan.codestream import check_codestream
from triplenet.scan.dicom_frames import Frame, Pixels
from triplenet.scan.dicom_header import CT, DAMAGE, inflate
from triplenet.scan.hounsfield import Padding
from triplenet.scan.limits import Limits

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})

_BY_SIMPLEITK = frozenset(
    {
        JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
        JPEG2000Lossless, JPEG2000,
    }
)  # fmt: skip
_JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000})
_OPEN_ENDED = _JPEG_2000 | {HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}  # whose decoders notice a stream that is cut
_BY_PLUGIN = {
    RLELossless: "pydicom",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
_NAMES = {  # that pydicom does not know yet
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
_IN_MEMORY = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\x00\x00\x00\x00"  # with no offset table
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


def check_syntax(syntax: str, where: object) -> None:
    """Refuse a transfer syntax that no installed decoder knows, by its name (TRANSFER_SYNTAX)."""
    if syntax in NATIVE or syntax in _BY_SIMPLEITK:
        return
    uid = UID(syntax, validation_mode=pydicom.config.IGNORE)
    plugin = _BY_PLUGIN.get(uid)
    if plugin is None or plugin not in get_decoder(uid).available_plugins:
        raise UnsupportedSyntax(
            f"the transfer syntax {_NAMES.get(syntax, uid.name)} cannot be decoded",
            where=where,
            do="convert the series to an uncompressed or lossless syntax first, such as with dcmtk or gdcmconv",
        )


def decode(frame: Frame, limits: Limits) -> npt.NDArray[Any]:
    """The stored values of one frame, (Y, X), in the file's own integer type.

    :raises UnreadableFile: the pixels are damaged or truncated
    :raises TooLarge: compressed pixels that unfold to more than the header says
    """
    pixels = frame.pixels
    try:
        if pixels.syntax in NATIVE:
            values = _native(frame, limits)
        elif pixels.syntax in _BY_SIMPLEITK:
            stream = _stream(frame)
            check_codestream(stream, pixels, frame.file.name)
            found = _by_openjpeg(pixels, stream) if pixels.syntax in _JPEG_2000 else None
            values = _by_simpleitk(pixels, stream) if found is None else found
        else:
            if pixels.syntax != RLELossless:
                check_codestream(_stream(frame), pixels, frame.file.name)
            values = _by_plugin(frame)
    except ScanError:
        raise
    except DAMAGE as error:
        raise UnreadableFile("the pixels are damaged and cannot be decoded", where=frame.file.name) from error
    if pixels.syntax not in NATIVE and values.dtype.itemsize * 8 == pixels.bits_allocated:
        values = _used_bits(np.ascontiguousarray(values), pixels, frame.padding)
    if values.shape != (pixels.rows, pixels.columns):
        raise UnreadableFile(f"pixels of shape {values.shape} in a frame of another", where=frame.file.name)
    return values


def _native(frame: Frame, limits: Limits) -> npt.NDArray[Any]:
    pixels = frame.pixels
    if pixels.bits_allocated not in (8, 16, 32):
        raise ValueError(f"{pixels.bits_allocated} bits allocated")
    order = ">" if pixels.syntax == ExplicitVRBigEndian else "<"
    dtype = np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")
    count = pixels.rows * pixels.columns
    offset = pixels.offset + frame.index * count * dtype.itemsize
    file = frame.file
    if file.archive is None and not pixels.deflated:
        values = np.fromfile(file.path, dtype, count, offset=offset)
    else:
        stream = inflate(file, limits) if pixels.deflated else file.open_seekable()
        with stream:
            stream.seek(offset)
            values = np.frombuffer(bytearray(stream.read(count * dtype.itemsize)), dtype)
    if values.size < count:
        raise EOFError("truncated")
    values = values.astype(dtype.newbyteorder("="), copy=False).reshape(pixels.rows, pixels.columns)
    return _used_bits(values, pixels, frame.padding)


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


def _stream(frame: Frame) -> bytes:
    """One frame as it was compressed.

    :raises EOFError: it is cut short; some decoders would make up the rest, others take seconds to notice
    """
    with frame.file.open_seekable() as file:
        file.seek(frame.pixels.offset)
        stream = get_frame(file, frame.index, number_of_frames=frame.pixels.frames)
    if frame.pixels.syntax not in _OPEN_ENDED and not _ends(stream):
        raise EOFError("a compressed frame without its end")
    return stream


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


def _by_simpleitk(pixels: Pixels, stream: bytes) -> npt.NDArray[Any]:
    """Decode from a file that holds nothing but this frame, and no rescale that SimpleITK would apply."""
    import SimpleITK  # slow to load, and not needed for an uncompressed series

    bits = pixels.bits_allocated, pixels.bits_stored, pixels.high_bit
    header = _header_alone(pixels.syntax, pixels.rows, pixels.columns, bits, pixels.signed)
    padded = stream + b"\0" * (len(stream) % 2)
    item = _ITEM + struct.pack("<I", len(padded)) + padded
    with _named_file(header + _PIXEL_DATA + item + _END) as name:
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


def _by_plugin(frame: Frame) -> npt.NDArray[Any]:
    pixels = frame.pixels
    options: Any = {  # pydicom declares each as a dictionary of its own kind
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": pixels.frames,
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
    with frame.file.open_seekable() as file:
        file.seek(pixels.offset)
        values, _ = get_decoder(syntax).as_array(
            file, index=frame.index, raw=True, decoding_plugin=_BY_PLUGIN[syntax], **options
        )
    return np.asarray(values)
