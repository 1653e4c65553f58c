"""The borders of a mask as closed lines along the edges of its pixels.

Our own: scikit-image's contours cut the corners of pixels, so that what they enclose is not the mask.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float64]
_Point = tuple[int, int]


def outlines(mask: npt.NDArray[np.bool_]) -> list[Line]:
    """Of each part, and of each hole in one; pixels that touch at a corner belong to two parts.

    Filled by the even-odd rule they are the mask again.

    :param mask: (Y, X)
    :returns: lines (n, 2) of column and row, the first point again as the last; 0, 0 is the upper left corner of the
        first pixel, 1, 1 its lower right one. Inside is on the right of the way, seen as the picture is.
    """
    following = _edges(np.pad(np.asarray(mask, dtype=bool), 1))
    lines = []
    while following:
        start = min(following)
        line, at, came = [start], start, (1, 0)
        while True:
            at_next = _take(following, at, came)
            came, at = (at_next[0] - at[0], at_next[1] - at[1]), at_next
            line.append(at)
            if at == start:
                break
        lines.append(_corners(np.array(line, dtype=np.float64)))
    return lines


def _edges(padded: npt.NDArray[np.bool_]) -> dict[_Point, list[_Point]]:
    """From each corner of the mask's own pixels where its border goes on: (column, row) to those that follow."""
    following: dict[_Point, list[_Point]] = {}
    for (dy, dx), start, end in (
        ((-1, 0), (0, 0), (1, 0)),  # along the upper edge to the right
        ((0, 1), (1, 0), (1, 1)),  # down the right one
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    ):
        inside = padded[1:-1, 1:-1]
        beside = padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
        for y, x in np.argwhere(inside & ~beside).tolist():
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    return following


def _take(following: dict[_Point, list[_Point]], at: _Point, came: _Point) -> _Point:
    """The edge that goes on; where two parts touch, that which turns right and so stays with its part."""
    ways = following[at]
    right = (at[0] - came[1], at[1] + came[0])
    chosen = right if right in ways else ways[0]
    ways.remove(chosen)
    if not ways:
        del following[at]
    return chosen


def _corners(line: Line) -> Line:
    """The points where a closed line turns."""
    steps = np.diff(line, axis=0)
    turns = (steps != np.roll(steps, 1, axis=0)).any(axis=1)
    kept = line[:-1][turns]
    return np.vstack([kept, kept[:1]])
