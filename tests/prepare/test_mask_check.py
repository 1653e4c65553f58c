"""A lung mask in the infection column is refused, a severe infection is not."""

from __future__ import annotations

import numpy as np
import pytest

from prepare.synthetic import chest
from triplenet.prepare.mask_check import refuse_lung_as_infection
from triplenet.prepare.masks import MaskFault, Masks, Region

SPACING = (4.0, 4.0, 4.0)
HU, LUNG, INFECTION, _ = chest(lesion=(2, 40, 28, 5))


def check(infection, lung=None, *, guessed=False, hu=HU, **column):
    masks = Masks(
        infection=Region((infection.astype(np.uint8), ())),
        lung=None if lung is None else Region((lung.astype(np.uint8), ())),
        guessed=guessed,
    )
    refuse_lung_as_infection(masks, 2, hu[2], SPACING, **column)


def test_an_infection_mask_that_is_the_lung_mask_is_refused():
    with pytest.raises(MaskFault, match="100% of the lung") as caught:
        check(LUNG, LUNG)
    assert caught.value.column == "infection"
    with pytest.raises(MaskFault) as caught:
        check(LUNG, LUNG, column="second_infection")
    assert caught.value.column == "second_infection"


def test_an_infection_of_a_whole_slice_is_possible_where_the_rest_of_the_lung_is_free():
    one = LUNG * (np.arange(6) == 2)[:, None, None]
    check(one, LUNG)
    check(one[2:3].repeat(6, axis=0) * (np.arange(6) == 2)[:, None, None], one)  # a scan of which one slice has masks


def test_joined_labels_are_refused_earlier():
    most = LUNG.copy()
    most[4:, :20] = 0
    most[:, 30:34] = 0
    share = most.sum() / LUNG.sum()
    assert 0.9 < share < 0.98
    check(most, LUNG)
    with pytest.raises(MaskFault):
        check(most, LUNG, guessed=True)


def test_without_a_lung_mask_guessed_labels_are_compared_with_the_air_of_the_lung():
    with pytest.raises(MaskFault):
        check(LUNG, guessed=True)
    check(LUNG)  # a mask that says plainly what it is
    check(INFECTION, guessed=True)
    check(LUNG, guessed=True, hu=np.where(LUNG > 0, -550, HU).astype(np.int16))  # ground glass everywhere
    check(np.zeros_like(LUNG), guessed=True)
