"""Averages of the weights along a training, which often generalise better than the last ones.

``ema`` follows the weights step by step with an exponential memory; ``swa`` is the plain mean over the last epochs.
Batch norm's running statistics are averaged with them, so that no further pass over the data is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["none", "ema", "swa"]


@dataclass
class Average:
    """The average so far; it begins as the first weights that it sees."""

    kind: Kind
    decay: float = 0.999
    """of the exponential memory, a step"""
    first_epoch: int = 0
    """of the plain mean"""
    seen: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def after_step(self, network: nn.Module) -> None:
        """Let the exponential average follow."""
        if self.kind == "ema":
            # Young averages forget faster, so that the random first weights do not stay in them.
            self._move(network, 1 - min(self.decay, (1 + self.seen) / (10 + self.seen)))

    def after_epoch(self, network: nn.Module, epoch: int) -> None:
        """Let the plain mean take in an epoch's weights, once it is their turn."""
        if self.kind == "swa" and epoch >= self.first_epoch:
            self._move(network, 1 / (1 + self.seen))

    def begun(self) -> bool:
        """Whether there is an average yet."""
        return bool(self.tensors)

    def load(self, seen: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on from an earlier state."""
        self.seen, self.tensors = seen, dict(tensors)

    @torch.no_grad()
    def _move(self, network: nn.Module, share: float) -> None:
        state = network.state_dict()
        self.seen += 1
        if not self.tensors:
            self.tensors = {name: value.detach().clone() for name, value in state.items()}
            return
        floats = [name for name, value in state.items() if value.is_floating_point()]
        counts = [name for name, value in state.items() if not value.is_floating_point()]
        # One call for all of them: on a GPU their number costs more than their size.
        torch._foreach_lerp_([self.tensors[name] for name in floats], [state[name] for name in floats], share)
        if counts:
            torch._foreach_copy_([self.tensors[name] for name in counts], [state[name] for name in counts])
