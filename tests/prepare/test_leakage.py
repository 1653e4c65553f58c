"""Near-duplicates across the sides of a fold are found; different patients are not mistaken for them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from triplenet.cohort.folds import FOLDS, Fold
from triplenet.prepare.leakage import twins


def images(count, size=128):
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(count, size, size)), (0, 8, 8))
    return ((smooth / np.abs(smooth).max() + 1) * 100).astype(np.uint8)


def folds(train, test):
    return [Fold(number, tuple(train), (), tuple(test)) for number in FOLDS]


ALTERED = {
    "equal": lambda image: image,
    "brighter": lambda image: np.clip(image * 1.15 + 8, 0, 255).astype(np.uint8),
    "noisy": lambda image: np.clip(image + np.random.default_rng(1).normal(0, 8, image.shape), 0, 255).astype(np.uint8),
    "moved": lambda image: np.roll(image, 1, axis=1),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_copy_is_found(how):
    stack = images(5)
    stack[4] = ALTERED[how](stack[1])
    (twin,) = twins("abcde", stack, folds("abcd", "e"))
    assert (twin.first, twin.second, twin.folds) == ("b", "e", (1, 2, 3))


def test_a_copy_on_the_same_side_is_no_leak():
    stack = images(5)
    stack[2] = stack[1]
    assert twins("abcde", stack, folds("abcd", "e")) == []


def test_different_and_flat_images_are_not_twins():
    stack = images(6)
    stack[4:] = 7
    assert twins("abcdef", stack, folds("abe", "cdf")) == []
