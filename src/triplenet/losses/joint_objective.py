"""The objective of a method: its terms, weighted and summed. Eqs. (4) and (6) for Double and Triple Net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triplenet.catalog import Term
from triplenet.errors import BadInput
from triplenet.losses.classification import counted, cross_entropy
from triplenet.losses.contrastive import contrastive
from triplenet.losses.curriculum import contrastive_weight
from triplenet.losses.dice import dice
from triplenet.losses.loss_options import LossOptions
from triplenet.losses.reconstruction import reconstruction
from triplenet.losses.shared_batch import ALONE, Processes
from triplenet.losses.targets import Targets

if TYPE_CHECKING:
    from typing import Protocol

    class NetworkOutputs(Protocol):
        """What is read of a network's outputs."""

        @property
        def logits(self) -> Tensor: ...
        @property
        def embedding(self) -> Tensor | None: ...
        @property
        def segmentation(self) -> Tensor | None: ...
        @property
        def reconstruction(self) -> Tensor | None: ...
        @property
        def branch_logits(self) -> tuple[Tensor, ...]: ...


class Objective(nn.Module):
    """``objective(outputs, targets, progress)`` gives each weighted term by name, and ``total``, their sum.

    Nothing here waits for the device or branches on values, so that it can be compiled and captured. With class
    weights it holds a tensor: move it to the device.
    """

    class_weights: Tensor | None

    def __init__(self, terms: Sequence[Term], options: LossOptions, processes: Processes = ALONE) -> None:
        super().__init__()
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

    def weights(self, progress: float | Tensor) -> dict[Term, float | Tensor]:
        """The factor of each term: the recipe's, and with a contrastive term lambda and 1 - lambda."""
        factors: dict[Term, float | Tensor] = {name: getattr(self.options.weights, name) for name in self.terms}
        if "contrastive" in factors:
            share = self.contrastive_weight(progress)
            factors["contrastive"] *= share
            factors["classification"] *= 1 - share
        return factors

    def raw(self, outputs: NetworkOutputs, targets: Targets) -> Mapping[Term, Tensor]:
        """The terms without their weights, in the catalog's order."""
        return {name: getattr(self, f"_{name}")(outputs, targets) for name in self.terms}

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

    def _classification(self, outputs: NetworkOutputs, targets: Targets) -> Tensor:
        return self._cross_entropy(outputs.logits, targets)

    def _branch(self, outputs: NetworkOutputs, targets: Targets) -> Tensor:
        terms = [self._cross_entropy(logits, targets) for logits in outputs.branch_logits]
        return torch.stack(terms).sum() if terms else outputs.logits.new_zeros(())

    def _contrastive(self, outputs: NetworkOutputs, targets: Targets) -> Tensor:
        options = self.options.contrastive
        embeddings, own = self.processes.gather(_given(outputs.embedding, "embedding"))
        labels, _ = self.processes.gather(targets.labels)
        # Each process adds up its own anchors; `sum` must then count them all, as `mean` does by its divisor.
        share = self.processes.count if self.options.reduction == "sum" else 1
        return share * contrastive(
            embeddings,
            labels,
            denominator=options.denominator,
            temperature=options.temperature,
            reduction=self.options.reduction,
            anchors=own,
        )

    def _segmentation(self, outputs: NetworkOutputs, targets: Targets) -> Tensor:
        options = self.options.dice
        return dice(
            _given(outputs.segmentation, "segmentation"),
            targets.masks,
            factor=options.factor,
            smooth=options.smooth,
            over=options.over,
            processes=self.processes,
        )

    def _reconstruction(self, outputs: NetworkOutputs, targets: Targets) -> Tensor:
        return reconstruction(_given(outputs.reconstruction, "reconstruction"), targets.images)

    def _cross_entropy(self, logits: Tensor, targets: Targets) -> Tensor:
        return cross_entropy(logits, targets.labels, self.options.reduction, self.class_weights, self.processes)


def _given(part: Tensor | None, name: str) -> Tensor:
    if part is None:
        raise BadInput(f"the objective has a term for the {name}, which the network does not give")
    return part
