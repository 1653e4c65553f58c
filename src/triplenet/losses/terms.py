"""The terms that an objective may have, by name; other packages bring more as entry points ``triplenet.losses``.

A term is called as ``term(outputs, targets, objective)``, and reads its options and the processes that share the batch
from the objective. It compares patients as it likes: the batch that it is given is whole, whatever a step computes at
once. Of several processes each gives a value whose mean over them is that of the whole batch (``shared_batch``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triplenet.errors import BadInput
from triplenet.losses.classification import cross_entropy
from triplenet.losses.contrastive import contrastive
from triplenet.losses.dice import dice
from triplenet.losses.reconstruction import reconstruction
from triplenet.losses.targets import Targets
from triplenet.plugins import Registry

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from typing import Protocol

    from triplenet.losses.joint_objective import Objective

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

    Term = Callable[[NetworkOutputs, Targets, Objective], Tensor]


def _classification(outputs: NetworkOutputs, targets: Targets, objective: Objective) -> Tensor:
    return _cross_entropy(outputs.logits, targets, objective)


def _branch(outputs: NetworkOutputs, targets: Targets, objective: Objective) -> Tensor:
    terms = [_cross_entropy(logits, targets, objective) for logits in outputs.branch_logits]
    return torch.stack(terms).sum() if terms else outputs.logits.new_zeros(())


def _contrastive(outputs: NetworkOutputs, targets: Targets, objective: Objective) -> Tensor:
    options, processes = objective.options.contrastive, objective.processes
    embeddings, own = processes.gather(_given(outputs.embedding, "embedding"))
    labels, _ = processes.gather(targets.labels)
    # Each process adds up its own anchors; `sum` must then count them all, as `mean` does by its divisor.
    share = processes.count if objective.options.reduction == "sum" else 1
    return share * contrastive(
        embeddings,
        labels,
        denominator=options.denominator,
        temperature=options.temperature,
        reduction=objective.options.reduction,
        anchors=own,
    )


def _segmentation(outputs: NetworkOutputs, targets: Targets, objective: Objective) -> Tensor:
    options = objective.options.dice
    return dice(
        _given(outputs.segmentation, "segmentation"),
        targets.masks,
        factor=options.factor,
        smooth=options.smooth,
        over=options.over,
        processes=objective.processes,
    )


def _reconstruction(outputs: NetworkOutputs, targets: Targets, objective: Objective) -> Tensor:  # noqa: ARG001
    return reconstruction(_given(outputs.reconstruction, "reconstruction"), targets.images)


def _cross_entropy(logits: Tensor, targets: Targets, objective: Objective) -> Tensor:
    options = objective.options
    return cross_entropy(logits, targets.labels, options.reduction, objective.class_weights, objective.processes)


def _given(part: Tensor | None, name: str) -> Tensor:
    if part is None:
        raise BadInput(f"the objective has a term for the {name}, which the network does not give")
    return part


def _accept(value: object, _entry: EntryPoint) -> Term:
    if not callable(value):
        raise ValueError(f"a {type(value).__name__} cannot be called")
    term: Term = value
    return term


TERMS: Registry[Term] = Registry(
    "triplenet.losses",
    {
        "classification": _classification,
        "branch": _branch,
        "contrastive": _contrastive,
        "segmentation": _segmentation,
        "reconstruction": _reconstruction,
    },
    _accept,
)
