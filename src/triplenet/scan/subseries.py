"""Several volumes under one series UID: repeats, phases, kernels, told apart by their headers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from triplenet.errors import ScanError
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.limits import DEFAULT_LIMITS
from triplenet.scan.stack import SAME_PLACE_MM, stack

_WOVEN = 0.9  # of neighbouring slices that belong to different groups

_KEYS: tuple[tuple[str, Callable[[Frame], str]], ...] = (  # what may tell volumes apart, most telling first
    ("time point", lambda frame: frame.time_point),
    ("acquisition", lambda frame: frame.acquisition),
    ("kernel", lambda frame: frame.kernel),
    ("slice thickness", lambda frame: "" if frame.thickness_mm is None else f"{frame.thickness_mm:g}"),
    ("image type", lambda frame: "/".join(frame.image_type)),
)


def parts(frames: Sequence[Frame]) -> list[tuple[str, list[Frame]]]:
    """The volumes that frames of one size and orientation make up, each with what it is; none where they are one.

    Frames are parted only where different ones share a position, or where those of one value lie between those of
    another all along (a second acquisition, shifted), and only by a value that makes each part a volume
    without gap or contradiction, the largest as long as all of them together: a half of a chest is never taken for
    a whole one. Where no value does, the contradiction is left to ``stack``, which refuses it.
    """
    heights = _heights(frames)
    if heights is None:
        return []
    colliding = _collide(frames, heights)
    for name, value_of in _KEYS:
        groups: dict[str, list[int]] = {}
        for k, frame in enumerate(frames):
            groups.setdefault(value_of(frame), []).append(k)
        if len(groups) < 2 or "" in groups or not (colliding or _woven(heights, list(groups.values()))):
            continue
        if not _volumes(frames, heights, list(groups.values())):
            continue
        values = sorted(groups, key=_numerically)
        where = "at the same positions" if colliding else "with slices between each other's"
        return [(f"{name} {value}, of {len(values)} {where}", [frames[k] for k in groups[value]]) for value in values]
    return []


def _heights(frames: Sequence[Frame]) -> npt.NDArray[np.float64] | None:
    """Positions along the slice normal; None where one is missing."""
    first = frames[0]
    if first.across is None or first.down is None or any(frame.position is None for frame in frames):
        return None
    return np.asarray(np.array([frame.position for frame in frames]) @ np.cross(first.across, first.down))


def _collide(frames: Sequence[Frame], heights: npt.NDArray[np.float64]) -> bool:
    """Whether different frames lie at one position; a file that is there twice is no other frame."""
    order = np.argsort(heights, kind="stable")
    near = np.flatnonzero(np.diff(heights[order]) < SAME_PLACE_MM)
    return any(_same(frames[order[k]]) != _same(frames[order[k + 1]]) for k in near)


def _woven(heights: npt.NDArray[np.float64], groups: Sequence[Sequence[int]]) -> bool:
    """Whether the groups lie between each other nearly all along, instead of one behind the other."""
    number = np.empty(len(heights), np.int64)
    for k, group in enumerate(groups):
        number[list(group)] = k
    changes = np.count_nonzero(np.diff(number[np.argsort(heights, kind="stable")]))
    return bool(changes >= _WOVEN * (len(heights) - 1))


def _volumes(frames: Sequence[Frame], heights: npt.NDArray[np.float64], groups: Sequence[Sequence[int]]) -> bool:
    largest = max(groups, key=len)
    if min(map(len, groups)) < 2:
        return False
    step = np.ptp(heights[largest]) / (len(largest) - 1)
    if np.ptp(heights[largest]) < np.ptp(heights) - step:
        return False
    for group in groups:
        once = {_same(frames[k]): k for k in group}
        if _collide([frames[k] for k in group], heights[list(group)]):
            return False
        try:
            stack([frames[k] for k in once.values()], None, DEFAULT_LIMITS)
        except ScanError:
            return False
    return True


def _same(frame: Frame) -> tuple[str, int]:
    return frame.sop_uid, frame.index


def _numerically(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
