"""Without a mask and a network that searches, the slice is that of the largest opacity by thresholds."""

import numpy as np
import pytest

from prepare.test_opacity import RIGHT, Chest
from toy_model import marker
from triplenet.errors import NotAChest
from triplenet.inference import predict
from triplenet.inference.slice_choice import choose_by_lung, choose_by_opacity


@pytest.fixture
def ill():
    """A chest with an opacity high in the right lung."""
    chest = Chest()
    return chest.draw(chest.near((20.0, *RIGHT[1:]), 20.0), -500)


def test_the_slice_of_the_largest_opacity_is_taken_and_the_areas_of_all_slices_are_kept(ill):
    chosen, chest = choose_by_opacity(ill.series())
    assert chosen.rule == "largest opacity (thresholds)"
    assert (ill.hu[chosen.index] == -500).any()
    areas = chosen.opacities.areas_mm2
    assert areas.shape == (len(ill.hu),) and areas.argmax() == chosen.index
    assert areas.max() == pytest.approx(np.pi * 20**2, rel=0.25)
    assert dict(chosen.shown) == pytest.approx({z: area for z, area in enumerate(areas) if area > 0})
    assert chosen.lungs is not None and chest is not None and chest.largest_mm2 > 20_000


def test_without_an_opacity_it_is_the_largest_lung_and_the_result_says_so():
    series = Chest().series()
    chosen, _ = choose_by_opacity(series)
    by_lung, _ = choose_by_lung(series)
    assert (chosen.index, chosen.rule) == (by_lung.index, "largest lung slice (derived lung)")
    assert chosen.opacities is not None and chosen.opacities.areas_mm2.max() < 300


def test_by_the_lung_alone_no_opacity_is_looked_for(ill):
    chosen, _ = choose_by_lung(ill.series())
    assert chosen.rule == "largest lung slice (derived lung)"
    assert chosen.opacities is None


def test_what_is_no_chest_is_refused_unless_any_part_of_the_body_will_do():
    chest = Chest()
    chest.hu[chest.lung] = 40
    small = (np.hypot(chest.y, chest.x - 60) < 12) | (np.hypot(chest.y, chest.x + 60) < 12)
    chest.draw(np.broadcast_to(small, chest.hu.shape), -850)
    with pytest.raises(NotAChest):
        choose_by_opacity(chest.series())
    assert choose_by_opacity(chest.series(), any_body_part=True)[0].rule == "largest lung slice (derived lung)"


def test_a_model_that_does_not_segment_goes_by_the_opacity_and_says_so(ill):
    record = predict(ill.series(), marker(method="baseline"), best_slices=3).record
    assert record.slice.rule == "largest opacity (thresholds)"
    told = " ".join(record.warnings)
    assert "by thresholds" in told and "neither a reader nor a network" in told
    assert record.measures.by == "thresholds" and record.measures.slices == len(ill.hu)
    both = record.measures.both
    assert 0.5 < both.infection_ml.estimate / (4 / 3 * np.pi * 2.0**3) < 1.1
    assert both.infection_ml.estimate == pytest.approx(record.measures.right.infection_ml.estimate, abs=0.2)
    assert both.high_opacity_ml is None and 0 < both.infected_share.estimate < 0.1
    assert len(record.decision.slices) == 3
    named = " ".join(predict(ill.series(), marker(method="baseline"), slice_from_feet=3).record.warnings)
    assert "thresholds" not in named


def test_by_the_lung_means_by_the_lung(ill):
    record = predict(ill.series(), marker(method="baseline"), search="lung").record
    assert record.slice.rule == "largest lung slice (derived lung)" and record.measures is None
