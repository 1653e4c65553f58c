"""The frames of a DICOM file as plain data: where each lies and how its values become HU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydicom.uid import HTJ2K, JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from triplenet.scan.dicom_attributes import Attributes
from triplenet.scan.hounsfield import Padding, Rescale
from triplenet.scan.input_files import Entry

Vector = tuple[float, float, float]

_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
_PERHAPS_LOSSY = frozenset({JPEG2000, HTJ2K})
_MACROS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "CTImageFrameTypeSequence", "CTReconstructionSequence", "FrameContentSequence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pixels:
    """How and where the pixels of a file are stored.

    :param said: the transfer syntax that the file's preface says, where ``syntax`` is what the bytes show
    :param start: of the data set in the file
    :param offset: of the pixel data's value in the file (in the inflated data set where that is deflated)
    """

    syntax: str
    said: str
    deflated: bool
    start: int
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

    @property
    def values(self) -> int:
        """How many values all frames have."""
        return self.rows * self.columns * self.frames * self.samples


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
    acquisition: str = ""
    """Number of the acquisition within the series; empty where it is not said, likewise ``time_point``"""
    time_point: str = ""


def frames_of(header: Attributes, entry: Entry, pixels: Pixels) -> tuple[Frame, ...]:
    """A frame for each slice of the file; the functional groups of an enhanced CT speak for each of theirs.

    :raises ValueError: the functional groups do not fit the number of frames
    """
    shared = header.items("SharedFunctionalGroupsSequence")[:1]
    each = header.items("PerFrameFunctionalGroupsSequence")
    if not shared and not each:
        return tuple(_frame((header,), header, entry, pixels, k) for k in range(pixels.frames))
    if len(each) not in (0, pixels.frames):
        raise ValueError(f"{len(each)} functional groups for {pixels.frames} frames")
    common = _macros(shared)
    return tuple(
        _frame((*_macros(each[k : k + 1]), *common, header), header, entry, pixels, k) for k in range(pixels.frames)
    )


def _macros(groups: Iterable[Attributes]) -> tuple[Attributes, ...]:
    """The items of functional groups that concern a slice."""
    return tuple(item for group in groups for name in _MACROS for item in group.items(name)[:1])


def _frame(levels: tuple[Attributes, ...], header: Attributes, entry: Entry, pixels: Pixels, index: int) -> Frame:
    """One slice, each attribute from the first level that has it: the frame's own, the shared, the file's."""

    def level(keyword: str) -> Attributes:
        if len(levels) == 1:
            return header
        return next((item for item in levels if keyword in item), header)

    orientation = level("ImageOrientationPatient").numbers("ImageOrientationPatient", 6)
    position = level("ImagePositionPatient").numbers("ImagePositionPatient", 3)
    spacing = level("PixelSpacing").numbers("PixelSpacing", 2)
    thickness = level("SliceThickness").numbers("SliceThickness", 1)
    slope = level("RescaleSlope").numbers("RescaleSlope", 1)
    intercept = level("RescaleIntercept").numbers("RescaleIntercept", 1)
    return Frame(
        file=entry,
        index=index,
        pixels=pixels,
        sop_uid=header.uid("SOPInstanceUID"),
        position=None if position is None else (position[0], position[1], position[2]),
        across=None if orientation is None else (orientation[0], orientation[1], orientation[2]),
        down=None if orientation is None else (orientation[3], orientation[4], orientation[5]),
        spacing=None if spacing is None else (spacing[0], spacing[1]),
        thickness_mm=None if thickness is None else thickness[0],
        rescale=None if slope is None or intercept is None else Rescale(slope[0], intercept[0]),
        rescale_type=level("RescaleType").text("RescaleType"),
        padding=_padding(header, pixels),
        image_type=level("FrameType").texts("FrameType") or header.texts("ImageType"),
        kernel="/".join(level("ConvolutionKernel").texts("ConvolutionKernel")),
        lossy=_lossy(header.text("LossyImageCompression"), pixels.syntax),
        acquisition=_written(level, "FrameAcquisitionNumber") or header.text("AcquisitionNumber"),
        time_point=_written(level, "TemporalPositionIndex") or header.text("TemporalPositionIdentifier"),
    )


def _written(level: Callable[[str], Attributes], keyword: str) -> str:
    """A binary number as text; empty where there is none."""
    value = level(keyword).whole(keyword)
    return "" if value is None else str(value)


def _padding(header: Attributes, pixels: Pixels) -> Padding | None:
    first = header.whole("PixelPaddingValue")
    if first is None:
        return None
    last = header.whole("PixelPaddingRangeLimit")
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
