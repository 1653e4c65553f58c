"""Outlines of a mask: exactly its pixels' edges, as closed lines."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path

from triplenet.outputs.mask_outlines import outlines


def filled(lines, shape):
    """The mask that lines enclose by the even-odd rule, judged by another library at the pixels' middles."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    middles = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(shape, int)
    for line in lines:
        inside += Path(line, closed=True).contains_points(middles).reshape(shape)
    return inside % 2 == 1


def mask(*rows):
    return np.array([[letter == "#" for letter in row] for row in rows])


def test_a_pixel_has_its_four_corners():
    (line,) = outlines(mask("...", "..#"))
    assert line.tolist() == [[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]  # column, row; at the picture's edge too


def test_a_line_has_points_only_where_it_turns():
    (line,) = outlines(mask("####", "####"))
    assert line.tolist() == [[0, 0], [4, 0], [4, 2], [0, 2], [0, 0]]


def test_a_hole_has_a_line_of_its_own():
    ring = mask("###", "#.#", "###")
    lines = outlines(ring)
    assert sorted(len(line) for line in lines) == [5, 5]
    assert sorted(line.min() for line in lines) == [0, 1]


def test_pixels_that_touch_at_a_corner_are_two_parts():
    lines = outlines(mask("#.", ".#"))
    assert len(lines) == 2 and all(len(line) == 5 for line in lines)


def test_nothing_has_no_outline():
    assert outlines(np.zeros((4, 5), bool)) == []


@pytest.mark.parametrize("seed", range(8))
def test_filled_the_lines_are_the_mask_again(seed):
    noise = np.random.default_rng(seed).random((13, 17)) < 0.2 + 0.1 * seed
    lines = outlines(noise)
    assert all((line[0] == line[-1]).all() for line in lines)
    np.testing.assert_array_equal(filled(lines, noise.shape), noise)
