import numpy as np
import pytest

from toy_explained import SIZE, SQUARE, Planted, ShowsTheImage, ShowsTheSquare, patients, planted
from toy_networks import frozen
from triplenet.errors import BadInput, BadModel
from triplenet.explanation.decision_following import (
    Correlation,
    explainer,
    follows_decision,
    with_noise,
    with_squares,
)
from triplenet.explanation.faithfulness import baseline_image
from triplenet.explanation.maps import classify_and_explain_crop
from triplenet.explanation.similarity import spearman, ssim
from triplenet.model import Model

FILL = np.full((SIZE, SIZE), 128, dtype=np.uint8)


def ones(count: int) -> np.ndarray:
    return np.ones(count, dtype=np.int64)


@pytest.mark.parametrize("frames", [0, 2])
def test_a_map_of_the_evidence_follows_the_decision_and_others_do_not(frames: int) -> None:
    images = patients(4, frames=frames)
    found = {
        kind: follows_decision(explainer(planted(kind, frames=frames)), images, ones(4), fill=FILL, seed=0)
        for kind in (Planted, ShowsTheImage, ShowsTheSquare)
    }
    right, image, square = found.values()
    # The planted square is one of the sixteen that are covered: all other places change neither.
    assert right.occlusion.difference.mean == pytest.approx(1.0)
    assert right.occlusion.structure.mean == pytest.approx(1.0)
    assert right.both.difference.mean > 0.8
    # Covering any place changes the image, the decision only one.
    assert image.occlusion.difference.mean < 0.7
    assert square.both.difference.values == (None,) * 4
    assert (square.noise.structure.images, square.noise.structure.mean) == (0, None)


def test_the_correlation_is_spearmans_over_the_disturbances_of_each_image() -> None:
    model, images = planted(), patients(2)
    found = follows_decision(
        explainer(model), images, ones(2), fill=FILL, seed=3, noise_levels=(20, 80), draws=3, grid=2
    )
    for number, image in enumerate(images):
        noisy = with_noise(image, (20, 80), 3, np.random.default_rng([3, number]))
        covered = with_squares(image, FILL, 2)
        first = classify_and_explain_crop(model, image[None], ones(1))
        before, heat = first.probabilities[0], first.heat[0]
        for kind, disturbed in (("noise", noisy), ("occlusion", covered), ("both", np.concatenate([noisy, covered]))):
            asked = classify_and_explain_crop(model, disturbed, ones(len(disturbed)))
            probabilities, maps = asked.probabilities, asked.heat
            # A quarter without the square changes nothing, and rounding is no change.
            decision = np.abs(probabilities[:, 1] - before[1]).round(6)
            structure = np.array([1 - ssim(heat, one) for one in maps]).round(6)
            difference = np.abs(maps - heat).mean((1, 2)).round(6)
            following = getattr(found, kind)
            assert following.structure.values[number] == pytest.approx(spearman(structure, decision), abs=1e-3)
            assert following.difference.values[number] == pytest.approx(spearman(difference, decision), abs=1e-3)


def test_a_mean_is_over_the_images_that_have_a_value() -> None:
    correlation = Correlation((0.2, None, 0.6))
    assert (correlation.mean, correlation.images) == (pytest.approx(0.4), 2)
    assert (Correlation((None,)).mean, Correlation((None,)).images) == (None, 0)


