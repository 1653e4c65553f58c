import numpy as np
import pytest
import torch

from toy_explained import SIZE, Planted, ShowsTheImage, patients, planted
from toy_model import marker
from toy_networks import fresh, frozen
from triplenet.errors import BadInput
from triplenet.explanation import heat_maps, randomisation
from triplenet.explanation.randomisation import (
    ChanceLevel,
    Stage,
    chance_level,
    complexity,
    complexity_rise,
    passed,
    predicted,
    randomise_parameters,
    randomised,
    smoothed_maps,
)
from triplenet.explanation.similarity import MapSimilarity, similarity
from triplenet.model import Model

ORDERS = ("top-down", "bottom-up")


@pytest.mark.parametrize("frames", [0, 2])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("copies", [0, 3])
def test_a_map_of_what_was_learned_passes_and_the_image_as_a_map_does_not(order: str, frames: int, copies: int) -> None:
    images, ones = patients(5, frames=frames), np.ones(5, dtype=np.int64)
    verdicts = {}
    for kind in (Planted, ShowsTheImage):
        model = planted(kind, frames=frames)
        stages = randomise_parameters(model, images, order=order, seed=0, copies=copies)
        chance = chance_level(smoothed_maps(model, images, ones, seed=0, copies=copies), seed=0)
        verdicts[kind] = passed(stages, chance)
        if kind is ShowsTheImage:
            assert all(stage.similarity.ssim == pytest.approx(1.0) for stage in stages)
            assert all(stage.similarity.spearman == pytest.approx(1.0) for stage in stages)
    assert verdicts == {Planted: True, ShowsTheImage: False}


def test_stages_are_made_random_from_the_end_that_was_asked_for_and_end_alike() -> None:
    images = patients(3)
    down, up = (randomise_parameters(planted(), images, order=order, seed=0) for order in ORDERS)
    assert [stage.name for stage in down] == ["fc", "encoder"]
    assert [stage.name for stage in up] == ["encoder", "fc"]
    assert down[-1].similarity == up[-1].similarity
    assert down[0].similarity != down[1].similarity
    assert up[0].similarity != up[1].similarity
    # By hand: the first stage of each, and both.
    trained = heat_maps(planted(), images, np.ones(3, dtype=np.int64))
    every = randomised(planted(), images, seed=0)
    for stage, part in ((down[0], "fc"), (up[0], "encoder"), (down[1], "")):
        model = planted()
        model.network.get_submodule(part).load_state_dict(every.network.get_submodule(part).state_dict())
        maps = heat_maps(model, images, np.ones(3, dtype=np.int64))
        pairs = [similarity(one, other) for one, other in zip(trained, maps, strict=True)]
        assert stage.similarity.ssim == pytest.approx(np.mean([pair.ssim for pair in pairs]))
        assert stage.similarity.pairs == 3


def test_the_seed_decides_and_the_size_of_a_batch_does_not() -> None:
    images = patients(3)
    first, again, other = (
        randomise_parameters(planted(), images, order="top-down", seed=seed, copies=2, batch=batch)
        for seed, batch in ((0, 32), (0, 2), (1, 32))
    )
    for one, two in zip(first, again, strict=True):
        assert one.similarity.ssim == pytest.approx(two.similarity.ssim, abs=1e-5)
    assert first != other


def test_the_model_stays_as_it_was_and_the_class_explained_is_the_one_it_predicts() -> None:
    model, images = planted(), patients(3)
    images[1] = 0
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    generator = torch.get_rng_state()
    asked = model.network.targets
    assert predicted(model, images).tolist() == [1, 0, 1]
    asked.clear()
    randomise_parameters(model, images, order="bottom-up", seed=0, batch=2)
    complexity_rise(model, images, seed=0)
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.network.modules())
    explained = [target for target in asked if target is not None]
    assert explained == [[1, 0], [1], [1, 0, 1]]


