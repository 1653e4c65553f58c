"""Infection counts in and around the lungs only: a network may call bowel or liver infected that it never saw."""

import numpy as np
import pytest

from inference.test_searched_slice import SLICES, TWO, held, marked_area, patient
from toy_model import MARKED_HU, marker
from triplenet.inference import predict
from triplenet.inference.lung_region import REACH_MM, LungRegion
from triplenet.prepare.found_lungs import LEFT, RIGHT, LabelledLungs
from triplenet.prepare.sample import SliceTransform

PIXEL_MM = 2.0
SIDE = 100


def region(labels, slices, heights):
    lungs = LabelledLungs(labels, (10.0, PIXEL_MM, PIXEL_MM), "thresholds")
    return LungRegion(slices, lungs, np.asarray(heights), (PIXEL_MM, PIXEL_MM), SliceTransform((SIDE, SIDE), SIDE))


def two_lungs(right=30, left=30):
    labels = np.zeros((3, SIDE, SIDE), np.uint8)
    labels[:, 30 : 30 + right, 15:35] = RIGHT
    labels[:, 30 : 30 + left, 65:85] = LEFT
    return labels


def test_it_reaches_so_far_around_the_lungs_and_no_further():
    found = region(two_lungs(), [0, 5, 10], np.arange(11) * 2.0).mask(5)
    reach = round(REACH_MM / PIXEL_MM)
    assert found[45, 15 - reach : 35 + reach].all()
    assert not found[45, : 15 - reach].any() and not found[45, 35 + reach : 65 - reach].any()
    assert found[45, 65 - reach : 85 + reach].all() and not found[: 30 - reach].any()


def test_between_two_slices_it_is_that_of_both_and_beyond_a_step_there_is_none():
    labels = two_lungs()
    labels[0] = 0
    labels[2, :, 50:] = 0
    heights = np.arange(31) * 2.0
    found = region(labels, [5, 10, 15], heights)
    np.testing.assert_array_equal(found.mask(12), found.mask(10) | found.mask(15))
    np.testing.assert_array_equal(found.mask(7), found.mask(10))
    assert not found.mask(5).any() and not found.mask(4).any()
    assert found.mask(19).any() and not found.mask(21).any()


@pytest.mark.parametrize(("left", "mirrored"), [(30, False), (20, False), (10, True), (0, True)])
def test_where_one_lung_is_much_smaller_it_may_be_white_and_counts_where_the_other_lies(left, mirrored):
    found = region(two_lungs(left=left), [0, 5, 10], np.arange(11) * 2.0).mask(5)
    assert found[58, 75] == (mirrored or left == 30)


@pytest.mark.parametrize("search", ["coarse", "exhaustive"])
def test_what_a_network_calls_infection_far_from_the_lungs_is_told_and_does_not_count(search):
    hu, geometry = patient(*TWO)
    lesions = marked_area(hu)
    hu[3:14, 84:94, 20:76] = MARKED_HU  # a blanket
    record = predict(held(hu, geometry), marker(), search=search).record
    assert lesions[record.slice.from_feet] == lesions.max()
    told = dict(zip(record.search.from_feet, record.search.outside_mm2, strict=True))
    pixel_mm2 = geometry.spacing_mm[1] * geometry.spacing_mm[2]
    assert max(told.values()) == pytest.approx(560 * pixel_mm2) and told[record.slice.from_feet] == 0
    assert len(told) == record.search.evaluations <= SLICES
    in_lungs = sum(lesions) * float(np.prod(geometry.spacing_mm)) / 1000
    assert record.measures.both.infection_ml.estimate == pytest.approx(in_lungs, rel=0.1)
