import pytest
import torch
from torch import nn

from triplenet.training.average import Average


def network(value, batches=0):
    made = nn.BatchNorm1d(1)
    for tensor in made.state_dict().values():
        tensor.copy_(torch.tensor(value if tensor.is_floating_point() else batches))
    return made


def test_the_plain_mean_begins_at_its_epoch():
    average = Average("swa", first_epoch=2)
    for epoch, value in enumerate((100.0, 200.0, 1.0, 2.0, 6.0)):
        average.after_step(network(value))
        average.after_epoch(network(value, batches=epoch), epoch)
    assert {name: float(value) for name, value in average.tensors.items()} == pytest.approx(
        {"weight": 3.0, "bias": 3.0, "running_mean": 3.0, "running_var": 3.0, "num_batches_tracked": 4}
    )


def test_the_exponential_average_forgets_faster_while_it_is_young():
    average = Average("ema", decay=0.5)
    values = [4.0, 8.0, 16.0, 0.0]
    for value in values:
        average.after_step(network(value))
    expected = values[0]
    for seen, value in enumerate(values[1:], start=1):
        decay = min(0.5, (1 + seen) / (10 + seen))
        expected = decay * expected + (1 - decay) * value
    assert float(average.tensors["weight"]) == pytest.approx(expected)


def test_without_an_average_nothing_is_kept():
    average = Average("none")
    average.after_step(network(1.0))
    average.after_epoch(network(1.0), 5)
    assert not average.begun()
