"""DICOM Segmentation as a mask: the frames put back to their places, the segments made label values.

pydicom decodes the frames, as it does for highdicom, which reads what keeps to the standard. What is ours is what
neither does: frames on the slices nearest to them where positions were rounded or slices are missing, and limits that
hold before anything is unpacked.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRLittleEndian

from triplenet.catalog import INFECTION, LUNG
from triplenet.errors import BadMask, MaskMismatch, ScanError, UnreadableFile
from triplenet.scan.dicom_header import DAMAGE, Header
from triplenet.scan.input_files import Entry
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.mask import Mask
from triplenet.scan.segment_meaning import Column, Wanted, described_in, segments_of, wanted
from triplenet.scan.segment_names import NO_NAMES, SegmentNames
from triplenet.scan.segmentation_grid import lay_frames_on, stack_frames
from triplenet.scan.volume import Geometry, MaskArray

SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})


def read_segmentation(
    entry: Entry,
    header: Header,
    where: object,
    like: Geometry | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    column: Column | None = None,
    names: SegmentNames = NO_NAMES,
) -> Mask:
    """A DICOM Segmentation as label values (Z, Y, X) uint8 and where they lie; planes without a frame are 0.

    Without a column the values are 1 and 2, infection over lung, where every segment is one of them; else the segment
    numbers, the higher over the lower. Fractional segments count from one half on.

    :param header: of the entry, read to keep ``SEGMENTATION_CLASSES``
    :param where: what the user named, for messages
    :param like: the scan's grid: each frame is laid on the slice nearest to it, so that rounded positions and missing
        slices do no harm. Where the frames lie on other voxels it gives the distance of slices, which a segmentation
        of few or single slices does not say
    :param column: only the segments that this column means
    :param names: a site's own names of segments
    :raises BadMask: no segmentation, frames that form no volume, or segments of another kind
    :raises MaskMismatch: another patient's
    :raises UnreadableFile: damaged
    """
    if header.sop_class not in SEGMENTATION_CLASSES:
        raise BadMask("a DICOM file that is no segmentation", where=where, do="give the SEG object")
    if header.problem is not None:
        raise header.problem
    if not header.frames:
        raise BadMask("a segmentation without pixels", where=where)
    notes = _compared(header, like, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _read(entry, header, limits)
            pixels = np.asarray(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
            meant = _meant(dataset, column, names, where)
            planes = _labelled(dataset, pixels, meant.values)
        if len(planes) != len(header.frames):
            raise ValueError(f"{len(planes)} planes for {len(header.frames)} frames")
        if dataset.get("SegmentationType") == "FRACTIONAL":
            kind = str(dataset.get("SegmentationFractionalType", "")).lower() or "unnamed"
            notes.append(f"a fractional segmentation ({kind}), counted from one half on")
    except ScanError:
        raise
    except DAMAGE as error:
        text = " ".join(str(error).split())[:160]
        raise UnreadableFile(f"damaged segmentation ({text})", where=where) from None
    notes += [meant.note] if meant.note else []
    laid = None if like is None else lay_frames_on(header.frames, planes, like)
    if like is not None and laid is not None:
        return Mask(laid[0], like, (*notes, *laid[1]), meant.guessed)
    mask, geometry, more = stack_frames(header.frames, planes, where, like, limits)
    return Mask(mask, geometry, (*notes, *more), meant.guessed)


def _read(entry: Entry, header: Header, limits: Limits) -> Dataset:
    """The whole file; of a deflated one what its header was read from, since pydicom inflates without a limit."""
    if header.inflated is None:
        with entry.open_seekable(limits) as file:
            return dcmread(file, force=True)
    header.inflated.seek(0)
    dataset = read_dataset(header.inflated, is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _compared(header: Header, like: Geometry | None, where: object) -> list[str]:
    """Refuse another patient's segmentation; another frame of reference is a note, since some writers invent one."""
    origin = None if like is None else like.origin
    if origin is None:
        return []
    if origin.patient and header.patient and origin.patient != header.patient:
        raise MaskMismatch(
            "the segmentation is another patient's than the scan",
            where=where,
            do="check the row of the table, or whether one of them was pseudonymised otherwise",
        )
    pairs = {
        "study": (origin.study, header.study),
        "frame of reference": (origin.frame_of_reference, header.frame_of_reference),
    }
    return [f"drawn in another {name} than the scan's" for name, (a, b) in pairs.items() if a and b and a != b]


def _labelled(dataset: Dataset, pixels: npt.NDArray[np.integer[Any]], values: Mapping[int, int]) -> MaskArray:
    """Each frame with label values instead of segment membership, (F, Y, X) uint8."""
    if dataset.get("SegmentationType") == "LABELMAP":
        table = np.zeros(int(pixels.max(initial=0)) + 1, np.uint8)
        for number, value in values.items():
            if number < len(table):
                table[number] = value
        return np.asarray(table[pixels])
    half = 1
    if dataset.get("SegmentationType") == "FRACTIONAL":
        half = -(-int(dataset.MaximumFractionalValue) // 2)  # the least whole number that is not below one half
        if half < 1:
            raise ValueError("a fractional segmentation without its largest value")
    numbers = _segment_numbers(dataset, len(pixels))
    value_of = np.array([values[number] for number in numbers], np.uint8)
    return np.where(pixels >= half, value_of[:, None, None], np.uint8(0))


def _meant(dataset: Dataset, column: Column | None, names: SegmentNames, where: object) -> Wanted:
    """The label value of each segment number, and what is to be said of it."""
    segments = segments_of(described_in(dataset), names)
    if column is not None:
        return wanted(segments, column, where)
    known = {"lung": LUNG, "infection": INFECTION}
    if all(segment.kind in known for segment in segments):
        return Wanted({segment.number: known[segment.kind] for segment in segments})
    largest = max(segment.number for segment in segments)
    if largest > 255:
        raise BadMask(f"segment number {largest} does not fit into a label value", where=where)
    return Wanted({segment.number: segment.number for segment in segments})


def _segment_numbers(dataset: Dataset, count: int) -> list[int]:
    shared = dataset.SharedFunctionalGroupsSequence[0].get("SegmentIdentificationSequence")
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * count
    found = [group.get("SegmentIdentificationSequence") or shared for group in groups]
    return [int(item[0].ReferencedSegmentNumber) for item in found]
