import numpy as np
import pytest

from triplenet.errors import BadInput, MissingExtra
from triplenet.explanation.similarity import MapSimilarity, mean_similarity, similarity, spearman, ssim

RNG = np.random.default_rng(0)


def test_a_map_is_like_itself() -> None:
    heat = RNG.random((20, 20)).astype(np.float32)
    assert similarity(heat, heat) == MapSimilarity(pytest.approx(1.0), pytest.approx(1.0))


def test_ssim_of_two_even_maps_is_that_of_their_means_on_the_absolute_scale() -> None:
    first, second = np.full((12, 14), 0.2), np.full((12, 14), 0.6)
    # Without variance only the luminance term of Wang et al. is left, with C1 = (0.01 * range)^2.
    assert ssim(first, second) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


def test_ssim_at_one_place_is_wangs_formula_under_a_gaussian_window() -> None:
    first, second = RNG.random((2, 11, 11))
    steps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(steps, steps) / np.outer(steps, steps).sum()
    m1, m2 = (weights * first).sum(), (weights * second).sum()
    v1, v2 = (weights * first**2).sum() - m1**2, (weights * second**2).sum() - m2**2
    shared = (weights * first * second).sum() - m1 * m2
    expected = (2 * m1 * m2 + 1e-4) * (2 * shared + 9e-4) / ((m1**2 + m2**2 + 1e-4) * (v1 + v2 + 9e-4))
    assert ssim(first, second) == pytest.approx(expected)  # 11 x 11 has one whole window


def test_ssim_of_a_volume_is_the_mean_over_its_frames() -> None:
    first, second = RNG.random((2, 3, 16, 16))
    expected = np.mean([ssim(first[frame], second[frame]) for frame in range(3)])
    assert ssim(first, second) == pytest.approx(expected)


def test_spearman_is_of_the_order_alone_and_of_all_voxels() -> None:
    heat = RNG.random((2, 4, 4))
    assert spearman(heat, np.exp(5 * heat)) == pytest.approx(1.0)
    assert spearman(heat, 1 - heat) == pytest.approx(-1.0)
    # ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert spearman(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[0.2, 0.1], [0.9, 0.3]])) == pytest.approx(0.6)


def test_a_constant_map_has_no_order() -> None:
    heat = RNG.random((12, 12))
    for first, second in ((heat, np.zeros((12, 12))), (np.ones((12, 12)), heat)):
        found = similarity(first, second)
        assert found.spearman is None
        assert (found.pairs, found.ranked_pairs) == (1, 0)
        assert np.isfinite(found.ssim)


def test_a_mean_leaves_out_what_has_no_order_and_says_so() -> None:
    pairs = [MapSimilarity(0.2, 0.5), MapSimilarity(0.6, None, ranked_pairs=0), MapSimilarity(0.7, 0.1)]
    assert mean_similarity(pairs) == MapSimilarity(pytest.approx(0.5), pytest.approx(0.3), pairs=3, ranked_pairs=2)
    assert mean_similarity(pairs[1:2]).spearman is None
    with pytest.raises(BadInput, match="no pair"):
        mean_similarity([])


def test_maps_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(BadInput, match="not both"):
        ssim(np.zeros((12, 12)), np.zeros((12, 13)))
    with pytest.raises(BadInput, match="not both"):
        ssim(np.zeros(12), np.zeros(12))
    with pytest.raises(BadInput, match="use at least 11"):
        ssim(np.zeros((12, 10)), np.zeros((12, 10)))
    with pytest.raises(BadInput, match="one shape"):
        spearman(np.zeros((2, 2)), np.zeros((2, 3)))


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage.metrics", None)
    with pytest.raises(MissingExtra, match="scikit-image"):
        ssim(np.zeros((12, 12)), np.zeros((12, 12)))
