"""Everything that changes during a training, and its way to disk and back without losing a bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from pydantic import JsonValue
from torch import Generator, Tensor

from triplenet.errors import BadRun
from triplenet.model import value_fault
from triplenet.networks.base import Network
from triplenet.training.average import Average
from triplenet.training.checkpoint import Checkpoint

NETWORK, BEST, AVERAGE, OPTIMISER = "network.", "best.", "average.", "optimiser."
RANDOM = "random"
_FORMER_NAMES = {"balance": "contrastive_weight"}
"""Of an epoch's values, in states that earlier versions kept"""


@dataclass(frozen=True)
class Epoch:
    """One line of ``history.csv``."""

    epoch: int
    """counted from 0"""
    seconds: float
    learning_rate: float
    contrastive_weight: float | None
    """lambda of the curriculum; None for a method without a contrastive term"""
    losses: dict[str, float]
    """Each term before its weight, and ``total``, what was minimised; means over the steps."""
    training_accuracy: float
    """of the augmented images, while the weights were changing"""
    validation_loss: float
    """cross-entropy"""
    validation_accuracy: float
    validation_auc: float | None
    """None where it is not defined"""
    best: bool
    """Its weights are those to keep so far."""

    def columns(self) -> dict[str, object]:
        """Flat, in the order of the file."""
        row = asdict(self)
        losses = row.pop("losses")
        columns: dict[str, object] = {}
        for name, value in row.items():
            columns["lambda" if name == "contrastive_weight" else name] = value
            if name == "contrastive_weight":
                columns |= {f"loss_{term}": loss for term, loss in losses.items()}
        return columns

    @classmethod
    def of_columns(cls, row: Mapping[str, float | None]) -> Epoch:
        """The epoch of a line of the file, as ``Run.history`` reads it."""
        plain = {("contrastive_weight" if name == "lambda" else name): value for name, value in row.items()}
        losses = {name.removeprefix("loss_"): plain.pop(name) for name in list(plain) if name.startswith("loss_")}
        known = {"epoch": int(plain["epoch"] or 0), "best": bool(plain["best"])}
        return cls(**{**plain, **known, "losses": losses})  # type: ignore[arg-type]  # numbers, as they were written


@dataclass
class Best:
    """The weights to keep so far."""

    epoch: int
    score: float
    weights: dict[str, Tensor]


@dataclass
class State:
    """Everything that changes during a training; with the recipe and the data it decides what follows."""

    network: Network
    optimiser: torch.optim.Optimizer
    generator: Generator
    """of the order, and of the augmentation; torch's own, which dropout draws from, is seeded anew each epoch"""
    average: Average
    done: int = 0
    """epochs"""
    schedule_from: int = 0
    """The epoch at which lambda and the learning rate began, after ``--restart-schedule`` not the first one"""
    best: Best | None = None
    history: list[Epoch] = field(default_factory=list)


def capture(state: State) -> tuple[dict[str, Tensor], dict[str, JsonValue]]:
    """The state between two epochs as tensors and plain values."""
    tensors = {NETWORK + name: value for name, value in state.network.state_dict().items()}
    if state.best is not None:
        tensors |= {BEST + name: value for name, value in state.best.weights.items()}
    tensors |= {AVERAGE + name: value for name, value in state.average.tensors.items()}
    for index, values in state.optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{key}": value for key, value in values.items()}
    tensors[RANDOM] = state.generator.get_state()
    plain: dict[str, JsonValue] = {
        "done": state.done,
        "schedule_from": state.schedule_from,
        "best": None if state.best is None else {"epoch": state.best.epoch, "score": state.best.score},
        "averaged": state.average.seen,
        "history": [asdict(epoch) for epoch in state.history],
    }
    return tensors, plain


def restore(state: State, checkpoint: Checkpoint) -> None:
    """Make a freshly built state the one that was captured, random generators included.

    :raises BadRun: the checkpoint's weights are not this network's, or no training can give them
    """
    try:
        fault = _weights_fault(state.network, checkpoint.tensors)
        if fault is None:
            _restore(state, checkpoint)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        fault = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if fault is not None:
        raise BadRun(f"the kept state cannot be gone on from ({fault})", do="train anew into another folder")


def _weights_fault(network: Network, tensors: Mapping[str, Tensor]) -> str | None:
    """What is wrong with weights of a checkpoint, as of a model file; None if nothing is."""
    own = network.state_dict()
    for prefix in (NETWORK, BEST, AVERAGE):
        given = _below(prefix, tensors)
        network.rename(given)
        for name, value in given.items():
            if name not in own or own[name].shape != value.shape:
                return f"{prefix}{name} is not of this network"
        fault = value_fault({prefix + name: value.numpy() for name, value in given.items()})
        if fault is not None:
            return fault
    return None


def _restore(state: State, checkpoint: Checkpoint) -> None:
    plain: dict[str, Any] = checkpoint.state
    state.network.load_state_dict(_below(NETWORK, checkpoint.tensors))
    state.optimiser.load_state_dict(
        {
            "state": _optimiser_state(state.optimiser, checkpoint.tensors),
            "param_groups": state.optimiser.state_dict()["param_groups"],
        }
    )
    state.generator.set_state(checkpoint.tensors[RANDOM])
    device = state.generator.device
    own, stored = state.network.state_dict(), _below(AVERAGE, checkpoint.tensors)
    state.network.rename(stored)
    averaged = {name: torch.empty_like(own[name]).copy_(value) for name, value in stored.items()}
    state.average.load(plain["averaged"], averaged)
    state.done, state.schedule_from = plain["done"], plain["schedule_from"]
    state.history = [
        Epoch(**{_FORMER_NAMES.get(name, name): value for name, value in epoch.items()}) for epoch in plain["history"]
    ]
    if plain["best"] is not None:
        weights = {name: value.to(device) for name, value in _below(BEST, checkpoint.tensors).items()}
        state.best = Best(plain["best"]["epoch"], plain["best"]["score"], weights)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimiser_state(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    values: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(OPTIMISER, tensors).items():
        number, _, key = name.partition(".")
        parameter = parameters[int(number)]
        # Laid out in memory as its parameter is: another layout takes other vector instructions, which may round
        # differently.
        moment = key != "step" and value.shape == parameter.shape
        laid_out = torch.empty_like(parameter, requires_grad=False).copy_(value) if moment else value
        values.setdefault(int(number), {})[key] = laid_out
    return values
