"""Which slice stands for a patient."""

import pytest

from triplenet.errors import NoLung
from triplenet.prepare.selection import choose_slice


def test_the_largest_infection_wins_over_the_largest_lung():
    assert choose_slice([0, 5, 9, 9], [100, 90, 10, 5]) == (2, "infection")


def test_without_infection_the_largest_lung_is_taken():
    assert choose_slice([0, 0, 0], [1, 7, 7]) == (1, "lung")
    assert choose_slice(None, [1, 7, 7]) == (1, "lung")


def test_with_neither_the_scan_is_refused():
    with pytest.raises(NoLung):
        choose_slice([0, 0], [0, 0])
