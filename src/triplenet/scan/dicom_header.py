"""One DICOM file's header as plain data: everything about its frames but the pixels."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO

from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from triplenet.errors import ScanError, TooLarge, UnreadableFile
from triplenet.scan.dicom_attributes import Attributes, tag
from triplenet.scan.dicom_frames import Frame, Pixels, frames_of
from triplenet.scan.files import ZIP_DAMAGE, Entry
from triplenet.scan.limits import DEFLATE_RATIO, Limits

DAMAGE = (
    *ZIP_DAMAGE, InvalidDicomError, BytesLengthException, OSError, LookupError, AttributeError, TypeError,
    OverflowError, AssertionError, MemoryError, RecursionError, struct.error, zlib.error,
)  # fmt: skip
"""What pydicom and the decoders raise on a damaged file."""

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
CONVERTED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
DICOMDIR = "1.2.840.10008.1.3.10"
CT_CLASSES = frozenset({CT, ENHANCED_CT, CONVERTED_CT})

_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_TAGS: list[BaseTag] = [
    BaseTag(tag(name))
    for name in (
        "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "SeriesNumber",
        "ImageType", "SeriesDescription", "ProtocolName", "StudyDescription", "BodyPartExamined",
        "ConvolutionKernel", "SliceThickness", "PatientPosition", "ImagePositionPatient",
        "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
        "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "PlanarConfiguration", "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue",
        "PixelPaddingRangeLimit", "LossyImageCompression", "Manufacturer", "ManufacturerModelName",
        "PatientID", "StudyInstanceUID", "FrameOfReferenceUID",
        "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex",
        *_FUNCTIONAL_GROUPS,
    )
]  # fmt: skip
_PIXEL_DATA = 0x7FE00010
_DATA_SET = 0x00030000  # the first tag behind the file's preface
_ITEM = (0xFFFE, 0xE000)
_UNDEFINED = 0xFFFFFFFF
_PREAMBLE = 128
_DEFLATED = b"\x02\x00\x10\x00UI\x16\x00" + DeflatedExplicitVRLittleEndian.encode()
_FIRST_GROUPS = (b"\x08\x00", b"\x02\x00", b"\x00\x08")


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says about the series it belongs to, and its frames (none for a file without pixels)."""

    series_uid: str
    series_number: int | None
    study: str
    patient: str
    """Digests, to tell studies and patients apart and for nothing else; empty where the file does not say"""
    frame_of_reference: str
    """A digest too"""
    sop_class: str
    modality: str
    description: str
    protocol: str
    body_part: str
    manufacturer: str
    model: str
    patient_position: str
    frames: tuple[Frame, ...]
    problem: ScanError | None = None
    """Why a file whose header names its series has no frames that can be used."""


@dataclass(frozen=True, slots=True)
class _DataSet:
    """The attributes of a file that was read up to its pixels, and how it is encoded."""

    attributes: Attributes
    media_class: str
    syntax: str
    implicit: bool
    little: bool


def read_header(entry: Entry, limits: Limits) -> Header | None:
    """The header of a DICOM file, or None for a file of another kind.

    :raises UnreadableFile: a DICOM file that is damaged
    :raises TooLarge: it claims more pixels than the limits allow
    """
    try:
        with entry.open() as file:
            return _read(file, entry, limits)
    except ScanError:
        raise
    except DAMAGE as error:
        raise _damaged(error, entry) from None


def inflate(entry: Entry, limits: Limits) -> BytesIO:
    """A file whose data set is deflated, as the explicit little endian file it is inside, within the limits."""
    with entry.open() as file:
        packed = file.read()
    first, length = struct.unpack("<4s4xI", packed[_PREAMBLE + 4 : _PREAMBLE + 16])
    if first != b"\x02\x00\x00\x00":
        raise UnreadableFile("damaged DICOM file (no group length before deflated data)", where=entry.name)
    start = _PREAMBLE + 16 + length
    most = min(limits.inflated_bytes, (len(packed) - start) * DEFLATE_RATIO)
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    body = engine.decompress(packed[start:], max(most, 1))
    if engine.unconsumed_tail:
        raise TooLarge(f"a deflated data set that unpacks into more than {most} bytes", where=entry.name)
    plain = ExplicitVRLittleEndian.encode().ljust(len(DeflatedExplicitVRLittleEndian), b"\0")
    return BytesIO(packed[:start].replace(DeflatedExplicitVRLittleEndian.encode(), plain) + body)


def _read(file: BinaryIO, entry: Entry, limits: Limits) -> Header | None:
    head = file.read(_PREAMBLE + 4 + 512)
    marked = head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"
    if not marked and head[:2] not in _FIRST_GROUPS:
        return None
    deflated = _DEFLATED in head
    if deflated:
        file = inflate(entry, limits)
    found = (_elements(file) if marked else None) or _by_dcmread(file, force=not marked)
    header = found.attributes
    sop_class = header.uid("SOPClassUID")
    if not marked and not (sop_class and "SeriesInstanceUID" in header):
        return None
    if not sop_class:  # a DICOMDIR names its class in the file's preface alone
        sop_class = found.media_class
        if sop_class != DICOMDIR:
            raise EOFError("it does not say what it is")
    size = file.getbuffer().nbytes if isinstance(file, BytesIO) else entry.size
    frames: tuple[Frame, ...] = ()
    problem: ScanError | None = None
    try:
        pixels = _pixels(found, file, size, deflated=deflated, streamed=entry.archive is not None)
        if pixels is not None:
            limits.check_shape((pixels.frames, pixels.rows, pixels.columns), entry.name)
            frames = frames_of(header, entry, pixels)
    except TooLarge as error:
        problem = error
    except DAMAGE as error:
        problem = _damaged(error, entry)
    return Header(
        series_uid=header.text("SeriesInstanceUID"),
        series_number=header.whole("SeriesNumber"),
        study=_digest(header.text("StudyInstanceUID")),
        patient=_digest(header.text("PatientID")),
        frame_of_reference=_digest(header.text("FrameOfReferenceUID")),
        sop_class=sop_class,
        modality=header.text("Modality"),
        description=header.text("SeriesDescription"),
        protocol=header.text("ProtocolName") or header.text("StudyDescription"),
        body_part=header.text("BodyPartExamined"),
        manufacturer=header.text("Manufacturer"),
        model=header.text("ManufacturerModelName"),
        patient_position=header.text("PatientPosition"),
        frames=frames,
        problem=problem,
    )


