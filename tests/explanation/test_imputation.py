import numpy as np
import pytest
from scipy import ndimage

from triplenet.errors import BadInput
from triplenet.explanation import imputation
from triplenet.explanation.imputation import fill_values, impute

RNG = np.random.default_rng(0)


def picture(size: int) -> np.ndarray:
    grey = ndimage.gaussian_filter(RNG.random((size, size)), 1.0)
    return ((grey - grey.min()) / np.ptp(grey) * 255).astype(np.uint8)


def residual(image: np.ndarray, removed: np.ndarray) -> float:
    """By how many grey levels a removed pixel is not the weighted mean of its neighbours, at most; a slow loop."""
    grey = image.astype(float)
    grey[removed] = fill_values(image, removed)
    worst = 0.0
    for row, column in np.argwhere(removed):
        total = weight = 0.0
        for r in range(max(row - 1, 0), min(row + 2, len(grey))):
            for c in range(max(column - 1, 0), min(column + 2, len(grey[0]))):
                if (r, c) != (row, column):
                    share = 1 / 12 if r != row and c != column else 1 / 6
                    total, weight = total + share * grey[r, c], weight + share
        worst = max(worst, abs(grey[row, column] - total / weight))
    return worst


def test_one_pixel_is_the_weighted_mean_of_its_eight_neighbours() -> None:
    image = np.array([[12, 6, 0], [18, 99, 30], [24, 60, 36]], dtype=np.uint8)
    removed = np.zeros((3, 3), dtype=bool)
    removed[1, 1] = True
    assert fill_values(image, removed) == pytest.approx([(6 + 18 + 30 + 60) / 6 + (12 + 0 + 24 + 36) / 12])


def test_at_the_edge_only_neighbours_that_there_are_count() -> None:
    image = np.array([[99, 30], [60, 120]], dtype=np.uint8)
    removed = np.array([[True, False], [False, False]])
    assert fill_values(image, removed) == pytest.approx([(30 / 6 + 60 / 6 + 120 / 12) / (1 / 6 + 1 / 6 + 1 / 12)])


def test_removed_pixels_hang_on_each_other() -> None:
    image = np.array([[0, 7, 7, 90]], dtype=np.uint8)
    removed = np.array([[False, True, True, False]])
    assert fill_values(image, removed) == pytest.approx([30.0, 60.0])  # x = (0 + y) / 2, y = (x + 90) / 2


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_every_removed_pixel_of_a_picture_is_the_mean_of_its_neighbours(share: float) -> None:
    image = picture(40)
    assert residual(image, RNG.random(image.shape) < share) < 1e-9


@pytest.mark.parametrize("smooth", [0, 6])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_multigrid_solution_is_the_direct_one_to_a_thousandth_of_a_grey_level(
    share: float, smooth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, heat = picture(90), ndimage.gaussian_filter(RNG.random((90, 90)), smooth)
    removed = heat < np.quantile(heat, share)
    assert removed.sum() > imputation.DIRECT
    monkeypatch.setattr(imputation, "MOST_STEPS", 8)  # it would fall back on the direct solution
    factorised = []
    monkeypatch.setattr(
        imputation, "_factorised", lambda m, f=imputation._factorised: factorised.append(m.shape[0]) or f(m)
    )
    fast = fill_values(image, removed)
    assert max(factorised) <= imputation.DIRECT
    monkeypatch.setattr(imputation, "DIRECT", 10**6)
    direct = fill_values(image, removed)
    assert factorised[-1] == removed.sum()
    assert np.abs(fast - direct).max() < 1e-3


def test_what_does_not_converge_is_solved_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(64)
    removed = RNG.random(image.shape) < 0.9
    monkeypatch.setattr(imputation, "MOST_STEPS", 1)
    assert residual(image, removed) < 1e-9


def test_known_pixels_stay_and_the_noise_has_its_size() -> None:
    image = np.full((60, 60), 100, dtype=np.uint8)
    removed = RNG.random(image.shape) < 0.5
    found = impute(image, removed, np.random.default_rng(1))
    assert (found[~removed] == 100).all()
    assert found.dtype == np.uint8
    assert found[removed].astype(float).mean() == pytest.approx(100, abs=0.3)
    assert found[removed].astype(float).std() == pytest.approx(2.55, rel=0.1)
    np.testing.assert_array_equal(impute(image, removed, np.random.default_rng(1)), found)
    np.testing.assert_array_equal(impute(image, removed, np.random.default_rng(1), noise=0), image)


def test_noise_does_not_leave_the_grey_scale() -> None:
    removed = RNG.random((40, 40)) < 0.5
    for grey in (0, 255):
        found = impute(np.full((40, 40), grey, dtype=np.uint8), removed, np.random.default_rng(1))
        assert np.abs(found.astype(int) - grey).max() < 20  # no overflow to the other end


def test_nothing_removed_is_nothing_changed_and_nothing_known_is_refused() -> None:
    image = picture(20)
    np.testing.assert_array_equal(impute(image, np.zeros(image.shape, bool), np.random.default_rng(0)), image)
    with pytest.raises(BadInput, match="nothing to impute from"):
        fill_values(image, np.ones(image.shape, bool))
    with pytest.raises(BadInput, match="not both"):
        fill_values(image, np.ones((3, 3), bool))
