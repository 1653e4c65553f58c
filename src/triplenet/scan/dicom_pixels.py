"""Decoding of single frames: any transfer syntax that the installed decoders know."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless

from triplenet.errors import ScanError, UnreadableFile, UnsupportedSyntax
from triplenet.scan.dicom_frames import Frame, Pixels
from triplenet.scan.dicom_header import CT, DAMAGE, inflate
from triplenet.scan.limits import Limits

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
_MUST_END = frozenset({JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless})
"""Syntaxes whose decoders make something up, or take seconds to notice, where a frame is cut short."""
_NAMES = {  # that pydicom does not know yet
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
_BIG_ENDIAN = "1.2.840.10008.1.2.2"


def check_syntax(syntax: str, where: object) -> None:
    """Refuse a transfer syntax that no installed decoder knows, by its name (TRANSFER_SYNTAX)."""
    if syntax in NATIVE:
        return
    uid = UID(syntax)
    try:
        available = get_decoder(uid).is_available
    except (NotImplementedError, ValueError):
        available = False
    if not available:
        raise UnsupportedSyntax(
            f"the transfer syntax {_NAMES.get(syntax, uid.name)} cannot be decoded",
            where=where,
            do="convert the series to an uncompressed or lossless syntax first, such as with dcmtk or gdcmconv",
        )


def decode(frame: Frame, limits: Limits) -> npt.NDArray[Any]:
    """The stored values of one frame, (Y, X), in the file's own integer type.

    :raises UnreadableFile: the pixels are damaged or truncated
    """
    pixels = frame.pixels
    try:
        values = _native(frame, limits) if pixels.syntax in NATIVE else _compressed(frame)
    except ScanError:
        raise
    except DAMAGE as error:
        raise UnreadableFile("the pixels are damaged and cannot be decoded", where=frame.file.name) from error
    if values.shape != (pixels.rows, pixels.columns):
        raise UnreadableFile(f"pixels of shape {values.shape} in a frame of another", where=frame.file.name)
    return values


def _native(frame: Frame, limits: Limits) -> npt.NDArray[Any]:
    pixels = frame.pixels
    order = ">" if pixels.syntax == _BIG_ENDIAN else "<"
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
    return _used_bits(values, pixels)


def _used_bits(values: npt.NDArray[Any], pixels: Pixels) -> npt.NDArray[Any]:
    """Only the bits that are said to hold the value: old files keep overlays in the others."""
    above = pixels.bits_allocated - 1 - pixels.high_bit
    below = pixels.high_bit + 1 - pixels.bits_stored
    if above > 0 or below > 0:
        np.left_shift(values, above, out=values)
        np.right_shift(values, above + below, out=values)  # arithmetic, so the sign is kept
    return values


def _compressed(frame: Frame) -> npt.NDArray[Any]:
    pixels = frame.pixels
    if pixels.syntax in _MUST_END:
        stream = _stream(frame)
        if not stream.rstrip(b"\0\xff").endswith(b"\xff\xd9"):
            raise EOFError("a compressed frame without its end")
        if pixels.syntax == JPEGExtended12Bit and pixels.bits_stored > 8:
            return _by_simpleitk(pixels, stream)
    options: Any = {  # pydicom declares each as a dictionary of its own kind
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": pixels.frames,
        "samples_per_pixel": pixels.samples,
        "photometric_interpretation": pixels.photometric,
        "planar_configuration": pixels.planar,
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.signed),
        "pixel_keyword": "PixelData",
    }
    with frame.file.open_seekable() as file:
        file.seek(pixels.offset)
        values, _ = get_decoder(UID(pixels.syntax)).as_array(file, index=frame.index, raw=True, **options)
    return np.asarray(values)


def _stream(frame: Frame) -> bytes:
    """One frame as it was compressed."""
    with frame.file.open_seekable() as file:
        file.seek(frame.pixels.offset)
        return get_frame(file, frame.index, number_of_frames=frame.pixels.frames)


def _by_simpleitk(pixels: Pixels, stream: bytes) -> npt.NDArray[Any]:
    """12-bit JPEG Extended, which only SimpleITK decodes: from a file that holds nothing but this frame."""
    import SimpleITK

    alone = Dataset()
    alone.SOPClassUID, alone.SOPInstanceUID, alone.Modality = CT, "1.2.3", "CT"
    alone.Rows, alone.Columns = pixels.rows, pixels.columns
    alone.SamplesPerPixel, alone.PhotometricInterpretation = 1, "MONOCHROME2"
    alone.BitsAllocated, alone.BitsStored, alone.HighBit = pixels.bits_allocated, pixels.bits_stored, pixels.high_bit
    alone.PixelRepresentation = int(pixels.signed)
    alone.PixelData = encapsulate([stream])
    alone["PixelData"].VR = "OB"
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.dcm")
        alone.save_as(path, enforce_file_format=True)
        image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return np.asarray(image.reshape(image.shape[-2:]))
