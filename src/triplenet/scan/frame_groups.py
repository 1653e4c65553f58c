"""The frames of one series that belong together: of one kind, size, orientation and spacing.

What a header writes otherwise from slice to slice without meaning anything (a missing rescale type, another word in the
image type) parts nothing. Slices that differ a little where they should not stay with the others, so that ``stack``
refuses the whole series and says what differs: a half of a chest is never taken for a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadGeometry
from triplenet.scan.dicom_frames import Frame, Vector
from triplenet.scan.dicom_header import Header
from triplenet.scan.image_kind import ImageKind, kind_of

SAME = 1e-3  # direction cosines and millimetres that differ by less were only rounded differently
_LITTLE = 0.1  # radians, about 6 degrees: localizers and other planes differ by far more
_HALF = 0.5

Group = tuple[Header, list[Frame]]
Grid = tuple[Vector | None, Vector | None, tuple[float, float] | None, int, int]
"""Directions across and down, spacing, rows and columns of a slice."""


def frame_groups(headers: Sequence[Header]) -> list[Group]:
    """The groups of one series, each with the header of its first file."""
    fine = _exactly_alike(headers)
    joined: list[list[int]] = []  # numbers of fine groups
    for k in sorted(range(len(fine)), key=lambda k: -len(fine[k][1])):
        home = next((some for some in joined if _nearly_alike(fine[k], fine[some[0]])), None)
        if home is None or _stands_alone(fine[k][1], fine[home[0]][1]):
            joined.append([k])
        else:
            home.append(k)
    return [(fine[min(some)][0], [frame for k in sorted(some) for frame in fine[k][1]]) for some in joined]


def check_one_grid(frames: Sequence[Frame], where: object) -> None:
    """Refuse frames that differ in size, orientation or pixel spacing by more than rounding (BAD_GEOMETRY)."""
    kinds: list[Grid] = list(
        dict.fromkeys((f.across, f.down, f.spacing, f.pixels.rows, f.pixels.columns) for f in frames)
    )
    if len(kinds) == 1:
        return
    counts = dict.fromkeys(kinds, 0)
    for f in frames:
        counts[f.across, f.down, f.spacing, f.pixels.rows, f.pixels.columns] += 1
    most = max(kinds, key=lambda kind: counts[kind])
    faults = []
    tests: tuple[tuple[str, Callable[[Grid], bool]], ...] = (
        ("size", lambda kind: kind[3:] != most[3:]),
        ("orientation", lambda kind: not (near(kind[0], most[0]) and near(kind[1], most[1]))),
        ("pixel spacing", lambda kind: not near(kind[2], most[2])),
    )
    for name, differs in tests:
        others = [kind for kind in kinds if differs(kind)]
        if others:
            number = sum(counts[kind] for kind in others)
            faults.append(f"{number} of {len(frames)} slices have another {name}{_how(name, others, most)}")
    if faults:
        raise BadGeometry(
            "; ".join(faults), where=where, do="separate what does not belong together into series of its own"
        )


def near(a: Sequence[float] | None, b: Sequence[float] | None, tolerance: float = SAME) -> bool:
    """Whether two vectors agree, or are both missing."""
    if a is None or b is None:
        return a is b
    return bool(np.abs(np.subtract(a, b)).max() <= tolerance)


def _how(name: str, others: Sequence[Grid], most: Grid) -> str:
    if name == "size":
        return f" ({others[0][3]} x {others[0][4]} instead of {most[3]} x {most[4]} pixels)"
    if name == "pixel spacing":
        return f" ({_listed(others[0][2])} instead of {_listed(most[2])} mm)"
    chords = [
        float(np.linalg.norm(np.subtract(axis, reference)))
        for kind in others
        for axis, reference in zip(kind[:2], most[:2], strict=True)
        if axis is not None and reference is not None
    ]
    return f" (by up to {np.degrees(2 * np.arcsin(min(1.0, max(chords) / 2))):.2f} degrees)" if chords else ""


def _listed(spacing: tuple[float, float] | None) -> str:
    return " x ".join(f"{side:g}" for side in spacing) if spacing is not None else "none"


def _exactly_alike(headers: Sequence[Header]) -> list[Group]:
    groups: list[Group] = []
    numbers: dict[object, int] = {}
    for header in headers:
        for frame in header.frames:
            exact = (_hard(header, frame), frame.across, frame.down, frame.spacing, _size(frame))
            at = numbers.get(exact)
            if at is None:
                at = next((k for k, group in enumerate(groups) if _alike(header, frame, group)), len(groups))
                if at == len(groups):
                    groups.append((header, []))
                numbers[exact] = at
            groups[at][1].append(frame)
    return groups


def _alike(header: Header, frame: Frame, group: Group) -> bool:
    other = group[1][0]
    return (
        _hard(header, frame) == _hard(group[0], other)
        and _size(frame) == _size(other)
        and near(frame.across, other.across)
        and near(frame.down, other.down)
        and near(frame.spacing, other.spacing)
    )


def _nearly_alike(one: Group, other: Group) -> bool:
    """Whether two groups show the same planes, so that they were meant to be one whatever their size and spacing."""
    first, second = one[1][0], other[1][0]
    if _hard(one[0], first) != _hard(other[0], second) or first.position is None or second.position is None:
        return False
    return near(first.across, second.across, _LITTLE) and near(first.down, second.down, _LITTLE)


def _stands_alone(frames: Sequence[Frame], largest: Sequence[Frame]) -> bool:
    """Whether a smaller group is a volume beside the largest one, not a piece of it: as long, at the same place."""
    if len(frames) < _HALF * len(largest):
        return False
    own, theirs = _extent(frames), _extent(largest)
    common = min(own[1], theirs[1]) - max(own[0], theirs[0])
    return common >= _HALF * min(own[1] - own[0], theirs[1] - theirs[0]) and common > 0


def _extent(frames: Sequence[Frame]) -> tuple[float, float]:
    """From where to where a group lies along its normal, mm."""
    first = frames[0]
    positions: npt.NDArray[np.float64] = np.array([frame.position for frame in frames if frame.position is not None])
    if first.across is None or first.down is None:
        return 0.0, 0.0
    heights = positions @ np.cross(first.across, first.down)
    return float(heights.min()), float(heights.max())


def _hard(header: Header, frame: Frame) -> tuple[str, str, str, int, ImageKind]:
    """What makes frames different things, whatever their geometry."""
    return header.patient, header.sop_class, header.modality, frame.pixels.samples, kind_of(frame)


def _size(frame: Frame) -> tuple[int, int]:
    return frame.pixels.rows, frame.pixels.columns
