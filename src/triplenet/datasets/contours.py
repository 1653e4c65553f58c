"""Contours drawn on an image -> the pixels that they enclose.

Coordinates are x (columns) and y (rows) in pixels; (0, 0) is the outer corner of the first pixel and (1, 1) its inner
one, as in DICOM's spatial coordinates (PS3.3, C.18.6) and on the canvas of a browser: a pixel's centre is at a half.

A pixel belongs to a contour where its centre lies inside by the even-odd rule, as OpenCV, by which MD.ai's own library
fills, and Pillow have it: where a contour crosses itself, what is enclosed twice is outside. A centre on an outline
belongs to what is right of it or below, so that neighbours that share an outline share no pixel. A contour that
encloses no centre at all is thinner than a pixel and marks the pixels that it touches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Vertices = npt.NDArray[np.float64]
"""(n, 2): x, y"""


def fill(vertices: Vertices, shape: tuple[int, int]) -> Bool:
    """(Y, X) bool: the pixels of one closed contour, cut where it leaves the image.

    :param shape: rows and columns of the image
    """
    inside = enclosed(vertices, shape)
    return inside if inside.any() else touched(vertices, shape)


def fill_areas(areas: Sequence[Vertices], holes: Sequence[Vertices], shape: tuple[int, int]) -> Bool:
    """(Y, X) bool: the pixels of any area that are in no hole. What only touches a pixel makes no hole in it."""
    filled = np.zeros(shape, np.bool_)
    for area in areas:
        filled |= fill(area, shape)
    for hole in holes:
        filled &= ~enclosed(hole, shape)
    return filled


def enclosed(vertices: Vertices, shape: tuple[int, int]) -> Bool:
    """(Y, X) bool: the pixels whose centres lie inside a closed contour."""
    height, width = shape
    start, end = vertices, np.roll(vertices, -1, axis=0)
    down = start[:, 1] <= end[:, 1]
    upper, lower = np.where(down[:, None], start, end), np.where(down[:, None], end, start)
    # Rows whose centre line an edge crosses: upper end included, lower end not, so that a corner counts once.
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(vertices)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row + 0.5 - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
    crossing = upper[edge, 0] + share * (lower[edge, 0] - upper[edge, 0])
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)  # the first centre that is not left of it
    turns = np.zeros((height, width + 1), np.int64)
    np.add.at(turns, (row, column), 1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :width] % 2 == 1)


def touched(vertices: Vertices, shape: tuple[int, int]) -> Bool:
    """(Y, X) bool: the pixels that the outline of a closed contour goes through."""
    marked = np.zeros(shape, np.bool_)
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        # Cut where it passes from pixel to pixel; the middle of a piece tells the pixel.
        cuts = [np.array([0.0, 1.0])]
        for axis in (0, 1):
            low, high = sorted((start[axis], end[axis]))
            lines = np.arange(max(np.ceil(low), 0.0), min(np.floor(high), float(shape[1 - axis])) + 1)
            if high > low:
                cuts.append((lines - start[axis]) / (end[axis] - start[axis]))
        ends = np.unique(np.clip(np.concatenate(cuts), 0.0, 1.0))
        middles = start + ((ends[:-1] + ends[1:]) / 2)[:, None] * (end - start)
        column, row = np.floor(middles).clip(-1, max(shape)).astype(np.int64).T
        within = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        marked[row[within], column[within]] = True
    return marked