@lru_cache(maxsize=1024)
def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest() if text else ""


def _elements(file: BinaryIO) -> _DataSet | None:
    """The data set of an ordinary file, element by element; None where pydicom has to look closer."""
    file.seek(_PREAMBLE + 4)
    preface = Attributes.of_elements(data_element_generator(file, False, True, stop_when=_behind_preface))
    syntax = preface.text("TransferSyntaxUID")
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    start = file.tell()
    first = file.read(6)
    file.seek(start)
    if not syntax or first[4:6].isalpha() == implicit:
        return None  # no syntax, or another one than it says
    header = Attributes.of_elements(
        data_element_generator(file, implicit, little, stop_when=_at_pixels, specific_tags=[*_TAGS])
    )
    if any(name in header for name in _FUNCTIONAL_GROUPS):
        return None  # sequences are pydicom's work
    return _DataSet(header, preface.text("MediaStorageSOPClassUID"), syntax, implicit, little)


def _by_dcmread(file: BinaryIO, *, force: bool) -> _DataSet:
    """The data set of any file that pydicom can read."""
    file.seek(0)
    dataset = dcmread(file, stop_before_pixels=True, force=force, specific_tags=_TAGS)
    implicit, little = dataset.original_encoding
    guessed = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return _DataSet(
        Attributes.of(dataset),
        str(dataset.file_meta.get("MediaStorageSOPClassUID", "")),
        str(dataset.file_meta.get("TransferSyntaxUID", "")) or guessed,
        bool(implicit),
        bool(little),
    )


def _behind_preface(at: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(at) >= _DATA_SET


def _at_pixels(at: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(at) >= _PIXEL_DATA


def _pixels(found: _DataSet, file: BinaryIO, size: int, *, deflated: bool, streamed: bool) -> Pixels | None:
    """Where the pixels are, from the place where reading stopped; None for a file without pixels."""
    header = found.attributes
    width = 8 if found.implicit else 12
    element = file.read(width)
    order = "<" if found.little else ">"
    group, number = struct.unpack(order + "HH", element[:4]) if len(element) == width else (0, 0)
    if group << 16 | number != _PIXEL_DATA:
        if header.uid("SOPClassUID") in CT_CLASSES:
            raise EOFError("it ends before its pixels")
        return None
    length = struct.unpack(order + "I", element[-4:])[0]
    bits = header.whole("BitsAllocated") or 16
    stored = header.whole("BitsStored") or bits
    high = header.whole("HighBit")
    pixels = Pixels(
        syntax=found.syntax,
        deflated=deflated,
        offset=file.tell(),
        length=length,
        rows=header.whole("Rows") or 0,
        columns=header.whole("Columns") or 0,
        frames=header.whole("NumberOfFrames") or 1,
        samples=header.whole("SamplesPerPixel") or 1,
        photometric=header.text("PhotometricInterpretation") or "MONOCHROME2",
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=header.whole("PixelRepresentation") == 1,
        planar=header.whole("PlanarConfiguration") or 0,
    )
    if pixels.rows < 1 or pixels.columns < 1 or pixels.frames < 1 or not 1 <= stored <= bits <= 64:
        raise ValueError(f"impossible size {pixels.frames} x {pixels.rows} x {pixels.columns}, {stored} bits")
    if length != _UNDEFINED:
        needed = pixels.rows * pixels.columns * pixels.frames * pixels.samples * bits // 8
        if pixels.photometric != "YBR_FULL_422" and length < needed:
            raise ValueError(f"{length} bytes of pixels where {needed} are needed")
        if pixels.offset + length > size:
            raise EOFError(f"truncated: {pixels.offset + length} bytes announced, {size} there")
    elif not streamed:  # following the fragments of a zip's member would unpack it whole
        _check_fragments(file, size, order, pixels.frames)
    return pixels


def _check_fragments(file: BinaryIO, size: int, order: str, frames: int) -> None:
    """Follow the lengths of the compressed fragments: a truncated file ends inside one."""
    place, count = file.tell(), -1  # the first item is the offset table
    while True:
        file.seek(place)
        item = file.read(8)
        if len(item) < 8:
            break
        group, element, length = struct.unpack(order + "HHI", item)
        if (group, element) != _ITEM:
            break
        place += 8 + length
        count += 1
        if place > size:
            raise EOFError("truncated inside a compressed frame")
    if count < frames:
        raise EOFError(f"{count} compressed fragments for {frames} frames")


def _damaged(error: BaseException, entry: Entry) -> UnreadableFile:
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return UnreadableFile(f"damaged DICOM file ({text})", where=entry.name)
