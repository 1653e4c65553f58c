import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from toy_explained import TinyGradCam, patients
from toy_explained import planted as planted_model
from toy_model import marker
from toy_networks import frozen
from triplenet.errors import BadInput, BadModel
from triplenet.explanation import heat_maps
from triplenet.explanation.faithfulness import (
    FRACTIONS,
    Faithfulness,
    baseline_image,
    central_square,
    classifier,
    faithfulness,
)
from triplenet.explanation.maps import classify_and_explain
from triplenet.model import Model

SIZE = 16
SQUARE = (..., slice(4, 8), slice(8, 12))  # a sixteenth of the pixels
BLACK = np.zeros((SIZE, SIZE), dtype=np.uint8)


def by_the_square(images: np.ndarray) -> np.ndarray:
    """The mean grey of the square, over all frames, is the probability of class 1."""
    share = (images[SQUARE] / 255).reshape(len(images), -1).mean(1)
    return np.stack([1 - share, share], 1)


def planted(*frames: int) -> tuple[np.ndarray, np.ndarray]:
    """An image or volume that is black but for its white square, and the map that finds it."""
    image = np.zeros((*frames, SIZE, SIZE), dtype=np.uint8)
    image[SQUARE] = 255
    return image, image / 255


@pytest.mark.parametrize("frames", [(), (3,)])
def test_the_curves_of_a_map_that_finds_the_square_are_those_worked_by_hand(frames: tuple[int, ...]) -> None:
    image, heat = planted(*frames)
    found = faithfulness(by_the_square, image, heat, 1, fill=BLACK, seed=0, fractions=(1 / 32, 0.25))
    assert (found.unchanged, found.baseline) == (1.0, 0.0)
    assert found.deletion_curve == pytest.approx((0.5, 0.0))  # half of the square is gone, all of it is
    assert found.insertion_curve == pytest.approx((0.5, 1.0))
    assert found.deletion == pytest.approx(0.25)
    assert found.insertion == pytest.approx(0.75)
    # Least relevant first leaves the square; most relevant first imputes it from the black around it.
    assert found.road_least_relevant == (1.0, 1.0)
    assert 0.5 <= found.road_most_relevant[0] < 1.0
    assert found.road_most_relevant[1] == pytest.approx(0.0, abs=0.02)  # noise above black
    assert found.road == pytest.approx((2 - sum(found.road_most_relevant)) / 2)
    # A class that the square speaks against has the same curves upside down.
    against = faithfulness(by_the_square, image, heat, 0, fill=BLACK, seed=0, fractions=(1 / 32, 0.25))
    assert against.road == pytest.approx(-found.road)


def test_a_map_that_finds_the_square_wins_every_score_and_loses_shuffled() -> None:
    rng = np.random.default_rng(0)
    image, heat = planted()
    image = np.where(image > 0, image, rng.integers(0, 80, image.shape)).astype(np.uint8)
    right = faithfulness(by_the_square, image, heat, 1, fill=BLACK, seed=0)
    for _ in range(5):
        shuffled = rng.permutation(heat.ravel()).reshape(heat.shape)
        wrong = faithfulness(by_the_square, image, shuffled, 1, fill=BLACK, seed=0)
        assert right.road > wrong.road + 0.4
        assert right.deletion < wrong.deletion - 0.2
        assert right.insertion > wrong.insertion + 0.2
    upside_down = faithfulness(by_the_square, image, -heat, 1, fill=BLACK, seed=0)
    assert upside_down.road < -0.4


@pytest.mark.parametrize("frames", [0, 2])
def test_the_map_of_a_network_that_decides_by_the_square_wins_every_score_and_loses_shuffled(frames: int) -> None:
    model, image = planted_model(frames=frames), patients(1, frames=frames)[0]
    heat = heat_maps(model, image[None], np.array([1]))[0]
    shuffled = np.random.default_rng(0).permutation(heat.ravel()).reshape(heat.shape)
    fill = np.zeros(image.shape[-2:], dtype=np.uint8)
    right, wrong = (
        faithfulness(classifier(model), image, one, 1, fill=fill, seed=0, fractions=(0.1, 0.3, 0.5))
        for one in (heat, shuffled)
    )
    assert right.road > wrong.road + 0.2
    assert right.deletion < wrong.deletion - 0.1
    assert right.insertion > wrong.insertion + 0.1


