"""The search for the slice: no lesion of the length asked for is passed over, and the largest slice is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triplenet.catalog import SMALLEST_LESION_MM
from triplenet.errors import BadInput, NoLung
from triplenet.inference.search import coarse_slices, search

heights = st.lists(st.floats(0.3, 12), min_size=0, max_size=150).map(lambda steps: np.cumsum([0.0, *steps]))
lengths = st.floats(1, 40)


class Scan:
    """What a network would say: infection of balls, lung as one large one; counts what it is asked."""

    def __init__(self, heights, lesions, lung=(0.5, 90.0)):
        self.heights = np.asarray(heights, dtype=float)
        self.lesions = lesions  # (middle in mm, radius in mm)
        middle = self.heights[0] + lung[0] * (self.heights[-1] - self.heights[0])
        self.lung = [(middle, lung[1])] if lung[1] else []
        self.asked: list[int] = []

    def areas(self, index):
        def of(balls):
            return sum(np.pi * max(0.0, radius**2 - (self.heights[index] - middle) ** 2) for middle, radius in balls)

        return of(self.lesions), of(self.lung)

    def __call__(self, slices):
        assert not set(slices) & set(self.asked)
        self.asked += slices
        return [self.areas(index) for index in slices]


@given(heights, lengths, st.data())
def test_every_lesion_so_long_is_looked_at(heights, length, data):
    """Wherever it lies in the scan, as long as a slice goes through it; gaps and uneven steps included."""
    chosen = coarse_slices(heights, length)
    first = data.draw(st.floats(heights[0] - length / 2, max(heights[0], heights[-1] - length / 2)))
    inside = np.flatnonzero((heights >= first) & (heights <= first + length))
    if len(inside):
        assert set(inside) & set(chosen)


@given(heights, lengths)
def test_the_coarse_slices_are_few(heights, length):
    """Every other one is more than the length behind the one before it, or the next slice."""
    chosen = coarse_slices(heights, length)
    assert chosen == sorted(set(chosen))
    for left, right in zip(chosen[:-2], chosen[2:], strict=True):
        assert heights[right] - heights[left] > length


@settings(deadline=None)
@given(heights, st.floats(0, 1), st.floats(0, 1))
def test_one_lesion_is_found_at_its_largest_slice(heights, at, size):
    middle = heights[0] + at * (heights[-1] - heights[0])
    radius = SMALLEST_LESION_MM / 2 * (1 + 8 * size)
    scan = Scan(heights, [(middle, radius)])
    found = search(heights, scan)
    true = [scan.areas(index)[0] for index in range(len(heights))]
    if max(true) >= np.pi * SMALLEST_LESION_MM**2 / 8 and found.found == "infection":
        assert scan.areas(found.index)[0] == max(true)
    if found.found == "lung":  # no slice that was looked at showed enough of it
        assert max(scan.areas(index)[0] for index in scan.asked) < np.pi * SMALLEST_LESION_MM**2 / 8
    assert found.looked_at == tuple(sorted(scan.asked))
    assert np.array_equal(found.areas_mm2, [scan.areas(index) for index in found.looked_at])


def test_a_usual_scan_costs_a_fraction_of_its_slices():
    heights = np.arange(300) * 1.0
    scan = Scan(heights, [(80.0, 25.0), (200.0, 32.0), (150.0, 12.0)])
    found = search(heights, scan)
    assert (found.index, found.found) == (200, "infection")
    assert found.evaluations == len(scan.asked) < 60
    every = search(heights, whole := Scan(heights, scan.lesions), exhaustive=True)
    assert every.index == found.index and len(whole.asked) == 300


def test_a_scan_without_infection_gives_its_largest_lung():
    heights = np.arange(0, 300, 1.25)
    scan = Scan(heights, [], lung=(0.4, 110.0))
    found = search(heights, scan)
    assert found.found == "lung"
    assert scan.areas(found.index)[1] == max(scan.areas(index)[1] for index in range(len(heights)))


def test_a_speck_is_no_infection():
    heights = np.arange(0, 300, 1.0)
    scan = Scan(heights, [(100.0, 2.0)])
    assert search(heights, scan, exhaustive=True).found == "lung"
    assert search(heights, Scan(heights, [(100.0, 2.0)]), exhaustive=True, smallest_lesion_mm=3).found == "infection"


def test_the_largest_of_several_lesions_is_found_though_another_looks_larger_from_afar():
    heights = np.arange(0, 200, 1.0)
    scan = Scan(heights, [(15.0, 14.0), (100.0, 15.0)])
    assert search(heights, scan).index == 100


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_scan_of_few_slices_is_looked_at(depth):
    heights = np.arange(depth) * 5.0
    assert search(heights, Scan(heights, [(heights[-1], 20.0)])).index == depth - 1


def test_a_scan_of_nothing_is_refused():
    with pytest.raises(NoLung):
        search(np.arange(30.0), lambda slices: np.zeros((len(slices), 2)))


@pytest.mark.parametrize(
    ("heights", "length"), [([], 5), ([1, 1], 5), ([2, 1], 5), ([0, 1], 0), ([0, 1], float("nan"))]
)
def test_what_cannot_be_searched_is_refused(heights, length):
    with pytest.raises(BadInput):
        coarse_slices(heights, length)
