"""One DICOM file's header as plain data: everything about its frames but the pixels."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from triplenet.errors import ScanError, TooLarge, UnreadableFile
from triplenet.scan.files import ZIP_DAMAGE, Entry
from triplenet.scan.hounsfield import Padding, Rescale
from triplenet.scan.limits import DEFLATE_RATIO, Limits

DAMAGE = (
    *ZIP_DAMAGE, InvalidDicomError, OSError, KeyError, IndexError, AttributeError, TypeError, OverflowError,
    AssertionError, MemoryError, RecursionError, struct.error, zlib.error,
)  # fmt: skip
"""What pydicom and the decoders raise on a damaged file."""

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
CONVERTED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
DICOMDIR = "1.2.840.10008.1.3.10"
CT_CLASSES = frozenset({CT, ENHANCED_CT, CONVERTED_CT})

Vector = tuple[float, float, float]

_FILE_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "LossyImageCompression",
    "ImageType", "SeriesDescription", "ProtocolName", "StudyDescription", "BodyPartExamined", "ConvolutionKernel",
    "SliceThickness", "PatientPosition", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration", "RescaleSlope", "RescaleIntercept",
    "RescaleType", "ModalityLUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit", "Manufacturer",
    "ManufacturerModelName", "FrameOfReferenceUID", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
_TAGS: list[BaseTag] = [Tag(name) for name in _FILE_TAGS]
_PIXEL_DATA = (0x7FE0, 0x0010)
_ITEM = (0xFFFE, 0xE000)
_PREAMBLE = 128
_UNDEFINED = 0xFFFFFFFF
_DEFLATED = b"\x02\x00\x10\x00UI\x16\x00" + DeflatedExplicitVRLittleEndian.encode()
_FIRST_GROUPS = (b"\x08\x00", b"\x02\x00", b"\x00\x08")
_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
_PERHAPS_LOSSY = frozenset({JPEG2000, HTJ2K})
_MACROS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "CTImageFrameTypeSequence", "CTReconstructionSequence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pixels:
    """How and where the pixels of a file are stored.

    :param offset: of the pixel data's value in the file (in the inflated data set where that is deflated)
    """

    syntax: str
    deflated: bool
    offset: int
    length: int
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: where it lies, how its values become HU, and where its pixels are.

    Vectors are LPS; ``across`` points along a row (columns increase), ``down`` along a column (rows increase).
    """

    file: Entry
    index: int
    pixels: Pixels
    sop_uid: str
    position: Vector | None
    across: Vector | None
    down: Vector | None
    spacing: tuple[float, float] | None
    """millimetres between rows, between columns"""
    thickness_mm: float | None
    rescale: Rescale | None
    rescale_type: str
    padding: Padding | None
    image_type: tuple[str, ...]
    kernel: str
    lossy: bool


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says about the series it belongs to, and its frames (none for a file without pixels)."""

    series_uid: str
    series_number: int | None
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
    tag, length = struct.unpack("<4s4xI", packed[_PREAMBLE + 4 : _PREAMBLE + 16])
    if tag != b"\x02\x00\x00\x00":
        raise UnreadableFile("damaged DICOM file (no group length before deflated data)", where=entry.name)
    start = _PREAMBLE + 16 + length
    most = min(limits.header_bytes + 4 * limits.voxels, (len(packed) - start) * DEFLATE_RATIO)
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    body = engine.decompress(packed[start:], max(most, 1))
    if engine.unconsumed_tail:
        raise TooLarge("the deflated data set is larger than any CT", where=entry.name)
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
    file.seek(0)
    dataset = dcmread(file, stop_before_pixels=True, force=not marked, specific_tags=_TAGS)
    sop_class = _text(dataset, "SOPClassUID")
    if not marked and not (sop_class and "SeriesInstanceUID" in dataset):
        return None
    if not sop_class:  # a DICOMDIR names its class in the file's preface alone
        sop_class = _text(dataset.file_meta, "MediaStorageSOPClassUID")
        if sop_class != DICOMDIR:
            raise EOFError("it does not say what it is")
    size = file.getbuffer().nbytes if isinstance(file, BytesIO) else entry.size
    frames: tuple[Frame, ...] = ()
    problem: ScanError | None = None
    try:
        pixels = _pixels(dataset, file, size, deflated=deflated, streamed=entry.archive is not None)
        if pixels is not None:
            limits.check_shape((pixels.frames, pixels.rows, pixels.columns), entry.name)
            frames = _frames(dataset, entry, pixels)
    except TooLarge as error:
        problem = error
    except DAMAGE as error:
        problem = _damaged(error, entry)
    return Header(
        series_uid=_text(dataset, "SeriesInstanceUID"),
        series_number=_whole(dataset, "SeriesNumber"),
        sop_class=sop_class,
        modality=_text(dataset, "Modality"),
        description=_text(dataset, "SeriesDescription"),
        protocol=_text(dataset, "ProtocolName") or _text(dataset, "StudyDescription"),
        body_part=_text(dataset, "BodyPartExamined"),
        manufacturer=_text(dataset, "Manufacturer"),
        model=_text(dataset, "ManufacturerModelName"),
        patient_position=_text(dataset, "PatientPosition"),
        frames=frames,
        problem=problem,
    )


def _pixels(dataset: Dataset, file: BinaryIO, size: int, *, deflated: bool, streamed: bool) -> Pixels | None:
    """Where the pixels are, from the place where reading stopped; None for a file without pixels."""
    implicit, little = dataset.original_encoding
    element = file.read(8 if implicit else 12)
    order = "<" if little else ">"
    if len(element) < (8 if implicit else 12) or struct.unpack(order + "HH", element[:4]) != _PIXEL_DATA:
        if _text(dataset, "SOPClassUID") in CT_CLASSES:
            raise EOFError("it ends before its pixels")
        return None
    length = struct.unpack(order + "I", element[-4:])[0]
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or (
        "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
    )
    bits = _whole(dataset, "BitsAllocated") or 16
    stored = _whole(dataset, "BitsStored") or bits
    high = _whole(dataset, "HighBit")
    pixels = Pixels(
        syntax=syntax,
        deflated=deflated,
        offset=file.tell(),
        length=length,
        rows=_whole(dataset, "Rows") or 0,
        columns=_whole(dataset, "Columns") or 0,
        frames=_whole(dataset, "NumberOfFrames") or 1,
        samples=_whole(dataset, "SamplesPerPixel") or 1,
        photometric=_text(dataset, "PhotometricInterpretation") or "MONOCHROME2",
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=_whole(dataset, "PixelRepresentation") == 1,
        planar=_whole(dataset, "PlanarConfiguration") or 0,
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


def _frames(dataset: Dataset, entry: Entry, pixels: Pixels) -> tuple[Frame, ...]:
    """A frame for each slice of the file; the functional groups of an enhanced CT speak for each of theirs."""
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if shared is None and not each:
        return tuple(_frame((dataset,), dataset, entry, pixels, k) for k in range(pixels.frames))
    if len(each) not in (0, pixels.frames):
        raise ValueError(f"{len(each)} functional groups for {pixels.frames} frames")
    frames = []
    for k in range(pixels.frames):
        groups = [group for group in (each[k] if each else None, shared) if group is not None]
        frames.append(_frame(_macros(groups, dataset), dataset, entry, pixels, k))
    return tuple(frames)


def _macros(groups: Iterable[Dataset], dataset: Dataset) -> tuple[Dataset, ...]:
    """The items of the functional groups that concern a slice, the frame's own before the shared ones."""
    found = [_first(group, name) for group in groups for name in _MACROS]
    return (*(item for item in found if item is not None), dataset)


