"""Adam as a training uses it, and its learning rate."""

from __future__ import annotations

import torch
from torch import nn

from triplenet.training.recipe import TrainingRecipe


def make_optimiser(network: nn.Module, recipe: TrainingRecipe, device: torch.device) -> torch.optim.Adam:
    """Adam over all of the network's parameters; on a GPU one kernel for all of them.

    Where steps are recorded, all that changes from step to step lies on the device, the learning rate too.
    """
    rate = recipe.learning_rate
    return torch.optim.Adam(
        network.parameters(),
        lr=torch.tensor(rate, device=device) if recipe.cuda_graph else rate,
        weight_decay=recipe.weight_decay,
        fused=device.type == "cuda",
        capturable=recipe.cuda_graph,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """From the next step on. A rate on the device stays where it is, since a recorded step reads it there."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
