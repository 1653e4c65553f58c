"""DICOM Segmentation as a mask: the frames put back to their places, the segments made label values."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread

from triplenet.catalog import INFECTION, LUNG
from triplenet.errors import BadMask, MaskMismatch, ScanError, UnreadableFile
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_header import DAMAGE, Header, read_header
from triplenet.scan.files import Entry
from triplenet.scan.grid_match import place
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.orientation import reorientation
from triplenet.scan.segment_meaning import segments_of, wanted
from triplenet.scan.volume import Geometry, MaskArray, check_affine

SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})

_OFF = 0.1  # of a step: how far a frame may lie from its place where there is no scan to say where that is
_SAID = 0.01  # of a voxel: from here on it is worth a note


def read_segmentation(
    path: Path,
    like: Geometry | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    column: Literal["infection", "lung"] | None = None,
) -> tuple[MaskArray, Geometry, tuple[str, ...]]:
    """A DICOM Segmentation as label values (Z, Y, X) uint8, where they lie, and notes; planes without a frame are 0.

    Without a column the values are 1 and 2, infection over lung, where every segment is one of them; else the segment
    numbers, the higher over the lower. Fractional segments count from one half on.

    :param like: the scan's grid: each frame is laid on the slice nearest to it, so that rounded positions and missing
        slices do no harm. Where the frames lie on other voxels it gives the distance of slices, which a segmentation
        of few or single slices does not say
    :param column: only the segments that are this, as 1
    :raises BadMask: no segmentation, frames that form no volume, or segments of another kind
    :raises MaskMismatch: another patient's
    :raises UnreadableFile: damaged
    """
    header = read_header(Entry(path.name, path, path.stat().st_size), limits)
    if header is None or header.sop_class not in SEGMENTATION_CLASSES:
        raise BadMask("a DICOM file that is no segmentation", where=path, do="give the SEG object")
    if header.problem is not None:
        raise header.problem
    if not header.frames:
        raise BadMask("a segmentation without pixels", where=path)
    notes = _compared(header, like, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, force=True)
            pixels = np.asarray(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
            values, said = _values(dataset, column, path)
            planes = _labelled(dataset, pixels, values)
        if len(planes) != len(header.frames):
            raise ValueError(f"{len(planes)} planes for {len(header.frames)} frames")
    except ScanError:
        raise
    except DAMAGE as error:
        text = " ".join(str(error).split())[:160]
        raise UnreadableFile(f"damaged segmentation ({text})", where=path) from None
    notes += said
    laid = None if like is None else _laid_on(header.frames, planes, like)
    if like is not None and laid is not None:
        return laid[0], like, (*notes, *laid[1])
    return (*_placed(header.frames, planes, path, like, limits), tuple(notes))


def _compared(header: Header, like: Geometry | None, path: Path) -> list[str]:
    """Refuse another patient's segmentation; another frame of reference is a note, since some writers invent one."""
    origin = None if like is None else like.origin
    if origin is None:
        return []
    if origin.patient and header.patient and origin.patient != header.patient:
        raise MaskMismatch(
            "the segmentation is another patient's than the scan",
            where=path,
            do="check the row of the table, or whether one of them was pseudonymised otherwise",
        )
    references = origin.frame_of_reference, header.frame_of_reference
    return (
        ["drawn in another frame of reference than the scan's"] if all(references) and len(set(references)) > 1 else []
    )


def _laid_on(frames: Sequence[Frame], planes: MaskArray, like: Geometry) -> tuple[MaskArray, tuple[str, ...]] | None:
    """Each frame on the scan's nearest slice; None where they lie on other voxels than the scan's."""
    theirs = reorientation(like)
    if not theirs.keeps_slices:
        return None
    scan = theirs.apply_geometry(like)
    out = np.zeros(scan.shape, np.uint8)
    slice_of: dict[tuple[float, ...], int] = {}
    off = 0.0
    for frame, plane in zip(frames, planes, strict=True):
        own = _frame_geometry(frame, scan)
        if own is None:
            return None
        ours = reorientation(own)
        placement = place(ours.apply_geometry(own), scan) if ours.keeps_slices else None
        if placement is None:
            return None
        turned = ours.apply(plane[None])[0]
        z = int(placement.slices[0])
        slice_of[tuple(frame.position or ())] = z
        off = max(off, placement.off)
        rows, columns = (
            slice(at, at + n) for at, n in zip((placement.row, placement.column), turned.shape, strict=True)
        )
        np.maximum(out[z, rows, columns], turned, out=out[z, rows, columns])
    if len(set(slice_of.values())) < len(slice_of):  # finer than the scan
        return None
    notes = (f"its frames lie up to {off:.2f} of a voxel off the scan's",) if off > _SAID else ()
    return np.ascontiguousarray(theirs.undo(out)), notes


