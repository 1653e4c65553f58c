"""Slices that were decoded are not decoded again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triplenet.scan import Geometry, Source
from triplenet.scan.series import RememberedSeries, Series

DEPTH = 12


class Counted(Series):
    """Slices that hold their number, and what was decoded."""

    def __init__(self):
        super().__init__(Geometry((DEPTH, 4, 4), np.eye(4)), Source("nifti", "x"))
        self.decoded = []

    def _decode(self, indices):
        self.decoded += list(indices)
        return np.stack([np.full((4, 4), index, np.int16) for index in indices]), list(indices)


class Remembered(RememberedSeries):
    def _check(self, hu, padded, indices):
        """Numbers of slices are no Hounsfield units."""
        assert list(padded) == list(indices)


@given(st.lists(st.lists(st.integers(0, DEPTH - 1), min_size=1, max_size=DEPTH), max_size=8), st.integers(1, DEPTH))
def test_every_question_is_answered_as_the_series_itself_answers_it(questions, most):
    series = Counted()
    remembered = Remembered(series, most)
    for asked in questions:
        np.testing.assert_array_equal(remembered.slices(asked)[:, 0, 0], asked)
        assert len(remembered._known) <= max(most, len(asked))


def test_what_was_decoded_last_is_kept():
    series = Counted()
    remembered = Remembered(series, 6)
    remembered.slices([1, 2, 3])
    remembered.slices([3, 2, 4])
    assert series.decoded == [1, 2, 3, 4]
    remembered.read()
    assert len(series.decoded) == 4 + DEPTH
