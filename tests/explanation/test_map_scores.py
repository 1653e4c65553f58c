"""Scores of a map, worked by hand and against scikit-learn, SciPy and scikit-image."""

from dataclasses import asdict, fields
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from scipy.stats import hypergeom
from skimage.filters import threshold_otsu
from sklearn.metrics import average_precision_score, roc_auc_score

from triplenet.catalog import MapMeasure
from triplenet.explanation.map_scores import MEASURES, MapScores, dice, energy_share, pointing_game, score_map

#: 4 x 4 with ties: 1 pixel of 0.9, 3 of 0.6, 4 of 0.2 and 8 of 0.
HEAT = np.array([[0.9, 0.6, 0.6, 0.0], [0.6, 0.2, 0.2, 0.0], [0.2, 0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
#: Of these 0, 2, 1 and 0.
LESION = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
LUNG = np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
OF_LESION = {name for name, measure in MEASURES.items() if measure.needs_lesion}


def square(side=32, at=(5, 8), size=9):
    mask = np.zeros((side, side), dtype=bool)
    mask[at[0] : at[0] + size, at[1] : at[1] + size] = True
    return mask


def test_every_score_of_a_small_map_worked_by_hand():
    found = score_map(HEAT, LESION, LUNG)
    total = 0.9 + 3 * 0.6 + 4 * 0.2  # 3.5
    assert found.energy == pytest.approx(total / 16)
    assert found.energy_in_lesion == pytest.approx((0.6 + 0.6 + 0.2) / total)
    assert found.energy_in_lung == pytest.approx((0.6 + 0.6 + 0.2 + 0.2) / total)
    assert (found.lesion_pixels, found.hot_pixels) == (3, 4)
    assert found.pointing_game == 0  # the pixel of 0.9 lies outside
    assert found.dice == pytest.approx(2 * 2 / (3 + 4))
    # Recall goes up by 2/3 at a precision of 2/4 and by 1/3 at one of 3/8.
    assert found.average_precision == pytest.approx(2 / 3 * 2 / 4 + 1 / 3 * 3 / 8)
    # Of 13 pixels outside 0.6 beats the 11 below and ties with 1; 0.2 beats the 8 below and ties with 3.
    assert found.rank == pytest.approx((2 * (11 + 0.5) + (8 + 1.5)) / (3 * 13))
    # Three of the hottest: that of 0.9, and two of the three of 0.6, of which two are in the lesion. Of the three pairs
    # one has both, two have one.
    assert found.dice_matched == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3)
    assert found.iou_matched == pytest.approx((2 / 4 + 1 / 5 + 1 / 5) / 3)
    # Otsu parts 0.9 and 0.6 from 0.2 and 0 (4 x 12 x 0.608^2 against 8 x 8 x 0.438^2 and 1 x 15 x 0.727^2): 2 pixels
    # of 4 lie in the lesion.
    assert found.iou_otsu == pytest.approx(2 / 5)
    assert found.dice_otsu == pytest.approx(4 / 7)


def test_the_energy_of_float_32_is_added_up_in_double_precision():
    heat = np.full((512, 512), 0.1, dtype=np.float32)
    assert score_map(heat, None).energy == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert energy_share(heat, np.ones(heat.shape, dtype=bool)) == 1


def test_a_map_that_is_the_lesion_scores_1_wherever_it_can():
    lesion = square()
    found = asdict(score_map(lesion.astype(np.float32), lesion, lesion))
    assert {name: found[name] for name in MEASURES} == dict.fromkeys(MEASURES, pytest.approx(1))
    assert found["lesion_pixels"] == found["hot_pixels"] == 81
    assert found["energy"] == pytest.approx(81 / 32**2)


def test_the_opposite_of_the_lesion_scores_0():
    lesion = square()
    found = asdict(score_map((~lesion).astype(np.float32), lesion, lesion, tolerance_px=0))
    assert {name: found[name] for name in MEASURES if name != "average_precision"} == dict.fromkeys(
        set(MEASURES) - {"average_precision"}, 0
    )
    assert found["average_precision"] == pytest.approx(81 / 32**2)  # all of it is found last


def test_a_shuffled_map_scores_as_chance_does():
    lesion, share = square(64, size=24), 24**2 / 64**2
    generator = np.random.default_rng(3)
    heat = generator.permutation(np.linspace(0, 1, 64**2) ** 2).reshape(64, 64)
    found = score_map(heat, lesion)
    assert found.rank == pytest.approx(0.5, abs=0.03)
    for value in (found.average_precision, found.energy_in_lesion, found.dice_matched):
        assert value == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_map_scores_as_a_random_one_does_on_average(value):
    lesion, of = square(12, (5, 5), 4), 144
    found = score_map(np.full((12, 12), value), lesion, tolerance_px=1)
    assert found.pointing_game == pytest.approx(16 / of)
    assert found.pointing_game_near == pytest.approx((16 + 4 * 4) / of)
    assert found.average_precision == pytest.approx(16 / of)
    assert found.rank == 0.5
    hits = np.arange(17)
    chance = hypergeom(of, 16, 16).pmf(hits)  # 16 pixels drawn from the image
    assert found.dice_matched == pytest.approx(16 / of)
    assert found.iou_matched == pytest.approx(float((chance * hits / (32 - hits)).sum()))
    assert found.iou_otsu is None and found.dice_otsu is None
    # The rank's scores ask no sum; a share of nothing is not defined.
    assert found.energy_in_lesion == (None if value == 0 else pytest.approx(16 / of))
    assert found.hot_pixels == (of if value == 1 else 0)
    assert found.dice == pytest.approx(32 / (16 + of) if value == 1 else 0)


def test_an_area_among_ties_is_the_mean_over_every_way_to_draw_it():
    heat = np.array([[0.5, 0.5, 0.5, 0.7], [0.5, 0.5, 0.1, 0.7]])
    lesion = np.array([[1, 1, 1, 0], [0, 0, 1, 1]], dtype=bool)  # 5: two are hotter, three are drawn of five
    tied = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    common = np.array([1 + sum(lesion[at] for at in drawn) for drawn in combinations(tied, 3)])
    found = score_map(heat, lesion)
    assert found.iou_matched == pytest.approx((common / (10 - common)).mean())
    assert found.dice_matched == pytest.approx((common / 5).mean())


def test_an_area_that_ends_with_a_value_draws_nothing():
    heat = np.array([[0.9, 0.4, 0.4, 0.1]])
    found = score_map(heat, np.array([[True, True, False, True]]))
    assert found.dice_matched == pytest.approx(2 / 3)
    assert found.iou_matched == pytest.approx(2 / 4)


@pytest.mark.parametrize("values", [3, 50, None])
def test_precision_and_rank_are_those_of_scikit_learn(values):
    generator = np.random.default_rng(11)
    lesion = square(40, size=13)
    heat = generator.random((40, 40)) + 0.3 * lesion
    if values is not None:
        heat = np.floor(heat * values) / values  # ties
    found = score_map(heat.astype(np.float32), lesion)
    flat = heat.astype(np.float32).ravel()
    assert found.average_precision == pytest.approx(average_precision_score(lesion.ravel(), flat))
    assert found.rank == pytest.approx(roc_auc_score(lesion.ravel(), flat))


def test_otsu_is_that_of_scikit_image_wherever_the_values_lie():
    generator = np.random.default_rng(5)
    lesion = square(40, size=13)
    heat = np.clip(generator.normal(0.2, 0.05, (40, 40)) + 0.3 * (lesion & square(40, (9, 9), 15)), 0, None)
    grey = np.floor((heat - heat.min()) / (heat.max() - heat.min()) * 255.999).astype(np.uint8)
    above = grey > threshold_otsu(grey)
    assert 0 < above.sum() < 150  # the bright part, not a half
    found = score_map(heat, lesion)
    assert found.dice_otsu == pytest.approx(2 * (above & lesion).sum() / (above.sum() + 169))
    assert found.iou_otsu == pytest.approx((above & lesion).sum() / (above | lesion).sum())
    faint = score_map(heat / 1e6, lesion)
    assert (faint.dice_otsu, faint.dice) == (found.dice_otsu, 0)
    # Two values that no histogram on their own scale could part.
    least = score_map(np.where(lesion, np.nextafter(1.0, 2.0), 1.0), lesion)
    assert (least.dice_otsu, least.iou_otsu) == (1, 1)


def test_the_share_of_the_hottest_pixels_counts_not_whether_one_of_them_hits():
    heat = np.array([[0.8, 0.8, 0.1], [0.8, 0.1, 0.8]])
    lesion = np.array([[True, False, True], [False, False, False]])
    assert score_map(heat, lesion, tolerance_px=0).pointing_game_near == 1 / 4
    assert score_map(heat, lesion).pointing_game == 1 / 4


def test_near_is_a_distance_in_a_straight_line_its_end_included():
    lesion = np.zeros((20, 20), dtype=bool)
    lesion[3, 3] = True
    heat = np.zeros((20, 20))
    heat[6, 7] = 1  # 3 down, 4 across
    assert score_map(heat, lesion, tolerance_px=5).pointing_game_near == 1
    assert score_map(heat, lesion, tolerance_px=4.99).pointing_game_near == 0
    assert score_map(heat, lesion, tolerance_px=5).pointing_game == 0


@pytest.mark.parametrize(("shape", "reach"), [((224, 224), 15), ((112, 300), 7.5)])
def test_the_usual_tolerance_is_15_pixels_of_224_on_the_shorter_side(shape, reach):
    lesion = np.zeros(shape, dtype=bool)
    lesion[40, 50] = True
    for beside in (int(reach), int(reach) + 1):
        heat = np.zeros(shape)
        heat[40, 50 + beside] = 1
        assert score_map(heat, lesion).pointing_game_near == (beside <= reach)


def test_without_a_lesion_the_energy_anywhere_is_left():
    heat = np.full((4, 4), 0.75)
    found = asdict(score_map(heat, np.zeros((4, 4), dtype=bool), LUNG))
    assert {name for name, value in found.items() if value is None} == OF_LESION
    assert (found["energy"], found["lesion_pixels"], found["hot_pixels"]) == (0.75, 0, 16)
    assert found["energy_in_lung"] == pytest.approx(6 / 16)
    unknown = asdict(score_map(heat, None, LUNG))
    assert unknown == {**found, "lesion_pixels": None}


def test_without_a_lung_mask_or_with_an_empty_one_nothing_is_in_the_lung():
    assert score_map(HEAT, LESION).energy_in_lung is None
    assert score_map(HEAT, LESION, np.zeros((4, 4), dtype=bool)).energy_in_lung is None
    assert score_map(np.zeros((4, 4)), LESION, LUNG).energy_in_lung is None


def test_in_a_lesion_that_is_everywhere_all_lies_inside_and_nothing_ranks_below():
    found = asdict(score_map(HEAT, np.ones((4, 4), dtype=bool)))
    assert found["rank"] is None
    for name in ("pointing_game", "pointing_game_near", "energy_in_lesion", "average_precision"):
        assert found[name] == pytest.approx(1)
    assert (found["dice_matched"], found["iou_matched"]) == (1, 1)
    assert found["dice"] == pytest.approx(2 * 4 / (16 + 4))
    assert found["iou_otsu"] == pytest.approx(4 / 16)


def test_the_threshold_is_a_value_of_the_map_and_belongs_to_what_is_hot():
    heat = np.full((2, 2), 0.5, dtype=np.float32)
    everywhere = np.ones((2, 2), dtype=bool)
    assert score_map(heat, everywhere).hot_pixels == 4
    assert score_map(heat * np.float32(0.6), everywhere).hot_pixels == 0
    lower = score_map(heat * np.float32(0.6), everywhere, threshold=0.3)
    assert (lower.hot_pixels, lower.dice) == (4, 1)


def test_what_is_no_map_is_refused():
    with pytest.raises(ValueError, match=r"lesion \(3, 2\) differ in shape"):
        score_map(np.zeros((2, 3)), np.zeros((3, 2), dtype=bool))
    with pytest.raises(ValueError, match=r"lung \(3, 2\) differ in shape"):
        score_map(np.zeros((2, 3)), None, np.zeros((3, 2), dtype=bool))
    for value in (np.nan, np.inf, -0.1):
        heat = np.zeros((4, 4))
        heat[1, 2] = value
        with pytest.raises(ValueError, match="finite and nowhere below 0"):
            score_map(heat, LESION)


def test_the_single_scores_are_the_same_by_themselves():
    found = score_map(HEAT, LESION, LUNG)
    assert energy_share(HEAT, LESION) == found.energy_in_lesion
    assert pointing_game(HEAT, LESION) == found.pointing_game
    assert dice(HEAT >= 0.5, LESION) == found.dice
    nothing = np.zeros((4, 4), dtype=bool)
    assert dice(nothing, nothing) is None and dice(nothing, LESION) == 0
    assert energy_share(HEAT, nothing) is None and energy_share(np.zeros((4, 4)), LESION) is None


def test_the_table_of_measures_tells_which_fields_are_better_when_high():
    assert set(MEASURES) == {field.name for field in fields(MapScores)} - {"energy", "lesion_pixels", "hot_pixels"}
    assert len({measure.title for measure in MEASURES.values()}) == len(MEASURES)
    assert {measure.better for measure in MEASURES.values()} == {"high"}
    assert {name for name, measure in MEASURES.items() if not measure.needs_lesion} == {"energy_in_lung"}
    assert [name for name, measure in MEASURES.items() if measure.percent] == list(MEASURES)[:4]


def test_the_measures_are_those_that_a_recipe_may_declare():
    assert tuple(MEASURES) == get_args(MapMeasure)
