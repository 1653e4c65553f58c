"""A batch computed in parts has the loss and the gradients that it has in one."""

import copy

import pytest
import torch
from torch import nn

from triplenet import losses, networks
from triplenet.losses.loss_options import LossOptions
from triplenet.losses.targets import Targets
from triplenet.networks.base import Outputs
from triplenet.training.step import Step, joined, unmoved_statistics


def batch(rows=6, size=32, frames=0):
    generator = torch.Generator().manual_seed(0)
    shape = (rows, 1, frames, size, size) if frames else (rows, 1, size, size)
    masks = torch.randint(0, 3, (rows, size, size), generator=generator).to(torch.uint8)
    masks[1] = 255
    images = torch.randn(shape, generator=generator)
    return images, Targets(torch.tensor([0, 1, -1, 1, 0, 0])[:rows], masks, images)


def fixed(name, **options):
    """A network whose batch norm does not look at the batch, which a part of it cannot see."""
    torch.manual_seed(0)
    network = networks.build(name, **options)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return network


def gradients(network, micro_rows, options=None, frames=0):
    network = copy.deepcopy(network)
    objective = losses.objective(network_name(network), options or LossOptions())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    images, targets = batch(frames=frames)
    measured = Step(network, objective, optimiser, micro_rows=micro_rows)(images, targets, objective.weights(0.3))
    return measured, {key: parameter.grad for key, parameter in network.named_parameters()}


def network_name(network):
    return type(network).__module__.rpartition(".")[2].replace("_", "-")


@pytest.mark.parametrize(
    ("name", "options", "frames"),
    [
        ("baseline", {}, 0),
        ("baseline", {"reduction": "sum"}, 0),
        ("abn", {"class_weights": (1.0, 3.0)}, 0),
        ("triple", {}, 0),
        ("triple", {"reduction": "sum", "dice": {"over": "image"}}, 0),
        ("mtdl", {}, 0),
        ("resnet3d", {}, 4),
    ],
)
@pytest.mark.parametrize("micro_rows", [2, 4])
def test_parts_add_up_to_the_whole(name, options, frames, micro_rows):
    more = {"dropout": 0.0} if name == "mtdl" else {}
    network = fixed(name, **more)
    chosen = LossOptions.model_validate(options)
    whole, wanted = gradients(network, 0, chosen, frames)
    parts, found = gradients(network, micro_rows, chosen, frames)
    for term, value in whole.losses.items():
        torch.testing.assert_close(parts.losses[term], value, rtol=1e-4, atol=1e-5, msg=term)
    assert (parts.correct, parts.labelled) == (whole.correct, whole.labelled)
    scale = max(gradient.abs().max() for gradient in wanted.values())
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-3, atol=1e-5 * float(scale), msg=key)


def test_a_part_that_is_computed_twice_moves_the_running_averages_once():
    torch.manual_seed(0)
    network = networks.build("triple").train()
    images, targets = batch()
    expected = copy.deepcopy(network)
    for rows in torch.split(images, 2):
        expected(rows)
    objective = losses.objective("triple")
    Step(network, objective, torch.optim.SGD(network.parameters(), lr=0.0), micro_rows=2)(
        images, targets, objective.weights(0.5)
    )
    for key, value in expected.state_dict().items():
        if "running" in key:
            torch.testing.assert_close(network.state_dict()[key], value)


def test_the_statistics_move_again_afterwards():
    norm = nn.BatchNorm2d(2)
    with unmoved_statistics(norm):
        norm(torch.full((2, 2, 2, 2), 5.0))
        assert not norm.running_mean.any()
    norm(torch.full((2, 2, 2, 2), 5.0))
    torch.testing.assert_close(norm.running_mean, torch.full((2,), 0.5))


def test_outputs_are_joined_part_by_part():
    one, two = (Outputs(torch.full((n, 2), float(n)), branch_logits=(torch.full((n, 2), -float(n)),)) for n in (1, 2))
    both = joined([one, two])
    assert both.logits[:, 0].tolist() == [1, 2, 2]
    assert both.branch_logits[0][:, 0].tolist() == [-1, -2, -2]
    assert both.embedding is None


def test_half_precision_leaves_weights_and_losses_in_full():
    torch.manual_seed(0)
    network = networks.build("triple").train()
    objective = losses.objective("triple")
    images, targets = batch()
    measured = Step(network, objective, torch.optim.Adam(network.parameters()), precision="bf16")(
        images, targets, objective.weights(0.5)
    )
    assert all(value.dtype == torch.float32 and value.isfinite() for value in measured.losses.values())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
