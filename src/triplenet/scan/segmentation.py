"""DICOM Segmentation as a mask: the frames put back to their places, the segments made label values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread

from triplenet.catalog import INFECTION, LUNG
from triplenet.errors import BadMask, ScanError, UnreadableFile
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_header import DAMAGE, read_header
from triplenet.scan.files import Entry
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.volume import Geometry, MaskArray, check_affine

SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})

_INFECTION = re.compile(r"infect|lesion|ground|ggo|opaci|consolid|pneumon|covid|abnormal", re.IGNORECASE)
_LUNG = re.compile(r"lung|pulmo", re.IGNORECASE)
_OFF = 0.1  # of a step: how far a frame may lie from its place


def read_segmentation(
    path: Path, like: Geometry | None = None, limits: Limits = DEFAULT_LIMITS, *, infection_only: bool = False
) -> tuple[MaskArray, Geometry]:
    """A DICOM Segmentation as label values (Z, Y, X) uint8, and where they lie; planes without a frame are 0.

    Where every segment is named after the lung or an infection, the values are 1 and 2, infection over lung;
    else they are the segment numbers, the higher over the lower. Fractional segments count from one half.

    :param like: gives the distance of slices, which a segmentation of few or single slices does not say
    :param infection_only: leave out segments that are named after the lung
    :raises BadMask: no segmentation, or frames that form no volume
    :raises UnreadableFile: damaged
    """
    header = read_header(Entry(path.name, path, path.stat().st_size), limits)
    if header is None or header.sop_class not in SEGMENTATION_CLASSES:
        raise BadMask("a DICOM file that is no segmentation", where=path, do="give the SEG object")
    if header.problem is not None:
        raise header.problem
    if not header.frames:
        raise BadMask("a segmentation without pixels", where=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path)
            pixels = np.asarray(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
            planes = _labelled(dataset, pixels, infection_only)
        if len(planes) != len(header.frames):
            raise ValueError(f"{len(planes)} planes for {len(header.frames)} frames")
    except ScanError:
        raise
    except DAMAGE as error:
        text = " ".join(str(error).split())[:160]
        raise UnreadableFile(f"damaged segmentation ({text})", where=path) from None
    return _placed(header.frames, planes, path, like, limits)


def _labelled(dataset: Dataset, pixels: npt.NDArray[np.generic], infection_only: bool) -> MaskArray:
    """Each frame with label values instead of segment membership, (F, Y, X) uint8."""
    values = _values(dataset, infection_only)
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


def _values(dataset: Dataset, infection_only: bool) -> dict[int, int]:
    """The label value of each segment number."""
    names = {int(item.SegmentNumber): str(item.get("SegmentLabel", "")) for item in dataset.SegmentSequence}
    meant = {
        number: INFECTION if _INFECTION.search(name) else LUNG if _LUNG.search(name) else None
        for number, name in names.items()
        if number > 0
    }
    if infection_only:
        return {number: 0 if value == LUNG else INFECTION for number, value in meant.items()}
    if all(meant.values()):
        return {number: int(value or 0) for number, value in meant.items()}
    if max(names) > 255:
        raise BadMask(f"segment number {max(names)} does not fit into a label value")
    return {number: number for number in meant}


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