def test_a_change_that_is_rounding_is_none() -> None:
    def explain(images: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        jitter = 1e-8 * np.arange(len(images))
        return np.stack([1 - jitter, jitter], 1), np.random.default_rng(0).random((len(images), 16, 16))

    found = follows_decision(explain, patients(1), ones(1), fill=FILL, seed=0)
    assert found.both.difference.values == (None,)


def test_changes_are_counted_whichever_way_they_go() -> None:
    def explain(images: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        size = np.linspace(0, 0.4, len(images))
        up_and_down = 0.5 + size * (-1.0) ** np.arange(len(images))
        maps = np.broadcast_to(0.5 - size[:, None, None], (len(images), 16, 16))
        return np.stack([1 - up_and_down, up_and_down], 1), maps

    found = follows_decision(explain, patients(1), ones(1), fill=FILL, seed=0)
    assert found.both.difference.mean == pytest.approx(1.0)
    assert found.both.structure.mean == pytest.approx(1.0)


def test_noise_is_graded_and_drawn_anew() -> None:
    image = np.full((SIZE, SIZE), 128, dtype=np.uint8)
    noisy = with_noise(image, (5, 20), 2, np.random.default_rng(0))
    assert noisy.shape == (4, SIZE, SIZE)
    assert noisy.dtype == np.uint8
    assert [copy.astype(float).std() for copy in noisy] == pytest.approx([5, 5, 20, 20], rel=0.1)
    assert noisy.astype(float).mean() == pytest.approx(128, abs=1)
    assert len({copy.tobytes() for copy in noisy}) == 4
    bright = with_noise(np.full((SIZE, SIZE), 250, np.uint8), (20,), 1, np.random.default_rng(0))
    assert bright.min() > 150  # cut off at white, not wrapped around to black


@pytest.mark.parametrize(("side", "grid", "crop"), [(32, 4, None), (10, 3, None), (12, 4, 8)])
def test_the_squares_cover_what_the_network_reads_once(side: int, grid: int, crop: int | None) -> None:
    image = np.zeros((2, side, side), dtype=np.uint8)
    fill = np.arange(1, side * side + 1).reshape(side, side).astype(np.uint8) | 1
    covered = with_squares(image, fill, grid, crop)
    assert covered.shape == (grid * grid, 2, side, side)
    expected = np.zeros((side, side), dtype=int)
    margin = 0 if crop is None else (side - crop) // 2
    expected[margin : side - margin, margin : side - margin] = fill[margin : side - margin, margin : side - margin]
    for frame in (0, 1):
        np.testing.assert_array_equal(covered[:, frame].astype(int).sum(0), expected)
    sizes = (covered[:, 0] > 0).sum((1, 2))
    assert sizes.max() <= (-(-(crop or side) // grid)) ** 2
    # Row by row, from the corner.
    assert covered[0, 0, margin, margin] > 0
    assert covered[1, 0, margin, margin + (crop or side) // grid] > 0
    assert (image == 0).all()


def test_the_seed_decides_and_an_image_does_not_depend_on_the_others() -> None:
    images = patients(3)
    explain = explainer(planted())
    first, again, other = (follows_decision(explain, images, ones(3), fill=FILL, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.noise != other.noise
    assert first.occlusion == other.occlusion
    alone = follows_decision(explain, images[:1], ones(1), fill=FILL, seed=0)
    assert alone.noise.difference.values == first.noise.difference.values[:1]
    assert len(set(first.noise.difference.values)) == 3


def test_the_class_of_each_image_is_followed_in_one_call_an_image() -> None:
    asked = []

    def explain(images: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append((len(images), target))
        return explainer(planted())(images, target)

    images = patients(2)
    found = follows_decision(explain, images, np.array([1, 0]), fill=FILL, seed=0, noise_levels=(9,), draws=2, grid=2)
    assert asked == [(1 + 2 + 4, 1), (1 + 2 + 4, 0)]
    assert found.both.difference.values[1] is None  # the square says nothing for class 0, before and after


def test_one_kind_of_disturbance_is_enough() -> None:
    explain, images = explainer(planted()), patients(1)
    no_noise = follows_decision(explain, images, ones(1), fill=FILL, seed=0, noise_levels=())
    assert no_noise.noise.difference.values == (None,)
    assert no_noise.both == no_noise.occlusion
    no_squares = follows_decision(explain, images, ones(1), fill=FILL, seed=0, grid=0)
    assert no_squares.occlusion.structure.values == (None,)
    assert no_squares.both == no_squares.noise


@pytest.mark.parametrize("name", ["triple", "decovnet"])
def test_every_kind_of_network_can_be_asked_in_batches(name: str) -> None:
    frames = 2 if name == "decovnet" else 0
    toy = planted(frames=frames)
    model = Model(toy.card, frozen(name), toy.mean_image)
    images = patients(1, frames=frames)
    disturbed = with_squares(images[0], baseline_image(model), 2)
    probabilities, maps = explainer(model, batch=3)(disturbed, 1)
    told = classify_and_explain_crop(model, disturbed, ones(4))
    expected = told.probabilities, told.heat
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-5)
    np.testing.assert_allclose(maps, expected[1], atol=1e-5)


def test_a_network_that_reads_the_lungs_is_given_them() -> None:
    model = planted(frames=2)
    model.network.channels = 2
    given = []
    model.network.encode = lambda images: given.append(images) or (model.network.encoder(images[:, :1] + 0.5),)
    lungs = np.random.default_rng(0).integers(0, 2, (2, SIZE, SIZE), dtype=np.uint8)
    explainer(model, lungs=lungs, batch=2)(patients(3, frames=2), 1)
    assert [len(images) for images in given] == [2, 1]
    np.testing.assert_array_equal(given[0][1, 1].numpy(), lungs)


def answering(probabilities: int, maps: int, value: float = 0.5):
    return lambda images, target: (
        np.full((probabilities or len(images), 2), value),
        np.zeros((maps or len(images), 16, 16)),
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": patients(2).astype(float)}, "not uint8"),
        ({"images": patients(2)[0]}, "images are"),
        ({"images": patients(2)[:0]}, "one or more"),
        ({"target": ones(3)}, r"classes \(3,\)"),
        ({"fill": FILL[:5]}, "baseline image"),
        ({"fill": FILL / 255}, "baseline image is float64"),
        ({"grid": SIZE + 1}, "a grid of 33"),
        ({"crop": SIZE + 1}, "on 33 of"),
        ({"target": 2 * ones(2), "explain": answering(0, 0)}, "class 2 is explained of 2"),
        ({"explain": answering(1, 0)}, "1 probabilities"),
        ({"explain": answering(0, 1)}, "1 maps"),
    ],
)
def test_what_cannot_be_followed_is_refused(changes: dict, said: str) -> None:
    given = {"explain": explainer(planted()), "images": patients(2), "target": ones(2), "fill": FILL, "seed": 0}
    with pytest.raises(BadInput, match=said):
        follows_decision(**given | changes)


def test_an_answer_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadModel, match="not finite"):
        follows_decision(answering(0, 0, np.nan), patients(1), ones(1), fill=FILL, seed=0)


def test_the_square_of_the_toy_is_one_of_the_grid() -> None:
    covered = with_squares(patients(1)[0], FILL, 4)
    assert [bool((copy[SQUARE] == 128).all()) for copy in covered].count(True) == 1
