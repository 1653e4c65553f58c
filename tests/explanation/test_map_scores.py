import numpy as np
import pytest

from triplenet.explanation.map_scores import overlap


def test_the_scores_of_a_map_against_a_hand_worked_mask() -> None:
    heat = np.array([[0.9, 0.6, 0.0], [0.5, 0.0, 0.0]])
    mask = np.array([[True, False, False], [True, True, False]])
    found = overlap(heat, mask)
    assert found.mass_inside == pytest.approx((0.9 + 0.5) / 2.0)
    assert found.peak_inside is True
    assert found.dice == pytest.approx(2 * 2 / (3 + 3))
    assert (found.mask_pixels, found.hot_pixels) == (3, 3)


def test_a_map_that_points_elsewhere_scores_nothing() -> None:
    heat = np.zeros((4, 4))
    heat[0, 0] = 1.0
    mask = np.zeros((4, 4), dtype=bool)
    mask[3, 3] = True
    found = overlap(heat, mask)
    assert (found.mass_inside, found.peak_inside, found.dice) == (0.0, False, 0.0)


def test_a_map_without_evidence_and_a_mask_without_infection_agree_on_nothing() -> None:
    found = overlap(np.zeros((4, 4)), np.zeros((4, 4), dtype=bool))
    assert (found.mass_inside, found.peak_inside, found.dice) == (None, None, None)


def test_without_infection_there_is_no_place_to_point_at() -> None:
    found = overlap(np.full((4, 4), 0.9), np.zeros((4, 4), dtype=bool))
    assert (found.mass_inside, found.peak_inside, found.dice) == (None, None, 0.0)


def test_the_threshold_is_a_value_of_the_map_not_a_share_of_its_maximum() -> None:
    heat = np.full((2, 2), 0.3)
    assert overlap(heat, np.ones((2, 2), dtype=bool)).hot_pixels == 0
    assert overlap(heat, np.ones((2, 2), dtype=bool), threshold=0.3).hot_pixels == 4


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        overlap(np.zeros((2, 3)), np.zeros((3, 2), dtype=bool))
