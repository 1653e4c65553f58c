import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from triplenet.model import normalise
from triplenet.training import loop
from triplenet.training.arrays import BatchIndex, DeviceArray
from triplenet.training.average import Average
from triplenet.training.data import FoldData, Subset
from triplenet.training.distributed import ALONE
from triplenet.training.loop import EVALUATION_BATCH, advance, evaluate, learning_rate
from triplenet.training.recipe import TrainingRecipe, load_recipe
from triplenet.training.sampling import batches
from triplenet.training.state import State
from triplenet.training.whole_step import WholeStep, step_input


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
    given = step_input(data, positions, 3, 2, torch.Generator().manual_seed(0))
    return WholeStep(None, data.mean_image, recipe.augmentation, 2).samples(given)


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


def kept_epoch(monkeypatch, accuracies, keep="best"):
    """Which epoch's weights are kept, of a training whose validation accuracies and weights are known."""
    network = nn.Linear(1, 1)
    state = State(network, torch.optim.SGD(network.parameters(), 0.1), torch.Generator(), Average("none"))
    validation = Subset(("a", "b", "c", "d"), DeviceArray(torch.zeros(4, 8, 8)), torch.tensor([0, 1, 0, 1]))
    data = FoldData(validation, validation, validation, torch.zeros(8, 8))
    step = SimpleNamespace(objective=SimpleNamespace(terms=("classification",)), team=ALONE)
    recipe = load_recipe("quick", method="baseline", settings=[f"training.keep={keep}"])

    def trained(state, *_):
        with torch.no_grad():
            network.weight.fill_(state.done)
        return {"total": 1.0}, 0.5

    def evaluated(*_):
        right = round(4 * accuracies[state.done])
        second = np.where(np.arange(4) < right, [0, 1, 0, 1], [1, 0, 1, 0]).astype(float)
        return np.stack([1 - second, second], 1), 1.0

    monkeypatch.setattr(loop, "_train", trained)
    monkeypatch.setattr(loop, "evaluate", evaluated)
    rows = [advance(state, data, step, recipe, 1) for _ in accuracies]
    assert state.best is not None and state.best.epoch == state.best.weights["weight"].item()
    assert rows[state.best.epoch].best and not any(row.best for row in rows[state.best.epoch + 1 :])
    return state.best.epoch


def test_the_kept_weights_are_those_of_the_first_epoch_with_the_best_score(monkeypatch):
    assert kept_epoch(monkeypatch, [0.5, 0.75, 0.25, 0.75]) == 1
    assert kept_epoch(monkeypatch, [0.25, 0.5, 0.75, 1.0]) == 3
    assert kept_epoch(monkeypatch, [0.5, 0.5]) == 0
    assert kept_epoch(monkeypatch, [0.5, 0.75, 0.25], keep="last") == 2