def test_the_scores_are_means_of_the_curves() -> None:
    curves = Faithfulness((0.1, 0.2), (0.5, 0.1), (0.9, 0.7), (0.4, 0.2), (0.3, 0.8), unchanged=1.0, baseline=0.0)
    assert (curves.road, curves.deletion, curves.insertion) == pytest.approx((0.5, 0.3, 0.55))


def test_what_is_equally_hot_goes_by_chance_and_not_by_its_position() -> None:
    image, _ = planted()
    flat = np.full(image.shape, 0.5)
    # Left: by position, a quarter of the pixels would be the four top rows, without the square.
    curves = {
        faithfulness(by_the_square, image, flat, 1, fill=BLACK, seed=seed, fractions=(0.25,)).deletion_curve[0]
        for seed in range(30)
    }
    assert np.mean(list(curves)) == pytest.approx(0.75, abs=0.1)
    assert len(curves) > 5
    roads = [faithfulness(by_the_square, image, flat, 1, fill=BLACK, seed=seed).road for seed in range(20)]
    assert np.mean(roads) == pytest.approx(0.0, abs=0.1)


def test_the_seed_decides() -> None:
    image, heat = planted()
    first, again, other = (
        faithfulness(by_the_square, image, heat, 1, fill=BLACK, seed=seed, fractions=(0.3, 0.6)) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_the_network_is_asked_once_about_images_as_a_prepared_set_holds_them() -> None:
    asked = []

    def classify(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return by_the_square(images)

    image, heat = planted(2)
    faithfulness(classify, image, heat, 1, fill=np.full((SIZE, SIZE), 9, np.uint8), seed=0)
    (images,) = asked
    assert images.shape == (4 * len(FRACTIONS) + 2, 2, SIZE, SIZE)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[0], image)
    assert (images[1] == 9).all()
    assert len({one.tobytes() for one in images}) == len(images)


def test_the_pixels_of_a_volume_are_ranked_over_all_of_it_and_an_empty_frame_is_the_baseline() -> None:
    seen = []

    def classify(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.full((len(images), 2), 0.5)

    volume = np.full((2, SIZE, SIZE), 200, dtype=np.uint8)
    heat = np.zeros(volume.shape)
    heat[1] = 1.0  # half of all voxels, one frame
    faithfulness(classify, volume, heat, 0, fill=np.full((SIZE, SIZE), 7, np.uint8), seed=0, fractions=(0.5,))
    most, least, deleted, inserted = seen[0][2:]
    for images, gone in ((most, 1), (least, 0), (deleted, 1), (inserted, 0)):
        assert (images[gone] == 7).all()
        assert (images[1 - gone] == 200).all()


def test_what_the_network_does_not_read_is_neither_ranked_nor_known() -> None:
    seen = []

    def classify(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return by_the_square(images)

    image, heat = planted()
    inside = central_square(image.shape, 8)
    outside = np.ones(image.shape, dtype=bool)
    outside[inside] = False
    image[outside] = 255
    heat[outside] = 1.0
    fill = np.full((SIZE, SIZE), 50, np.uint8)
    found = faithfulness(classify, image, heat, 1, fill=fill, seed=0, fractions=(0.25,), crop=8)
    # The square of 16 is a quarter of the 64 pixels that are read.
    assert inside == (slice(4, 12), slice(4, 12))
    assert found.deletion_curve == pytest.approx((50 / 255,))
    assert found.insertion_curve == (1.0,)
    for changed in (seen[0][0], *seen[0][2:]):
        assert (changed[outside] == 255).all()
    # The square lies in the corner of what is read: the white beyond it does not get in.
    assert found.road_most_relevant[0] < 0.02


def test_of_the_baseline_image_a_network_reads_nothing() -> None:
    model = marker(size=40, crop=32)
    mean = model.mean_image
    mean += 0.3 * (torch.arange(40) / 40 - 0.5)
    fill = baseline_image(model)
    assert fill.shape == (40, 40)
    assert fill.dtype == np.uint8
    assert model.normalise(fill[None]).abs().max() <= 0.5 / 255 + 1e-6
    assert model.normalise(fill[None]).abs().max() > 0.3 / 255  # rounded, not cut off


@pytest.mark.parametrize("name", ["triple", "covnet"])
def test_every_kind_of_network_can_be_asked(name: str) -> None:
    frames = 3 if name == "covnet" else 0
    toy = marker(size=48, crop=40, frames=frames, method=name)
    model = Model(toy.card, frozen(name), toy.mean_image)
    images = np.random.default_rng(0).integers(0, 256, (2, *[frames] * (frames > 0), 48, 48), dtype=np.uint8)
    found = classify_and_explain(model, images)
    probabilities, maps = found.probabilities, found.heat
    classify = classifier(model, batch=1)
    np.testing.assert_allclose(classify(images), probabilities, atol=1e-6)
    fill = baseline_image(model)
    found = faithfulness(classify, images[0], maps[0], 1, fill=fill, seed=0, fractions=(0.5,), crop=40)
    assert found.unchanged == pytest.approx(probabilities[0, 1], abs=1e-6)
    assert all(0 < value < 1 for value in (*found.deletion_curve, *found.road_most_relevant))


def test_a_network_that_reads_the_lungs_is_given_them() -> None:
    given = []
    model = marker(size=32, crop=32, frames=2)
    model.network.channels = 2
    lungs = np.random.default_rng(0).integers(0, 2, (2, 32, 32), dtype=np.uint8)
    model.network.register_forward_pre_hook(lambda _module, arguments: given.append(arguments[0]))
    classifier(model, lungs=lungs, batch=2)(np.zeros((3, 2, 32, 32), np.uint8))
    assert [tuple(images.shape) for images in given] == [(2, 2, 2, 32, 32), (1, 2, 2, 32, 32)]
    np.testing.assert_array_equal(given[0][1, 1].numpy(), lungs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": np.zeros((SIZE, SIZE))}, "not uint8"),
        ({"image": np.zeros(SIZE, np.uint8)}, r"not uint8 \(H, W\)"),
        ({"heat": np.zeros((SIZE, SIZE + 1))}, "not of one shape"),
        ({"heat": np.full((SIZE, SIZE), np.nan)}, "not finite"),
        ({"fill": np.zeros((SIZE, SIZE))}, "baseline image is float64"),
        ({"fill": np.zeros((SIZE, 3), np.uint8)}, "baseline image"),
        ({"fractions": (0.5, 1.0)}, "fractions"),
        ({"fractions": (0.001,)}, "fractions"),
        ({"fractions": (0.01,), "crop": 4}, "fractions"),
        ({"fractions": ()}, "fractions"),
        ({"crop": 17}, "square of 17"),
        ({"target": 2}, "class 2 is explained of 2"),
        ({"classify": lambda images: by_the_square(images)[:1]}, "have probabilities"),
    ],
)
def test_what_cannot_be_scored_is_refused(changes: dict, said: str) -> None:
    image, heat = planted()
    given = {"classify": by_the_square, "image": image, "heat": heat, "target": 1, "fill": BLACK, "seed": 0} | changes
    with pytest.raises(BadInput, match=said):
        faithfulness(**given)


def test_an_answer_that_is_no_number_is_refused() -> None:
    image, heat = planted()
    with pytest.raises(BadModel, match="not finite"):
        faithfulness(lambda images: np.full((len(images), 2), np.nan), image, heat, 1, fill=BLACK, seed=0)


def test_a_thousand_scores_and_maps_leave_no_hook_and_no_memory_behind() -> None:
    model = planted_model(TinyGradCam)
    image = patients(1)[0]
    classify, fill = classifier(model), baseline_image(model)

    def once(seed: int) -> None:
        heat = heat_maps(model, image[None])[0]
        faithfulness(classify, image, heat, 1, fill=fill, seed=seed, fractions=(0.2,))

    for seed in range(50):
        once(seed)
    gc.collect()
    resident, objects = resident_bytes(), len(gc.get_objects())
    for seed in range(900):
        once(seed)
    tracemalloc.start()  # sees every byte, and is slow
    once(0)
    before = tracemalloc.get_traced_memory()[0]
    for seed in range(100):
        once(seed)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
    assert len(gc.get_objects()) - objects < 500
    assert resident_bytes() - resident < 20 << 20
    for module in model.network.modules():
        assert not (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def resident_bytes() -> int:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0