def _frame(levels: tuple[Dataset, ...], dataset: Dataset, entry: Entry, pixels: Pixels, index: int) -> Frame:
    """One slice, each attribute from the first level that has it."""

    def level(keyword: str) -> Dataset:
        return next((item for item in levels if keyword in item), dataset)

    orientation = _numbers(level("ImageOrientationPatient"), "ImageOrientationPatient", 6)
    position = _numbers(level("ImagePositionPatient"), "ImagePositionPatient", 3)
    spacing = _numbers(level("PixelSpacing"), "PixelSpacing", 2)
    thickness = _numbers(level("SliceThickness"), "SliceThickness", 1)
    slope = _numbers(level("RescaleSlope"), "RescaleSlope", 1)
    intercept = _numbers(level("RescaleIntercept"), "RescaleIntercept", 1)
    kinds = level("FrameType").get("FrameType") or dataset.get("ImageType") or ()
    kernel = level("ConvolutionKernel").get("ConvolutionKernel") or ""
    return Frame(
        file=entry,
        index=index,
        pixels=pixels,
        sop_uid=_text(dataset, "SOPInstanceUID"),
        position=None if position is None else (position[0], position[1], position[2]),
        across=None if orientation is None else (orientation[0], orientation[1], orientation[2]),
        down=None if orientation is None else (orientation[3], orientation[4], orientation[5]),
        spacing=None if spacing is None else (spacing[0], spacing[1]),
        thickness_mm=None if thickness is None else thickness[0],
        rescale=None if slope is None or intercept is None else Rescale(slope[0], intercept[0]),
        rescale_type=_text(level("RescaleType"), "RescaleType"),
        padding=_padding(dataset, pixels),
        image_type=(kinds,) if isinstance(kinds, str) else tuple(str(kind) for kind in kinds),
        kernel=kernel if isinstance(kernel, str) else "/".join(str(part) for part in kernel),
        lossy=_lossy(_text(dataset, "LossyImageCompression"), pixels.syntax),
    )


def _padding(dataset: Dataset, pixels: Pixels) -> Padding | None:
    first = _whole(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = _whole(dataset, "PixelPaddingRangeLimit")
    ends = sorted(_as_stored(value, pixels) for value in (first, first if last is None else last))
    return Padding(ends[0], ends[1])


def _as_stored(value: int, pixels: Pixels) -> int:
    """A padding value in the pixels' own signedness, whichever way the header wrote the same bits."""
    span = 1 << pixels.bits_allocated
    value %= span
    return value - span if pixels.signed and value >= span // 2 else value


def _lossy(said: str, syntax: str) -> bool:
    """Whether values were changed by compression, as far as the header tells; in doubt yes."""
    return said == "01" or syntax in _LOSSY or (syntax in _PERHAPS_LOSSY and said != "00")


def _first(dataset: Dataset, keyword: str) -> Dataset | None:
    items = dataset.get(keyword)
    return items[0] if items else None


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip("\0 ")


def _whole(dataset: Dataset, keyword: str) -> int | None:
    value = dataset.get(keyword)
    try:
        return None if value is None or value == "" else int(value)
    except (TypeError, ValueError):
        return None


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None where the header has none or something else."""
    value = dataset.get(keyword)
    try:
        if value is None or value == "":
            return None
        values = (float(value),) if count == 1 else tuple(float(v) for v in value)
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _damaged(error: BaseException, entry: Entry) -> UnreadableFile:
    text = " ".join(str(error).split())[:160] or type(error).__name__
    return UnreadableFile(f"damaged DICOM file ({text})", where=entry.name)
