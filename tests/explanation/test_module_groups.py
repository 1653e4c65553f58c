import numpy as np
import pytest
import torch
from torch import nn

from toy_networks import frozen, noise
from triplenet import catalog
from triplenet.explanation.module_groups import ModuleGroup, module_groups, reset_module

STAGES = ["encoder.layer1", "encoder.layer2", "encoder.layer3", "encoder.layer4"]
RESNET = ["encoder.conv1", *STAGES]
EXPECTED = {
    "resnet3d": [*RESNET, "fc"],
    "covnet": [*RESNET, "fc"],
    "decovnet": ["encoder.0", "encoder.4", "encoder.6", "head", "fc"],
    "baseline": [*RESNET, "fc"],
    "wsdl": [*RESNET, "scores"],
    "abn": [*RESNET[:4], "attention", "encoder.layer4", "fc"],  # the map weighs the fourth map
    "mtdl": [*RESNET, "classifier", "segmenter", "redrawer"],
    "double": [*RESNET, "class_head", "contrast_head"],
    "triple": [*RESNET, "decoder", "class_head", "contrast_head"],
    "triple-wsdl": [*RESNET, "decoder", "class_heads", "contrast_heads"],
}


@pytest.mark.parametrize("name", catalog.PAPERS_METHODS)
def test_every_methods_groups_run_from_the_input_to_the_output_and_hold_every_parameter(name: str) -> None:
    network = frozen(name)
    groups = module_groups(network, lambda: network.predict_and_explain(noise(name)))
    assert [group.name for group in groups] == EXPECTED[name]
    modules = [module for group in groups for module in group.modules]
    assert len(modules) == len(set(modules))
    held = {
        f"{module}.{parameter}"
        for module in modules
        for parameter, _ in network.get_submodule(module).named_parameters(recurse=False)
    }
    assert held == {parameter for parameter, _ in network.named_parameters()}
    assert not any(module._forward_pre_hooks for module in network.modules())


class Wrapper(nn.Module):
    """Children in another order than they run, a wrapped encoder, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2, elementwise_affine=False)
        self.head = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
        self.encoder = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.encoder(x)))


def test_the_order_is_that_of_running_and_a_wrapper_is_looked_into() -> None:
    network = Wrapper().eval()
    assert module_groups(network, lambda: network(torch.zeros(1, 2))) == (
        ModuleGroup("encoder.0.0", ("encoder.0.0", "encoder.0.1")),
        ModuleGroup("encoder.0.2", ("encoder.0.2", "norm")),
        ModuleGroup("head", ("head.0", "head.2")),
        ModuleGroup("unused", ("unused",)),
    )


def test_the_hooks_are_gone_when_the_network_fails() -> None:
    network = Wrapper().eval()
    with pytest.raises(RuntimeError):
        module_groups(network, lambda: network(torch.zeros(1, 3)))
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_module_is_made_random_by_its_own_rule_and_by_the_seed() -> None:
    network = Wrapper()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7.0)
    reset_module(network, "head.0", seed=1)
    drawn = network.head[0].weight.clone()
    assert (drawn.abs() <= 1 / np.sqrt(2)).all()  # uniform within 1 / sqrt(inputs), as torch makes a linear layer
    assert drawn.unique().numel() == 4
    assert (network.head[0].bias != 7).all()
    assert (network.head[2].weight == 7).all()
    reset_module(network, "head.2", seed=1)
    assert not torch.equal(network.head[2].weight, drawn)
    reset_module(network, "head.0", seed=2)
    assert not torch.equal(network.head[0].weight, drawn)
    torch.rand(3)
    reset_module(network, "head.0", seed=1)
    assert torch.equal(network.head[0].weight, drawn)


def test_drawing_leaves_the_callers_generator_alone() -> None:
    network = Wrapper()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    reset_module(network, "head.0", seed=5)
    assert torch.equal(torch.rand(1), expected)


def test_statistics_are_fresh_again() -> None:
    network = Wrapper().train()
    network(torch.rand(8, 2))
    norm = network.encoder[0][1]
    with torch.no_grad():
        norm.weight.fill_(3.0)
    reset_module(network, "encoder.0.1", seed=0)
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert norm.running_var.tolist() == [1.0, 1.0]
    assert norm.weight.tolist() == [1.0, 1.0]


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(50.0).reshape(5, 10))
        self.inside = nn.Linear(2, 2)


def test_values_without_a_rule_of_their_own_are_shuffled_and_what_lies_inside_is_not_touched() -> None:
    module = nn.Sequential(Scale())
    inside = module[0].inside.weight.clone()
    reset_module(module, "0", seed=0)
    assert sorted(module[0].scale.flatten().tolist()) == list(range(50))
    assert module[0].scale.flatten().tolist() != list(range(50))
    assert torch.equal(module[0].inside.weight, inside)
