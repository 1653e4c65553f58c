"""Adam: where its learning rate lies, and what a change of it does."""

import pytest
import torch
from torch import nn

from triplenet.training.optimiser import make_optimiser, set_learning_rate
from triplenet.training.recipe import TrainingRecipe


def test_the_recipe_sets_rate_and_decay():
    recipe = TrainingRecipe(learning_rate=0.25, weight_decay=0.5)
    optimiser = make_optimiser(nn.Linear(2, 1), recipe, torch.device("cpu"))
    (group,) = optimiser.param_groups
    assert (group["lr"], group["weight_decay"], group["fused"], group["capturable"]) == (0.25, 0.5, False, False)
    assert len(group["params"]) == 2


@pytest.mark.parametrize(("recorded", "kind"), [(False, float), (True, torch.Tensor)])
def test_on_a_gpu_it_is_one_kernel_and_a_recorded_rate_lies_there(monkeypatch, recorded, kind):
    asked = {}
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, **options: asked.update(options))
    recipe = TrainingRecipe(learning_rate=0.25, cuda_graph=recorded)
    there = torch.tensor(0.25, device="meta")
    monkeypatch.setattr(torch, "tensor", lambda value, device: there if value == 0.25 else None)
    make_optimiser(nn.Linear(2, 1), recipe, torch.device("cuda"))
    assert asked["fused"] and asked["capturable"] == recorded
    assert isinstance(asked["lr"], kind)


def test_a_rate_changes_where_it_lies():
    parameter = nn.Parameter(torch.zeros(()))
    plain, told = torch.optim.SGD([parameter], lr=1.0), torch.optim.SGD([parameter], lr=torch.tensor(1.0))
    there = told.param_groups[0]["lr"]
    for optimiser in (plain, told):
        set_learning_rate(optimiser, 0.5)
    assert plain.param_groups[0]["lr"] == 0.5
    assert told.param_groups[0]["lr"] is there and there.item() == 0.5
