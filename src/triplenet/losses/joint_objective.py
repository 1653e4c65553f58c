"""The objective of a method: its terms, weighted and summed. Eqs. (4) and (6) for Double and Triple Net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triplenet.errors import BadMethod
from triplenet.losses.classification import counted
from triplenet.losses.curriculum import contrastive_weight
from triplenet.losses.loss_options import LossOptions
from triplenet.losses.shared_batch import ALONE, Processes
from triplenet.losses.targets import Targets
from triplenet.losses.terms import TERMS

if TYPE_CHECKING:
    from triplenet.losses.terms import NetworkOutputs


class Objective(nn.Module):
    """``objective(outputs, targets, progress)`` gives each weighted term by name, and ``total``, their sum.

    Nothing here waits for the device or branches on values, so that it can be compiled and captured. With class
    weights it holds a tensor: move it to the device.
    """

    class_weights: Tensor | None

    def __init__(self, terms: Sequence[str], options: LossOptions, processes: Processes = ALONE) -> None:
        """Find the terms.

        :raises BadMethod: one that neither triplenet nor an installed package has
        """
        super().__init__()
        for name in terms:
            if name not in TERMS:
                why = TERMS.refused.get(name, f"no installed package brings it as an entry point of {TERMS.group}")
                raise BadMethod(f"the loss term {name!r} cannot be used ({why})")
        self.processes = processes
        self.terms = tuple(terms)
        self.options = options
        weights = None if options.class_weights is None else torch.tensor(options.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, outputs: NetworkOutputs, targets: Targets, progress: float | Tensor) -> dict[str, Tensor]:
        """The terms as they enter the total; see ``raw`` and ``weights``."""
        weights = self.weights(progress)
        weighted: dict[str, Tensor] = {
            name: weights[name] * value for name, value in self.raw(outputs, targets).items()
        }
        return {**weighted, "total": torch.stack(list(weighted.values())).sum()}

    def contrastive_weight(self, progress: float | Tensor) -> float | Tensor:
        """Lambda at this progress (epoch / epochs, counted from 0)."""
        return contrastive_weight(progress, self.options.curriculum)

    def weights(self, progress: float | Tensor) -> dict[str, float | Tensor]:
        """The factor of each term: the recipe's, and with a contrastive term lambda and 1 - lambda."""
        factors: dict[str, float | Tensor] = {name: self.options.weights.of(name) for name in self.terms}
        if "contrastive" in factors:
            share = self.contrastive_weight(progress)
            factors["contrastive"] *= share
            factors["classification"] *= 1 - share
        return factors

    def raw(self, outputs: NetworkOutputs, targets: Targets) -> Mapping[str, Tensor]:
        """The terms without their weights, in the catalog's order."""
        return {name: TERMS[name](outputs, targets, self) for name in self.terms}

    @property
    def separable(self) -> bool:
        """Whether every term is a sum or mean over patients that knows nothing of the others."""
        return set(self.terms) <= {"classification", "branch"}

    def share(self, part: Tensor, labels: Tensor) -> Tensor | float:
        """The factor with which the terms of a part add up to those of the whole batch, for a separable objective.

        :param part: the labels of the part
        :param labels: the labels of all
        """
        if self.options.reduction == "sum":
            return 1.0
        whole = counted(labels, self.class_weights, self.processes)
        return counted(part, self.class_weights, self.processes) / torch.where(whole > 0, whole, 1)
