"""Maps that see nothing of a network, worked by hand."""

import numpy as np
import pytest

from triplenet.explanation.map_scores import score_map
from triplenet.explanation.reference_maps import CENTRE_SIGMA, REFERENCES, mean_lesion, noise_seed, reference_maps

IMAGE = np.random.default_rng(2).integers(0, 256, (48, 48)).astype(np.uint8)
LUNG = np.zeros((48, 48), dtype=bool)
LUNG[10:40, 4:20] = True
SEED = noise_seed("p001", 0)


def test_there_is_a_map_of_each_name_in_the_order_of_the_titles():
    mean = np.full((48, 48), 0.25, dtype=np.float32)
    maps = reference_maps(IMAGE, LUNG, mean, seed=SEED)
    assert list(maps) == list(REFERENCES) == ["uniform", "random", "centre", "edges", "lung", "mean-lesion"]
    for heat in maps.values():
        assert (heat.shape, heat.dtype) == ((48, 48), np.float32)
        assert heat.min() >= 0 and heat.max() <= 1
    assert (maps["uniform"] == 1).all()
    assert np.array_equal(maps["lung"] == 1, LUNG) and set(np.unique(maps["lung"])) == {0, 1}
    assert (maps["mean-lesion"] == 0.25).all()


def test_what_is_not_there_is_left_out():
    assert list(reference_maps(IMAGE, None, None, seed=SEED)) == ["uniform", "random", "centre", "edges"]


def test_the_noise_is_another_for_each_patient_and_number_and_the_same_again():
    def noise(patient, number):
        return reference_maps(IMAGE, None, None, seed=noise_seed(patient, number))["random"]

    first = noise("p001", 0)
    assert np.array_equal(first, noise("p001", 0))
    for other in (noise("p002", 0), noise("p001", 1)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.1
    assert first.mean() == pytest.approx(0.5, abs=0.03) and first.std() == pytest.approx(12**-0.5, abs=0.02)
    with pytest.raises(ValueError, match="non-negative"):
        noise_seed("p001", -1)


def test_the_centre_is_a_gaussian_of_a_quarter_of_each_side():
    heat = reference_maps(np.zeros((41, 81), np.uint8), None, None, seed=SEED)["centre"]
    assert CENTRE_SIGMA == 0.25
    assert np.unravel_index(heat.argmax(), heat.shape) == (20, 40)
    assert heat[20, 40] == 1
    assert heat[30, 40] == pytest.approx(np.exp(-0.5 * (10 / (41 / 4)) ** 2))
    assert heat[20, 60] == pytest.approx(np.exp(-0.5 * (20 / (81 / 4)) ** 2))
    np.testing.assert_allclose(heat, heat[::-1, ::-1], rtol=1e-5)


def test_the_edges_are_sobels_gradient_on_a_scale_of_their_own_steepest():
    image = np.zeros((7, 7), dtype=np.uint8)
    image[:, 4:] = 255  # a step: each kernel row gives 1, 2, 1 times it
    heat = reference_maps(image, None, None, seed=SEED)["edges"]
    np.testing.assert_allclose(heat[:, 3:5], 4 / 20**0.5, rtol=1e-6)
    assert (heat[:, :3] == 0).all() and (heat[:, 5:] == 0).all()
    half = reference_maps(image // 2, None, None, seed=SEED)["edges"]
    np.testing.assert_allclose(half[:, 3], 4 / 20**0.5 * 127 / 255, rtol=1e-6)  # no scale of its own
    steepest = np.zeros((3, 3), dtype=np.uint8)
    for at in ((2, 1), (2, 2), (1, 2), (2, 0)):
        steepest[at] = 255
    assert reference_maps(steepest, None, None, seed=SEED)["edges"][1, 1] == 1


def test_no_three_by_three_image_has_a_steeper_edge():
    corners = np.array([[(bits >> k) & 1 for k in range(9)] for bits in range(512)], dtype=np.uint8)
    middle = [float(reference_maps(255 * one.reshape(3, 3), None, None, seed=SEED)["edges"][1, 1]) for one in corners]
    assert max(middle) == 1
    # The bound is met, not cut down to: the next lower one stands apart from it.
    assert sorted(set(middle))[-2] < 0.99


def test_a_map_of_the_lung_has_all_its_energy_there_and_a_uniform_one_its_share():
    lesion = np.zeros((48, 48), dtype=bool)
    lesion[12:20, 6:12] = True
    maps = reference_maps(IMAGE, LUNG, None, seed=SEED)
    of_lung = score_map(maps["lung"], lesion, LUNG)
    assert (of_lung.energy_in_lung, of_lung.energy_in_lesion) == (1, pytest.approx(48 / 480))
    assert of_lung.pointing_game == pytest.approx(48 / 480)
    uniform = score_map(maps["uniform"], lesion, LUNG)
    assert uniform.energy_in_lesion == uniform.pointing_game == pytest.approx(48 / 48**2)
    assert score_map(maps["random"], lesion, LUNG).rank == pytest.approx(0.5, abs=0.12)


def test_the_mean_lesion_counts_a_pixel_only_where_it_is_known():
    masks = np.array([[[2, 1], [0, 255]], [[1, 2], [0, 2]], [[2, 255], [0, 255]], [[1, 0], [255, 255]]], dtype=np.uint8)
    heat = mean_lesion(masks)
    np.testing.assert_allclose(heat, np.array([[2 / 4, 1 / 3], [0, 1]]))
    assert heat.dtype == np.float32
    np.testing.assert_array_equal(mean_lesion(iter(masks)), heat)
    assert not np.isnan(mean_lesion(np.full((2, 3, 3), 255, np.uint8))).any()


def test_an_infection_mask_alone_tells_where_no_infection_is():
    alone = np.array([[2, 255]], dtype=np.uint8)  # nobody said whether the other pixel is lung
    healthy = np.array([[1, 1]], dtype=np.uint8)
    unlabelled = np.array([[255, 255]], dtype=np.uint8)
    np.testing.assert_allclose(mean_lesion([alone, healthy, unlabelled]), [[1 / 2, 0]])
    np.testing.assert_allclose(mean_lesion([alone, alone[:, ::-1], healthy]), [[1 / 3, 1 / 3]], rtol=1e-6)


def test_shapes_that_differ_and_no_mask_at_all_are_refused():
    with pytest.raises(ValueError, match="lung"):
        reference_maps(IMAGE, LUNG[:20], None, seed=SEED)
    with pytest.raises(ValueError, match="mean lesion"):
        reference_maps(IMAGE, None, np.zeros((3, 3), np.float32), seed=SEED)
    with pytest.raises(ValueError, match="no mask"):
        mean_lesion([])
    with pytest.raises(ValueError, match="differ in shape"):
        mean_lesion([np.zeros((2, 2), np.uint8), np.zeros((3, 2), np.uint8)])