def _frame_geometry(frame: Frame, scan: Geometry) -> Geometry | None:
    if frame.across is None or frame.down is None or frame.spacing is None or frame.position is None:
        return None
    affine = np.eye(4)
    affine[:3, 0] = np.cross(frame.across, frame.down) * scan.spacing_mm[0]
    affine[:3, 1] = np.array(frame.down) * frame.spacing[0]
    affine[:3, 2] = np.array(frame.across) * frame.spacing[1]
    affine[:3, 3] = frame.position
    return Geometry((1, frame.pixels.rows, frame.pixels.columns), affine)


def _labelled(dataset: Dataset, pixels: npt.NDArray[np.generic], values: Mapping[int, int]) -> MaskArray:
    """Each frame with label values instead of segment membership, (F, Y, X) uint8."""
    if dataset.get("SegmentationType") == "LABELMAP":
        table = np.zeros(int(pixels.max(initial=0)) + 1, np.uint8)
        for number, value in values.items():
            if number < len(table):
                table[number] = value
        return np.asarray(table[pixels.astype(np.int64)])
    if dataset.get("SegmentationType") == "FRACTIONAL":
        inside = pixels.astype(np.float64) * 2 >= float(dataset.MaximumFractionalValue)
    else:
        inside = pixels != 0
    numbers = _segment_numbers(dataset, len(pixels))
    return inside * np.array([values[number] for number in numbers], np.uint8)[:, None, None]


def _values(
    dataset: Dataset, column: Literal["infection", "lung"] | None, where: Path
) -> tuple[dict[int, int], list[str]]:
    """The label value of each segment number, and what is to be said of it."""
    segments = segments_of(dataset)
    notes = []
    if dataset.get("SegmentationType") == "FRACTIONAL":
        kind = str(dataset.get("SegmentationFractionalType", "")).lower() or "unnamed"
        notes.append(f"a fractional segmentation ({kind}), counted from one half on")
    if column is not None:
        numbers, said = wanted(segments, column, where)
        return {segment.number: int(segment.number in numbers) for segment in segments}, [
            *notes,
            *([said] if said else []),
        ]
    known = {"lung": LUNG, "infection": INFECTION}
    if all(segment.kind in known for segment in segments):
        return {segment.number: known[segment.kind] for segment in segments}, notes
    largest = max(segment.number for segment in segments)
    if largest > 255:
        raise BadMask(f"segment number {largest} does not fit into a label value", where=where)
    return {segment.number: segment.number for segment in segments}, notes


def _segment_numbers(dataset: Dataset, count: int) -> list[int]:
    shared = dataset.SharedFunctionalGroupsSequence[0].get("SegmentIdentificationSequence")
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * count
    found = [group.get("SegmentIdentificationSequence") or shared for group in groups]
    return [int(item[0].ReferencedSegmentNumber) for item in found]


def _placed(
    frames: Sequence[Frame], planes: MaskArray, where: Path, like: Geometry | None, limits: Limits
) -> tuple[MaskArray, Geometry]:
    """The planes as a volume on an even grid along their normal."""
    first = frames[0]
    positions = np.array([frame.position for frame in frames if frame.position is not None], np.float64)
    if first.across is None or first.down is None or first.spacing is None or len(positions) < len(planes):
        raise BadMask("a segmentation without positions, orientation or spacing", where=where)
    if any((frame.across, frame.down, frame.spacing) != (first.across, first.down, first.spacing) for frame in frames):
        raise BadMask("a segmentation with frames in several directions", where=where)
    normal = np.cross(first.across, first.down)
    heights = positions @ normal
    step = _step(heights, normal, first.thickness_mm, like)
    places = (heights - heights.min()) / step
    index = np.rint(places).astype(np.int64)
    lowest = positions[int(np.argmin(heights))]
    off = np.abs(positions - (lowest + (index * step)[:, None] * normal)).max()
    if off > _OFF * step:
        raise BadMask("the frames of the segmentation are not evenly stacked", where=where)
    shape = (int(index.max()) + 1, *planes.shape[1:])
    limits.check_shape(shape, where)
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = np.array(first.down) * first.spacing[0]
    affine[:3, 2] = np.array(first.across) * first.spacing[1]
    affine[:3, 3] = lowest
    check_affine(affine, where)
    mask = np.zeros(shape, np.uint8)
    for k, plane in zip(index, planes, strict=True):
        np.maximum(mask[k], plane, out=mask[k])
    return mask, Geometry((shape[0], shape[1], shape[2]), affine)


def _step(
    heights: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], thickness: float | None, like: Geometry | None
) -> float:
    """The distance of slices in mm: the scan's own where it is known, else the smallest between frames."""
    if like is not None and like.is_even:
        lengths = np.linalg.norm(like.affine[:3, :3], axis=0)
        axis = int(np.argmax(np.abs(normal @ like.affine[:3, :3]) / lengths))
        return float(lengths[axis])
    apart = np.diff(np.unique(np.round(heights, 3)))
    if len(apart):
        return float(apart.min())
    return thickness if thickness is not None and thickness > 0 else 1.0