def test_the_class_explained_stays_while_the_network_is_made_random(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    original = randomisation.classify_and_explain_crop

    def noted(model, images, target=None, lungs=None):
        given.append((model, None if target is None else target.tolist()))
        return original(model, images, target, lungs)

    monkeypatch.setattr(randomisation, "classify_and_explain_crop", noted)
    images = patients(2)
    images[0] = 0
    model = planted()
    randomise_parameters(model, images, order="top-down", seed=0)
    of_the_copy = [target for asked, target in given if asked is not model]
    assert of_the_copy == [None, [0, 1], [0, 1]]  # the first finds out the order of the modules


def test_smoothed_maps_are_means_over_noisy_copies() -> None:
    model, images, ones = planted(), patients(2), np.ones(2, dtype=np.int64)
    rng = np.random.default_rng(7)
    noisy = [np.clip(np.rint(images + rng.normal(0, 40, images.shape)), 0, 255).astype(np.uint8) for _ in range(3)]
    expected = np.mean([heat_maps(model, one, ones) for one in noisy], axis=0)
    found = smoothed_maps(model, images, ones, seed=7, copies=3, noise=40)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    plain = heat_maps(model, images, ones)
    assert np.abs(found - plain).max() > 0.01
    np.testing.assert_array_equal(smoothed_maps(model, images, ones, seed=7, copies=0), plain)


def test_the_complexity_of_a_map_is_the_entropy_of_its_histogram() -> None:
    assert complexity(np.full((10, 10), 0.4)) == 0.0
    assert complexity(np.repeat([0.1, 0.3], 50)) == pytest.approx(np.log(2))
    assert complexity(np.repeat([0.1, 0.3, 0.3, 0.3], 5)) == pytest.approx(0.25 * np.log(4) + 0.75 * np.log(4 / 3))
    assert complexity(np.arange(400) / 1000) == pytest.approx(np.log(100))  # a hundred bins over its own range


def test_the_complexity_rises_as_the_network_is_made_random() -> None:
    model, images, ones = planted(), patients(3), np.ones(3, dtype=np.int64)
    found = complexity_rise(model, images, seed=0)
    before = np.array([complexity(heat) for heat in heat_maps(model, images, ones)])
    after = np.array([complexity(heat) for heat in heat_maps(randomised(model, images, seed=0), images, ones)])
    assert (found.before, found.after) == (pytest.approx(before.mean()), pytest.approx(after.mean()))
    assert found.rise == pytest.approx(np.mean((after - before) / before))
    assert found.rise > 0.5
    assert found.images == 3


def test_a_map_that_was_constant_has_no_rise() -> None:
    images = patients(3)
    images[0] = 0  # class 0, for which the square says nothing
    assert complexity_rise(planted(), images, seed=0).images == 2
    assert complexity_rise(planted(), images[:1], seed=0).rise is None


def test_the_chance_level_is_the_95th_percentile_over_pairs_of_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(0).random((5, 16, 16))
    pairs = [similarity(maps[one], maps[other]) for one in range(5) for other in range(one + 1, 5)]
    found = chance_level(maps, seed=0)
    assert found.pairs == 10
    assert found.ssim == pytest.approx(np.percentile([pair.ssim for pair in pairs], 95))
    assert found.spearman == pytest.approx(np.percentile([pair.spearman for pair in pairs], 95))
    monkeypatch.setattr(randomisation, "MOST_PAIRS", 4)
    some = [chance_level(maps, seed=seed) for seed in (0, 0, 1)]
    assert some[0].pairs == 4
    assert some[0] == some[1] != some[2]
    monkeypatch.setattr(randomisation, "MOST_PAIRS", 9)  # all but one, and none of them twice
    without_one = [
        np.percentile([pair.ssim for pair in pairs[:left] + pairs[left + 1 :]], 95) for left in range(len(pairs))
    ]
    assert all(np.isclose(chance_level(maps, seed=seed).ssim, without_one).any() for seed in range(5))
    assert chance_level(np.zeros((2, 16, 16)), seed=0).spearman is None
    with pytest.raises(BadInput, match="two patients"):
        chance_level(maps[:1], seed=0)


@pytest.mark.parametrize(
    ("ssim", "spearman", "chance", "verdict"),
    [
        (0.4, 0.1, 0.2, True),
        (0.5, 0.1, 0.2, False),
        (0.4, 0.2, 0.2, False),
        (0.4, None, 0.2, True),
        (0.6, None, 0.2, False),
        (0.4, 0.9, None, True),
    ],
)
def test_a_map_passes_below_chance_in_both_measures(ssim, spearman, chance, verdict) -> None:
    early = Stage("fc", MapSimilarity(1.0, 1.0))
    last = Stage("encoder", MapSimilarity(ssim, spearman))
    assert passed([early, last], ChanceLevel(0.5, chance, 10)) is verdict


def test_of_triple_nets_map_the_heads_say_nothing_and_the_decoder_does() -> None:
    toy = marker(size=SIZE, crop=SIZE)
    model = Model(toy.card, frozen("triple"), toy.mean_image)
    stages = randomise_parameters(model, patients(2), order="top-down", seed=0)
    assert [stage.name for stage in stages][:3] == ["contrast_head", "class_head", "decoder"]
    assert [stage.similarity.ssim for stage in stages][:2] == pytest.approx([1.0, 1.0])
    assert stages[2].similarity.ssim < 0.99


def test_a_network_of_volumes_and_lungs_is_made_random_too() -> None:
    card = marker(size=SIZE, crop=SIZE, frames=3, method="decovnet").card
    network = fresh("decovnet", lung_mask=True, grids=((2, 4, 4), (2, 2, 2), (1, 1, 1))).eval()
    model = Model(card, network, torch.full((SIZE, SIZE), 0.5))
    images = patients(2, frames=3)
    found = [
        randomise_parameters(model, images, order="bottom-up", seed=0, lungs=lungs, batch=1)
        for lungs in (np.ones_like(images), np.zeros_like(images))
    ]
    assert [stage.name for stage in found[0]] == ["encoder.0", "encoder.4", "encoder.6", "head", "fc"]
    assert found[0] != found[1]
    assert complexity_rise(model, images, seed=0, lungs=np.ones_like(images)).after >= 0


def test_what_cannot_be_made_random_is_refused() -> None:
    with pytest.raises(BadInput, match="no parameters"):
        randomise_parameters(marker(size=SIZE, crop=SIZE), patients(2), order="top-down", seed=0)
    with pytest.raises(BadInput, match="not \\(N, H, W\\)"):
        randomise_parameters(planted(), patients(2)[0], order="top-down", seed=0)
    with pytest.raises(BadInput, match="one or more"):
        randomise_parameters(planted(), patients(2)[:0], order="top-down", seed=0)
