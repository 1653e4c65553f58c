"""The window is the stated formula, for every dtype, and keeps the order of grey values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplenet.scan import window

bounds = st.tuples(st.integers(-2000, 1000), st.integers(1, 3000)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def test_the_papers_window_by_hand() -> None:
    hu = np.array([-2000, -1000, -999, -750, -501, -500, 3000], np.int16)
    # -999: 1/500 * 255 = 0.51 -> 1; -750: 127.5 -> 128 (halves up); -501: 254.49 -> 254
    assert window(hu, -1000, -500).tolist() == [0, 0, 1, 128, 254, 255, 255]


def test_the_result_is_8_bit_and_keeps_the_shape() -> None:
    grey = window(np.zeros((2, 3, 4), np.int16), -1000, 400)
    assert grey.dtype == np.uint8
    assert grey.shape == (2, 3, 4)


@given(st.integers(-32768, 32767), bounds)
def test_int16_and_float_agree_with_the_formula(hu: int, limits: tuple[int, int]) -> None:
    lower, upper = limits
    expected = math.floor((min(max(hu, lower), upper) - lower) / (upper - lower) * 255 + 0.5)
    assert window(np.array([hu], np.int16), lower, upper)[0] == expected
    assert window(np.array([hu], np.float32), lower, upper)[0] == expected
    assert window(np.array([hu], np.int32), lower, upper)[0] == expected


@given(st.lists(st.integers(-3000, 3000), min_size=2, max_size=50), bounds)
def test_a_denser_voxel_is_never_darker(hu: list[int], limits: tuple[int, int]) -> None:
    grey = window(np.array(sorted(hu), np.int16), *limits)
    assert (np.diff(grey.astype(int)) >= 0).all()


@pytest.mark.parametrize("limits", [(0, 0), (5, -5), (float("nan"), 0), (-1000, float("inf"))])
def test_an_impossible_window_is_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="lower < upper"):
        window(np.zeros(1, np.int16), *limits)
