"""Frames to a stack: order along the slice normal, duplicates, gaps, and the geometry that results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadGeometry, DuplicateSlices, SeriesGap
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_pixels import decode
from triplenet.scan.frame_groups import check_one_grid
from triplenet.scan.limits import Limits
from triplenet.scan.volume import Geometry, check_affine

SAME_PLACE_MM = 0.01  # slices nearer than this lie at one position
_UNEVEN = 0.1  # of the spacing, and millimetres: how far a slice may lie from its place on the even grid
_REPORTED = 0.02  # of the spacing: from here on unevenness is worth a note
_UNIT = 1e-3  # tolerance on lengths and right angles of direction cosines
_OVERLAP = 0.1  # of the slices may stand there twice, where two passes meet
_FAR_MM = 20.0  # slices further apart leave out more than they show
_LISTED = 12  # missing positions spelled out in a message


@dataclass(frozen=True)
class Stack:
    """Frames in the order of their positions on the slice normal, and the grid they form."""

    frames: tuple[Frame, ...]
    geometry: Geometry
    notes: tuple[str, ...]


def stack(frames: Sequence[Frame], where: object, limits: Limits, *, allow_gaps: bool = False) -> Stack:
    """Put the frames of one series, of one size and orientation, in order.

    The order is that of the position projected on the slice normal: not of names, instance numbers or raw z.
    The slices run along rows x columns, to the head for an axial series of a supine patient.

    :param allow_gaps: accept missing or uneven slices; the geometry then knows each slice's position
    :raises SeriesGap: slices are missing or unevenly spaced
    :raises DuplicateSlices: two frames at one position with different pixels
    :raises BadGeometry: position, orientation or spacing is missing or impossible
    """
    check_one_grid(frames, where)
    first = frames[0]
    if first.across is None or first.down is None or first.spacing is None:
        raise BadGeometry("no orientation or pixel spacing", where=where)
    if min(first.spacing) <= 0:
        raise BadGeometry("a pixel spacing that is not positive", where=where)
    across, down = np.array(first.across), np.array(first.down)
    normal = _normal(across, down, where)
    if any(frame.position is None for frame in frames):
        raise BadGeometry("a slice without a position", where=where)
    positions = np.array([frame.position for frame in frames], np.float64)
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    ordered = [frames[k] for k in order]
    ordered, kept, notes = _without_duplicates(ordered, heights[order], where, limits, allow_gaps)
    positions, heights = positions[order][kept], heights[order][kept]
    limits.check_shape((len(ordered), first.pixels.rows, first.pixels.columns), where)

    affine = np.eye(4)
    affine[:3, 1] = down * first.spacing[0]
    affine[:3, 2] = across * first.spacing[1]
    affine[:3, 3] = positions[0]
    uneven = False
    if len(ordered) == 1:
        thickness = first.thickness_mm if first.thickness_mm and first.thickness_mm > 0 else 1.0
        affine[:3, 0] = normal * thickness
    else:
        affine[:3, 0] = (positions[-1] - positions[0]) / (len(ordered) - 1)
        problem = _unevenness(positions, heights)
        if problem is not None and not allow_gaps:
            raise SeriesGap(
                problem, where=where, do="find the missing slices, or allow gaps (--allow-gaps) for work on slices"
            )
        uneven = problem is not None
        if problem is not None:
            notes.append(problem)
        else:
            off = np.abs(positions - (positions[0] + np.arange(len(ordered))[:, None] * affine[:3, 0])).max()
            if off > _REPORTED * np.linalg.norm(affine[:3, 0]):
                notes.append(f"slices lie up to {off:.2f} mm from an even grid")
    check_affine(affine, where)
    shape = (len(ordered), first.pixels.rows, first.pixels.columns)
    geometry = Geometry(shape, affine, positions if uneven else None)
    if len(ordered) > 1 and geometry.spacing_mm[0] > _FAR_MM:
        notes.append(f"slices lie {geometry.spacing_mm[0]:.0f} mm apart: most of the body between them is not there")
    if not geometry.is_rectangular:
        notes.append(f"gantry tilt of {geometry.tilt_degrees:.1f} degrees, kept as a shear")
    return Stack(tuple(ordered), geometry, tuple(notes))


def _normal(across: npt.NDArray[np.float64], down: npt.NDArray[np.float64], where: object) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(length - 1.0) for length in lengths) > 10 * _UNIT or abs(across @ down) > 10 * _UNIT:
        raise BadGeometry("the image orientation is not two perpendicular unit vectors", where=where)
    normal = np.cross(across, down)
    return np.asarray(normal / np.linalg.norm(normal))


def _without_duplicates(
    frames: list[Frame], heights: npt.NDArray[np.float64], where: object, limits: Limits, allow_gaps: bool
) -> tuple[list[Frame], list[int], list[str]]:
    """The frames with one at each position, their places in the given list, and a note of what was dropped."""
    kept: list[int] = []
    dropped, meeting = 0, True
    twice: list[float] = []
    digest: dict[int, bytes] = {}

    def content(k: int) -> bytes:
        if k not in digest:
            values = decode(frames[k], limits)
            digest[k] = hashlib.sha256(repr(frames[k].rescale).encode() + values.tobytes()).digest()
        return digest[k]

    for k in range(len(frames)):
        if kept and heights[k] - heights[kept[-1]] < SAME_PLACE_MM:
            if content(k) != content(kept[-1]):
                twice.append(float(heights[k]))
                passes = {frames[k].acquisition, frames[kept[-1]].acquisition}
                meeting = meeting and len(passes - {""}) == 2
            else:
                dropped += 1
            continue
        kept.append(k)
    if twice and len(kept) == 1:
        raise BadGeometry(f"all {len(frames)} slices have one and the same position", where=where)
    # Passes that meet share a slice or two; a second volume at the same places is no overlap.
    if twice and not (allow_gaps and meeting and len(twice) <= max(1, _OVERLAP * len(kept))):
        raise DuplicateSlices(
            f"two different slices at {_listed(twice)} mm",
            where=where,
            do="separate the acquisitions (phases, repeats) into series of their own, or for acquisitions that "
            "meet in a slice take the first one there (--allow-gaps)",
        )
    notes = [f"{dropped} duplicate slice{'s' if dropped > 1 else ''} dropped"] if dropped else []
    if twice:
        notes.append(f"two different slices at {_listed(twice)} mm: the first one is used")
    return [frames[k] for k in kept], kept, notes


def _unevenness(positions: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]) -> str | None:
    """What is wrong with the spacing, with the places in mm on the slice normal; None if it is even."""
    steps = np.diff(heights)
    spacing = float(np.median(steps))
    allowed = max(_UNEVEN * spacing, _UNEVEN)
    # A grid through the first and the last slice: rounding of single positions must not add up.
    even = np.linspace(positions[0], positions[-1], len(positions))
    off = float(np.linalg.norm(positions - even, axis=1).max())
    odd = np.abs(steps - spacing) > 2 * allowed
    if off <= allowed and not odd.any():
        return None
    unit = next((unit for unit in (1.0, 0.5) if np.abs(heights / unit - np.rint(heights / unit)).max() < 1e-3), None)
    # Rounding makes many steps too long, all along; what is missing makes few.
    many = odd.sum() > max(1, 0.1 * len(steps)) and np.abs(steps - spacing).max() <= 1.01 * (unit or 0.0)
    if unit is not None and many and off <= unit:
        step = float(np.ptp(heights)) / (len(heights) - 1)
        return f"uneven slice spacing: {step:.2f} mm on average, but the positions are rounded to {unit:g} mm"
    missing: list[float] = []
    for start, step in zip(heights[:-1][odd], steps[odd], strict=True):
        count = round(step / spacing)
        if count < 2 or abs(step - count * spacing) > 2 * allowed:
            missing.clear()
            break
        missing.extend(float(start + n * spacing) for n in range(1, count))
    if missing:
        return f"{len(missing)} slice{'s' if len(missing) > 1 else ''} missing at {_listed(missing)} mm"
    odd = np.abs(steps - spacing) > allowed
    if odd.any():
        return f"uneven slice spacing: mostly {spacing:.2f} mm, but not after {_listed(heights[:-1][odd].tolist())} mm"
    return f"slices shifted against each other by up to {off:.2f} mm"


def _listed(heights: Sequence[float]) -> str:
    more = f" and {len(heights) - _LISTED} more" if len(heights) > _LISTED else ""
    return ", ".join(f"{height:.2f}" for height in heights[:_LISTED]) + more
