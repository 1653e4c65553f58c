"""The frames of a DICOM Segmentation on the slices of its scan, or on a grid of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadMask
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.grid_match import HALF, off_note, place
from triplenet.scan.limits import Limits
from triplenet.scan.orientation import reorientation
from triplenet.scan.volume import Geometry, MaskArray, check_affine


def lay_frames_on(
    frames: Sequence[Frame], planes: MaskArray, like: Geometry
) -> tuple[MaskArray, tuple[str, ...]] | None:
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
        slice_of[tuple(round(value, 2) for value in frame.position or ())] = z
        off = max(off, placement.off)
        rows, columns = (
            slice(at, at + n) for at, n in zip((placement.row, placement.column), turned.shape, strict=True)
        )
        np.maximum(out[z, rows, columns], turned, out=out[z, rows, columns])
    if len(set(slice_of.values())) < len(slice_of):  # finer than the scan
        return None
    return np.ascontiguousarray(theirs.undo(out)), off_note("its frames", off)


def _frame_geometry(frame: Frame, scan: Geometry) -> Geometry | None:
    if frame.across is None or frame.down is None or frame.spacing is None or frame.position is None:
        return None
    affine = np.eye(4)
    affine[:3, 0] = np.cross(frame.across, frame.down) * scan.spacing_mm[0]
    affine[:3, 1] = np.array(frame.down) * frame.spacing[0]
    affine[:3, 2] = np.array(frame.across) * frame.spacing[1]
    affine[:3, 3] = frame.position
    return Geometry((1, frame.pixels.rows, frame.pixels.columns), affine)


def stack_frames(
    frames: Sequence[Frame], planes: MaskArray, where: object, like: Geometry | None, limits: Limits
) -> tuple[MaskArray, Geometry, tuple[str, ...]]:
    """The planes as a volume on an even grid along their normal, and notes."""
    first = frames[0]
    positions = np.array([frame.position for frame in frames if frame.position is not None], np.float64)
    if first.across is None or first.down is None or first.spacing is None or len(positions) < len(planes):
        raise BadMask("a segmentation without positions, orientation or spacing", where=where)
    if any((frame.across, frame.down, frame.spacing) != (first.across, first.down, first.spacing) for frame in frames):
        raise BadMask("a segmentation with frames in several directions", where=where)
    normal = np.cross(first.across, first.down)
    heights: npt.NDArray[np.float64] = positions @ normal
    places, slice_of = np.unique(np.round(heights, 3), return_inverse=True)
    slices, step = _even(places, normal, first.thickness_mm, like)
    index = slices[slice_of]
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = np.array(first.down) * first.spacing[0]
    affine[:3, 2] = np.array(first.across) * first.spacing[1]
    affine[:3, 3] = positions[int(np.argmin(heights))]
    check_affine(affine, where)
    beside = positions - (affine[:3, 3] + index[:, None] * affine[:3, 0])
    off = float(np.abs(np.linalg.solve(affine[:3, :3], beside.T)).max())
    if not off < HALF or len(np.unique(slices)) < len(places):
        raise BadMask("the frames of the segmentation are not evenly stacked", where=where)
    shape = (int(index.max()) + 1, *planes.shape[1:])
    limits.check_shape(shape, where)
    mask = np.zeros(shape, np.uint8)
    for k, plane in zip(index, planes, strict=True):
        np.maximum(mask[k], plane, out=mask[k])
    return mask, Geometry((shape[0], shape[1], shape[2]), affine), off_note("its frames", off, "an even grid")


def _even(
    places: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], thickness: float | None, like: Geometry | None
) -> tuple[npt.NDArray[np.int64], float]:
    """The number of the slice at each of the rising places, and the distance of slices, both in mm.

    The scan's own distance where it is known; else the one that fits best, slices as far apart as the smallest gap.
    """
    if like is not None and like.is_even:
        lengths = np.linalg.norm(like.affine[:3, :3], axis=0)
        step = float(lengths[int(np.argmax(np.abs(normal @ like.affine[:3, :3]) / lengths))])
        return np.rint((places - places[0]) / step).astype(np.int64), step
    if len(places) == 1:
        return np.zeros(1, np.int64), thickness if thickness is not None and thickness > 0 else 1.0
    gaps = np.diff(places)
    slices = np.concatenate([[0], np.cumsum(np.rint(gaps / gaps.min()))]).astype(np.int64)  # gap by gap: no drift
    return slices, float((places[-1] - places[0]) / slices[-1])
