"""Stored values become HU by the line in the header; padding becomes air; what cannot be HU is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scan.dicom_builder import body
from triplenet.errors import NotHu
from triplenet.scan import AIR, check_hu
from triplenet.scan.hounsfield import Padding, Rescale, to_hu

TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.dtype(">i2"), np.float32, np.float64]


@given(
    st.sampled_from(TYPES),
    st.lists(st.integers(-70000, 70000), min_size=1, max_size=20),
    st.integers(-40000, 40000),
)
def test_whole_numbers_are_shifted_and_clipped_without_wrapping(
    dtype: np.typing.DTypeLike, values: list[int], intercept: int
) -> None:
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        values = [min(max(value, np.iinfo(kind).min), np.iinfo(kind).max) for value in values]
    hu, padded = to_hu(np.array(values, kind), Rescale(1.0, float(intercept)))
    assert hu.dtype == np.int16
    assert hu.tolist() == [min(max(value + intercept, AIR), 32767) for value in values]
    assert padded == sum(value + intercept < AIR for value in values)


def test_a_fractional_slope_is_rounded_to_whole_hu() -> None:
    hu, _ = to_hu(np.array([0, 1, 2, 3], np.uint16), Rescale(0.4, -0.5))
    assert hu.tolist() == [0, 0, 0, 1]  # -0.5, -0.1, 0.3, 0.7


@pytest.mark.parametrize("value", [-1025, -2000, -2048, -3024, -32768])
def test_values_below_air_are_padding(value: int) -> None:
    hu, padded = to_hu(np.array([value, -1000, 0], np.int16), Rescale())
    assert hu.tolist() == [AIR, -1000, 0]
    assert padded == 1


def test_the_headers_padding_value_is_air_wherever_it_lies() -> None:
    hu, padded = to_hu(np.array([0, 2000, 2001, 2002, 1024], np.uint16), Rescale(1, -1024), Padding(2000, 2001))
    assert hu.tolist() == [-1024, AIR, AIR, 978, 0]
    assert padded == 2


def test_not_a_number_is_air() -> None:
    hu, padded = to_hu(np.array([np.nan, np.inf, -np.inf, 30.4]), Rescale())
    assert hu.tolist() == [AIR, AIR, AIR, 30]
    assert padded == 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "rescale", [Rescale(1.0, 1e30), Rescale(1e300, 0.0), Rescale(1e308, 1e308), Rescale(1.0, -1e30)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_a_rescale_beyond_all_bounds_is_clipped(rescale: Rescale, dtype: np.typing.DTypeLike) -> None:
    hu, _ = to_hu(np.array([0, 1, 100], dtype), rescale)
    assert set(hu.tolist()) <= {AIR, 0, 32767}


def test_a_chest_passes() -> None:
    check_hu(body(), "scan")


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (np.arange(256, dtype=np.int16), "air"),  # an 8-bit picture
        (np.arange(256, dtype=np.int16) - 1024, "tissue"),  # the same with a CT's intercept
        (body() + 1024, "air"),  # the intercept was lost
        (np.arange(0, 32000, 7, dtype=np.int16), "air"),  # a 16-bit picture, or an MR
        (np.full((4, 4), -1000, np.int16), "tissue"),  # nothing but air
        (np.zeros((4, 4), np.int16), "air"),
        (np.zeros((0,), np.int16), "air"),
    ],
)
def test_what_cannot_be_hu_is_refused(values: np.typing.NDArray[np.int16], missing: str) -> None:
    with pytest.raises(NotHu, match=missing):
        check_hu(values.astype(np.int16), "scan")


def test_padding_does_not_pass_for_air() -> None:
    stored = body().astype(int) + 1024  # a CT without its intercept ...
    stored[:, :4] = -2000  # ... but with padding
    hu, padded = to_hu(stored.astype(np.int16), Rescale())
    with pytest.raises(NotHu):
        check_hu(hu, "scan", padded)
