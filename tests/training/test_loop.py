import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from triplenet.model import normalise
from triplenet.training.arrays import BatchIndex, DeviceArray
from triplenet.training.data import FoldData, Subset
from triplenet.training.distributed import ALONE
from triplenet.training.loop import EVALUATION_BATCH, evaluate, learning_rate, samples
from triplenet.training.recipe import TrainingRecipe, load_recipe
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


def views_of(settings=()):
    """Two views of three patients, as a step of Double Net's training sees them; grey 50, 100 and 150."""
    recipe = load_recipe("quick", method="double", settings=["augmentation.crop=32", *settings])
    images = torch.arange(50, 151, 50, dtype=torch.uint8).view(3, 1, 1).repeat(1, 40, 40)
    images[:, 5:15, 8:30] = 200
    train = Subset(("a", "b", "c"), DeviceArray(images), torch.tensor([0, 1, -1]))
    data = FoldData(train, train, train, torch.zeros(40, 40))
    positions = BatchIndex.of([2, 0, 1], torch.device("cpu"))
    return samples(data, positions, 3, recipe, 2, torch.Generator().manual_seed(0), ALONE)


def test_a_step_sees_all_first_views_before_all_second_ones():
    seen, labels = views_of(["augmentation.brightness=0"])
    assert seen.images.shape == (6, 1, 32, 32)
    assert labels.tolist() == [-1, 0, 1, -1, 0, 1]
    for row, grey in enumerate((150, 50, 100, 150, 50, 100)):
        assert (seen.images[row] * 255 - grey).abs().min() < 0.01


def test_the_two_views_of_a_patient_are_drawn_apart():
    seen, _ = views_of()
    first, second = seen.images[:3], seen.images[3:]
    assert all(not torch.equal(one, other) for one, other in zip(first, second, strict=True))
