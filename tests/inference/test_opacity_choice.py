"""Without a mask and a network that searches, the slice is that of the largest opacity by thresholds."""

import numpy as np
import pytest

from prepare.test_opacity import RIGHT, Chest
from triplenet.errors import NotAChest
from triplenet.inference.record_parts import warnings
from triplenet.inference.slice_choice import SliceChoice, choose_by_lung, choose_by_opacity
from triplenet.scan import Source


@pytest.fixture
def ill():
    """A chest with an opacity high in the right lung."""
    chest = Chest()
    return chest.draw(chest.near((20.0, *RIGHT[1:]), 20.0), -500)


def test_the_slice_of_the_largest_opacity_is_taken_and_the_areas_of_all_slices_are_kept(ill):
    chosen, chest = choose_by_opacity(ill.series())
    assert chosen.rule == "largest opacity (thresholds)"
    assert (ill.hu[chosen.index] == -500).any()
    assert chosen.opacity_mm2.shape == (len(ill.hu),)
    assert chosen.opacity_mm2.argmax() == chosen.index
    assert chosen.opacity_mm2.max() == pytest.approx(np.pi * 20**2, rel=0.25)
    assert chosen.lungs is not None and chest is not None and chest.largest_mm2 > 20_000


def test_without_an_opacity_it_is_the_largest_lung_and_the_result_says_so():
    series = Chest().series()
    chosen, _ = choose_by_opacity(series)
    by_lung, _ = choose_by_lung(series)
    assert (chosen.index, chosen.rule) == (by_lung.index, "largest lung slice (derived lung)")
    assert chosen.opacity_mm2 is not None and chosen.opacity_mm2.max() < 300


def test_by_the_lung_alone_no_opacity_is_looked_for(ill):
    chosen, _ = choose_by_lung(ill.series())
    assert chosen.rule == "largest lung slice (derived lung)"
    assert chosen.opacity_mm2 is None


def test_what_is_no_chest_is_refused_unless_any_part_of_the_body_will_do():
    chest = Chest()
    chest.hu[chest.lung] = 40
    small = (np.hypot(chest.y, chest.x - 60) < 12) | (np.hypot(chest.y, chest.x + 60) < 12)
    chest.draw(np.broadcast_to(small, chest.hu.shape), -850)
    with pytest.raises(NotAChest):
        choose_by_opacity(chest.series())
    assert choose_by_opacity(chest.series(), any_body_part=True)[0].rule == "largest lung slice (derived lung)"


def test_the_warning_says_that_thresholds_and_nobody_else_saw_the_opacity():
    chosen = SliceChoice(3, "largest opacity (thresholds)")
    told = " ".join(warnings(Source("nifti", "x"), chosen, np.ones((2, 2), bool)))
    assert "by thresholds" in told and "neither a reader nor a network" in told
    given = " ".join(warnings(Source("nifti", "x"), SliceChoice(3, "given"), np.ones((2, 2), bool)))
    assert "thresholds" not in given
