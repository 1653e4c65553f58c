import numpy as np
import pytest
import torch

from toy_model import marker
from triplenet import networks
from triplenet.explanation import heat_maps
from triplenet.explanation.maps import classify_and_explain
from triplenet.model import Model


@pytest.mark.parametrize("frames", [0, 3])
def test_what_is_marked_in_an_image_is_hot_at_the_same_pixels(frames: int) -> None:
    shape = (5, frames, 40, 40) if frames else (5, 40, 40)
    images = np.zeros(shape, dtype=np.uint8)
    marked = np.random.default_rng(0).random(shape) < 0.1
    images[marked] = 128  # half grey
    heat = heat_maps(marker(size=40, crop=32, frames=frames), images, batch=2)
    inside = np.zeros(shape, dtype=bool)
    inside[..., 4:36, 4:36] = True
    np.testing.assert_array_equal(heat > 0.5, marked & inside)
    assert (heat[~inside] == 0).all()


@pytest.mark.parametrize(("target", "value"), [(None, 0.25), (0, 0.25), (1, 0.5)])
def test_the_evidence_for_a_class_is_given_beside_the_heat_on_the_images_pixels(target, value) -> None:
    images = np.full((2, 40, 40), 64, dtype=np.uint8)  # lung everywhere: the first class
    found = classify_and_explain(marker(size=40, crop=32, evidence=True), images, target=target)
    assert found.heat.shape == found.class_heat.shape == images.shape and not found.heat.any()
    assert (found.class_heat[:, 4:36, 4:36] == value).all()
    assert found.class_heat.sum() == pytest.approx(2 * value * 32**2)
    assert classify_and_explain(marker(size=40, crop=32), images).class_heat is None


def test_the_size_of_a_batch_changes_nothing_and_a_target_is_explained_row_by_row() -> None:
    torch.manual_seed(0)
    model = Model(
        marker(size=64, crop=64, method="baseline").card, networks.build("baseline").eval(), torch.zeros(64, 64)
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    target = np.array([0, 1, 0])
    together = heat_maps(model, images, target)
    for row in range(3):
        alone = heat_maps(model, images[row : row + 1], target[row : row + 1], batch=1)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
    other = heat_maps(model, images, 1 - target)
    assert np.abs(other - together).max() > 1e-4
