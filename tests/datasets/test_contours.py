"""The pixels that a contour encloses: by hand, and against scikit-image's test of points in a polygon."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from triplenet.datasets.contours import enclosed, fill, fill_areas, touched


def pixels(mask):
    """(row, column) of what is marked."""
    return [tuple(place) for place in np.argwhere(mask).tolist()]


def contour(*vertices):
    return np.array(vertices, np.float64)


def test_a_pixel_belongs_to_the_contour_that_holds_its_centre():
    # x from 1.4 to 3.6, y from 0.6 to 1.6: the centres 1.5, 2.5, 3.5 across and 1.5 down.
    assert pixels(fill(contour((1.4, 0.6), (3.6, 0.6), (3.6, 1.6), (1.4, 1.6)), (4, 6))) == [(1, 1), (1, 2), (1, 3)]


def test_neighbours_that_share_an_outline_through_centres_share_no_pixel():
    left = fill(contour((0.5, 0.5), (2.5, 0.5), (2.5, 3.5), (0.5, 3.5)), (5, 6))
    right = fill(contour((2.5, 0.5), (4.5, 0.5), (4.5, 3.5), (2.5, 3.5)), (5, 6))
    assert left.sum() == right.sum() == 6
    assert pixels(left)[0] == (0, 0)
    assert not (left & right).any()


def test_a_triangle_by_hand():
    # Legs of 4: row y is filled up to x = 4 - (y + 0.5), where the centres at 0.5, 1.5 ... lie left of it.
    filled = fill(contour((0, 0), (4, 0), (0, 4)), (4, 4))
    assert filled.sum(axis=1).tolist() == [3, 2, 1, 0]  # a centre on the hypotenuse belongs to what is right of it


def test_what_a_contour_encloses_twice_is_outside():
    twice = contour((0, 0), (6, 0), (6, 6), (0, 6), (0, 0), (2, 2), (4, 2), (4, 4), (2, 4), (2, 2))
    filled = fill(twice, (6, 6))
    assert filled.sum() == 36 - 4
    assert not filled[2:4, 2:4].any()


@pytest.mark.parametrize("turned", [False, True])
def test_the_direction_of_drawing_does_not_matter(turned):
    drawn = contour((1, 1), (5, 1.7), (4, 4))
    np.testing.assert_array_equal(fill(drawn, (6, 6)), fill(drawn[::-1] if turned else drawn, (6, 6)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-6, 26), st.floats(-6, 22)), min_size=3, max_size=12).map(
        # Off the grid by other parts along each axis, no outline goes through a centre, where the two rules differ: the
        # side of a centre is told by a multiple of 0.01 and 333 dy - 217 dx of 1e-7, dx and dy being up to 32.
        lambda points: np.round(np.array(points), 1) + np.array([0.0000333, 0.0000217])
    )
)
def test_centres_inside_are_those_that_scikit_image_finds(drawn):
    rows, columns = np.mgrid[0:16, 0:20]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    np.testing.assert_array_equal(enclosed(drawn, (16, 20)), points_in_poly(centres, drawn).reshape(16, 20))


def test_a_contour_thinner_than_a_pixel_marks_what_it_touches():
    line = contour((0.2, 0.7), (3.3, 0.9), (0.2, 0.8))  # between the centres of rows 0 and 1
    assert not enclosed(line, (4, 6)).any()
    assert pixels(fill(line, (4, 6))) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert pixels(fill(contour((2.6, 1.1)), (4, 6))) == [(1, 2)]
    assert pixels(fill(contour((0.9, 0.2), (2.2, 1.5)), (4, 6))) == [(0, 0), (0, 1), (1, 1), (1, 2)]


def test_a_steep_line_marks_every_row_that_it_goes_through():
    assert pixels(touched(contour((1.1, 0.9), (1.3, 3.1)), (5, 3))) == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_what_leaves_the_image_is_cut_and_what_is_beyond_it_marks_nothing():
    assert fill(contour((-5, -5), (2, -5), (2, 2), (-5, 2)), (4, 4)).sum() == 4
    assert fill(contour((3, 3), (99, 3), (99, 99), (3, 99)), (4, 4)).sum() == 1
    assert not fill(contour((8, 8), (9, 8), (9, 9)), (4, 4)).any()
    assert pixels(touched(contour((-50.5, 1.5), (2.5, 1.5)), (4, 4))) == [(1, 0), (1, 1), (1, 2)]


def test_areas_are_joined_and_holes_are_cut_out_of_them():
    square = contour((0, 0), (3, 0), (3, 3), (0, 3))
    beside = square + np.array([3.0, 0.0])
    hole = contour((1, 1), (4, 1), (4, 2), (1, 2))
    filled = fill_areas([square, beside], [hole], (4, 8))
    assert filled.sum() == 18 - 3
    assert not filled[1, 1:4].any()
    # A hole thinner than a pixel takes none away.
    assert fill_areas([square], [contour((1.1, 1.1), (1.2, 1.2))], (4, 8)).sum() == 9
