import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from triplenet.model import normalise
from triplenet.training.arrays import DeviceArray
from triplenet.training.data import Subset
from triplenet.training.loop import EVALUATION_BATCH, evaluate, learning_rate
from triplenet.training.recipe import TrainingRecipe
from triplenet.training.sampling import batches


@pytest.mark.parametrize(
    ("n", "batch", "drop_last", "lengths"),
    [
        (853, 32, True, [32] * 26),
        (853, 32, False, [32] * 26 + [21]),
        (64, 32, True, [32, 32]),
        (64, 32, False, [32, 32]),
        (5, 32, True, [5]),  # never an empty epoch
        (5, 32, False, [5]),
        (1, 1, True, [1]),
    ],
)
def test_an_epoch_is_cut_into_batches(n, batch, drop_last, lengths):
    positions = [list(range(n))[one] for one in batches(n, batch, drop_last)]
    assert [len(one) for one in positions] == lengths
    assert [row for one in positions for row in one] == list(range(sum(lengths)))


def test_the_learning_rate_is_constant_or_half_a_cosine():
    constant = TrainingRecipe(epochs=10, learning_rate=0.01)
    assert {learning_rate(constant, epoch) for epoch in range(10)} == {0.01}
    cosine = TrainingRecipe(epochs=10, learning_rate=0.01, schedule="cosine")
    rates = [learning_rate(cosine, epoch) for epoch in range(10)]
    assert rates[0] == 0.01
    assert rates[5] == pytest.approx(0.005)
    assert rates == sorted(rates, reverse=True)
    assert rates[9] > 0


def test_the_learning_rate_can_rise_first_and_then_fall_in_a_line():
    recipe = TrainingRecipe(epochs=6, learning_rate=0.01, schedule="linear", warmup_epochs=2)
    rates = [learning_rate(recipe, epoch) for epoch in range(6)]
    assert rates == pytest.approx([0.01 / 3, 0.02 / 3, 0.01, 0.0075, 0.005, 0.0025])


class Brightness(nn.Module):
    """The mean of an image as the score of class one."""

    classes = 2

    def forward(self, images):
        mean = images.mean((1, 2, 3))
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(mean), mean], 1))


def test_evaluation_gives_each_patients_probabilities_and_the_cross_entropy():
    n = EVALUATION_BATCH + 3
    images = torch.randint(0, 256, (n, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % 2
    mean_image = torch.full((8, 8), 0.5)
    network = Brightness().train()
    probabilities, loss = evaluate(network, Subset(("",) * n, DeviceArray(images), labels), mean_image, 6)
    score = normalise(images, mean_image, 6).mean((1, 2, 3)).double()
    expected = torch.stack([1 / (1 + score.exp()), score.exp() / (1 + score.exp())], 1)
    torch.testing.assert_close(torch.from_numpy(probabilities).double(), expected, atol=1e-6, rtol=0)
    assert loss == pytest.approx(-sum(math.log(expected[i, labels[i]]) for i in range(n)) / n, abs=1e-6)
    assert not network.training
