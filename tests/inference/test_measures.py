"""Volumes and shares of infection, with what they may be where not every slice was looked at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.test_searched_slice import TWO, held, patient
from toy_model import MARKED_HU, marker
from triplenet.inference import predict
from triplenet.inference.measures import Bounded, Columns, columns_of, measure

SPACING = (2.0, 0.5, 0.8)


def columns(infection, lung=None, high=0, width=10):
    """A slice with so many pixels of each, spread over two lungs with a gap between them."""
    lung = max(infection, 60) if lung is None else lung
    sides = np.array([1, 1, 1, 1, 0, 0, 1, 1, 1, 1])

    def spread(count):
        share, rest = divmod(count, 8)
        found = share * sides
        found[0] += rest
        return found.astype(np.int32)

    return Columns(spread(infection), spread(lung), spread(high), np.full(width, 50, np.int32))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30), st.floats(0.5, 5.0))
def test_a_scan_that_was_looked_at_whole_is_measured_exactly(areas, step):
    found = measure({z: columns(area) for z, area in enumerate(areas)}, np.arange(len(areas)) * step, (step, 0.5, 0.8))
    true = sum(areas) * step * 0.4 / 1000
    assert found.both.infection_ml.estimate == pytest.approx(true)
    assert (found.both.infection_ml.low, found.both.infection_ml.high) == pytest.approx((true, true))
    parts = found.right.infection_ml.estimate + found.left.infection_ml.estimate
    assert parts == pytest.approx(true) and found.slices == found.of == len(areas)


@given(st.data())
def test_the_bounds_hold_for_areas_that_rise_and_fall_steadily_between_slices_looked_at(data):
    depth = data.draw(st.integers(1, 40))
    peak = data.draw(st.integers(0, depth - 1))
    rising = sorted(data.draw(st.lists(st.integers(0, 500), min_size=peak, max_size=peak)))
    falling = sorted(data.draw(st.lists(st.integers(0, 500), min_size=depth - peak - 1, max_size=depth - peak - 1)))
    top = max([*rising, *falling, 0])
    areas = [*rising, top, *falling[::-1]]
    seen = data.draw(st.sets(st.integers(0, depth - 1))) | {peak}
    heights = np.cumsum([0.0, *data.draw(st.lists(st.floats(0.5, 8.0), min_size=depth - 1, max_size=depth - 1))])
    found = measure({z: columns(areas[z]) for z in seen}, heights, SPACING).both.infection_ml
    whole = measure({z: columns(areas[z]) for z in range(depth)}, heights, SPACING).both.infection_ml
    assert found.low - 1e-9 <= whole.estimate <= found.high + 1e-9
    assert found.low <= found.estimate <= found.high


def test_a_slice_stands_for_half_way_to_its_neighbours_and_as_far_beyond_at_the_ends():
    """Slices at 0, 2 and 8 mm: 2, 4 and 6 mm; pixels of 0.4 mm2."""
    found = measure({0: columns(100), 1: columns(200), 2: columns(400)}, [0.0, 2.0, 8.0], SPACING)
    assert found.both.infection_ml.estimate == pytest.approx(0.4 * (2 * 100 + 4 * 200 + 6 * 400) / 1000)


def test_shares_are_of_the_lung_and_their_bounds_of_both_bounds():
    assert Bounded(2, 1, 4).share_of(Bounded(8, 5, 10)) == Bounded(0.25, 0.1, 0.8)
    assert Bounded(2, 1, 4).share_of(Bounded(2, 0, 3)) == Bounded(1.0, pytest.approx(1 / 3), 1.0)
    assert Bounded(0, 0, 0).share_of(Bounded(0, 0, 0)) is None


def test_high_opacity_is_the_dense_part_of_the_infection():
    hu = np.array([[-700, -100, -700, -100], [-300, 50, 60, -900]], np.int16)
    infection = np.array([[1, 1, 0, 0], [0, 1, 0, 0]], bool)
    found = columns_of(hu, infection, np.ones((2, 4), bool), -200.0)
    assert found.areas == (3, 8)
    assert found.high.tolist() == [0, 2, 0, 0]
    assert found.body.tolist() == [0, 2, 1, 1]


def test_right_and_left_are_the_patients():
    """Columns run to the patient's left."""
    hu, geometry = patient((20, 45, 28, 14.0), (30, 45, 68, 20.0))
    record = predict(held(hu, geometry), marker(), search="exhaustive").record
    voxel = float(np.prod(geometry.spacing_mm)) / 1000
    true = {"right": (hu[..., :48] == MARKED_HU).sum() * voxel, "left": (hu[..., 48:] == MARKED_HU).sum() * voxel}
    for side, volume in true.items():
        assert getattr(record.measures, side).infection_ml.estimate == pytest.approx(volume, rel=0.02)
    assert record.measures.by == "triple" and record.measures.slices == record.measures.of == len(hu)


def test_a_search_in_steps_says_how_far_the_volume_may_be_off():
    hu, geometry = patient(*TWO)
    every = predict(held(hu, geometry), marker(), search="exhaustive").record.measures.both
    steps = predict(held(hu, geometry), marker()).record.measures
    assert steps.slices < steps.of
    for name in ("infection_ml", "lung_ml"):
        few, all_ = getattr(steps.both, name), getattr(every, name)
        assert few.low < all_.estimate < few.high
        assert few.estimate == pytest.approx(all_.estimate, rel=0.1)
    assert every.infected_share.estimate == pytest.approx(
        every.infection_ml.estimate / every.lung_ml.estimate, rel=1e-3
    )


def test_masks_are_measured_where_they_are_given():
    hu, geometry = patient(*TWO)
    infection = (hu == MARKED_HU).astype(np.uint8)
    lung = ((hu < -500) & (hu > -950)).astype(np.uint8)
    dense = hu.copy()
    dense[20][infection[20] > 0] = 0
    found = predict(held(dense, geometry), marker(method="baseline"), infection=infection, lung=lung).record.measures
    voxel = float(np.prod(geometry.spacing_mm)) / 1000
    assert found.by == "mask" and found.slices == found.of
    assert found.both.infection_ml.estimate == pytest.approx(infection.sum() * voxel, rel=1e-3)
    assert found.both.lung_ml.estimate == pytest.approx((lung | infection).sum() * voxel, rel=1e-3)
    assert found.both.high_opacity_ml.estimate == pytest.approx(infection[20].sum() * voxel, abs=0.005)


@pytest.mark.parametrize("method", ["baseline", "triple"])
def test_an_infection_mask_alone_tells_its_volume_but_no_share(method):
    hu, geometry = patient(*TWO)
    infection = (hu == MARKED_HU).astype(np.uint8)
    found = predict(held(hu, geometry), marker(method=method), infection=infection).record.measures
    voxel = float(np.prod(geometry.spacing_mm)) / 1000
    assert found.by == "mask" and found.both.infection_ml.estimate == pytest.approx(infection.sum() * voxel, rel=1e-3)
    left = infection[..., infection.shape[-1] // 2 :].sum() * voxel
    assert found.left.infection_ml.estimate == pytest.approx(left, rel=1e-3)
    for lungs in (found.both, found.right, found.left):
        assert lungs.lung_ml is lungs.infected_share is lungs.high_opacity_share is None
    assert found.both.high_opacity_ml.estimate == pytest.approx(0.0)


def test_nothing_is_measured_where_nothing_tells_infection_from_lung():
    hu, geometry = patient(*TWO)
    assert predict(held(hu, geometry), marker(method="baseline"), slice_from_feet=5).record.measures is None
