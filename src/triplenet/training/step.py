"""One optimisation step: forward, losses, backward, update; in one piece or in micro-batches.

A batch that does not fit in memory is computed a few patients at a time. Where the loss is a sum over patients each
part's gradient is added up as it comes. The contrastive and the batch-wide Dice term compare patients with each other:
there the parts' outputs are put together before the loss and each part's activations are computed a second time for
the backward pass. Either way the losses and the gradients are those of the whole batch; only batch norm sees a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from triplenet.losses.joint_objective import Objective
from triplenet.losses.targets import NO_LABEL, Targets
from triplenet.networks.base import Network, Outputs
from triplenet.training.distributed import ALONE, ProcessTeam

if TYPE_CHECKING:
    from triplenet.training.step_graph import StepGraph

Precision = Literal["fp32", "bf16"]
Weights = Mapping[str, "float | Tensor"]


@dataclass(frozen=True)
class Measured:
    """What a step says of its batch; tensors on the device, sums over this process's rows where they are counts."""

    losses: dict[str, Tensor]
    """each term before its weight, and ``total``"""
    correct: Tensor
    labelled: Tensor

    def clone(self) -> Measured:
        """The same in memory of its own."""
        losses = {name: value.clone() for name, value in self.losses.items()}
        return Measured(losses, self.correct.clone(), self.labelled.clone())

    def copy_(self, other: Measured) -> None:
        """Take over the values of another one of the same terms."""
        for name, value in self.losses.items():
            value.copy_(other.losses[name])
        self.correct.copy_(other.correct)
        self.labelled.copy_(other.labelled)

    def scaled(self, share: float | Tensor) -> Measured:
        """With the losses as a part's share of a whole batch's; the total has it already."""
        losses = {name: value if name == "total" else share * value for name, value in self.losses.items()}
        return Measured(losses, self.correct, self.labelled)

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            {name: value + other.losses[name] for name, value in self.losses.items()},
            self.correct + other.correct,
            self.labelled + other.labelled,
        )


class Step:
    """``step(images, targets, weights)`` changes the network once and measures."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        *,
        micro_rows: int = 0,
        precision: Precision = "fp32",
        compiled: bool = False,
        graph: StepGraph | None = None,
        team: ProcessTeam = ALONE,
    ) -> None:
        """Take hold of what a step changes.

        :param micro_rows: rows computed at once; 0 for all
        :param precision: of the network's forward and backward pass; losses and weights are float32 always
        :param graph: by which a training loop is to record and play back steps
        """
        self.network = network
        self.objective = objective
        self.optimiser = optimiser
        self.micro_rows = micro_rows
        self.precision = precision
        self.team = team
        self.graph = graph
        self._own: nn.Module = network
        device = next(network.parameters()).device
        if compiled:
            # On a GPU this also records the kernels of a pass once and plays them back (CUDA graphs). Not so where a
            # step has several passes: the next one would overwrite the gradients of the one before. Nor where the whole
            # step is recorded.
            mode = "reduce-overhead" if device.type == "cuda" and not micro_rows and graph is None else None
            self._own = torch.compile(network, mode=mode)  # type: ignore[assignment]  # of a module it makes a module
        self._shared: nn.Module = self._own
        if team.count > 1 and not micro_rows:
            self._shared = DistributedDataParallel(self._own, process_group=team.group, gradient_as_bucket_view=True)

    def __call__(self, images: Tensor, targets: Targets, weights: Weights) -> Measured:
        """Change the network once.

        :param images: (V*B, 1, H, W) or (V*B, C, T, H, W), all first views before all second ones
        :param weights: of each term, as ``Objective.weights`` gives them
        """
        self.optimiser.zero_grad(set_to_none=True)
        if not self.micro_rows or len(images) <= self.micro_rows:
            measured = self._whole(images, targets, weights)
        elif self.objective.separable:
            measured = self._accumulate(images, targets, weights)
        else:
            measured = self._recompute(images, targets, weights)
        if self._shared is self._own:
            self._average_gradients()
        self.optimiser.step()
        return measured

    def _whole(self, images: Tensor, targets: Targets, weights: Weights) -> Measured:
        with self._autocast():
            outputs = self._shared(images)
        return self._backward(outputs, targets, weights)

    def _recompute(self, images: Tensor, targets: Targets, weights: Weights) -> Measured:
        """Forward part by part, keeping only the outputs; the backward pass computes each part once more."""

        def again() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), unmoved_statistics(self.network)

        parts = []
        for rows in torch.split(images, self.micro_rows):
            with self._autocast():
                parts.append(checkpoint(self._own, rows, use_reentrant=False, context_fn=again))
        return self._backward(joined(parts), targets, weights)

    def _accumulate(self, images: Tensor, targets: Targets, weights: Weights) -> Measured:
        """Forward and backward part by part; each part's mean counts as much as it has patients with a label."""
        measured: Measured | None = None
        for start in range(0, len(images), self.micro_rows):
            rows = slice(start, start + self.micro_rows)
            part = Targets(targets.labels[rows], None, targets.images[rows])
            share = self.objective.share(part.labels, targets.labels)
            with self._autocast():
                outputs = self._own(images[rows])
            one = self._backward(outputs, part, {name: share * value for name, value in weights.items()}).scaled(share)
            measured = one if measured is None else measured + one
        assert measured is not None  # a batch has rows
        return measured

    def _backward(self, outputs: Outputs, targets: Targets, weights: Weights) -> Measured:
        terms = self.objective.raw(outputs, targets)
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return Measured(
            {name: value.detach() for name, value in (*terms.items(), ("total", total))},
            (outputs.logits.detach().argmax(1) == targets.labels).sum(),
            (targets.labels != NO_LABEL).sum(),
        )

    def _average_gradients(self) -> None:
        """What DistributedDataParallel does, after a backward pass in several pieces."""
        if self.team.count == 1:
            return
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        flat = self.team.total(torch.cat([gradient.flatten() for gradient in gradients])) / self.team.count
        for gradient, part in zip(gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _autocast(self) -> torch.autocast:
        device = next(self.network.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


def joined(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of consecutive rows as those of one batch."""
    together: dict[str, Tensor] = {
        name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()
    }
    branches = zip(*(part.branch_logits for part in parts), strict=True)
    return Outputs(**together, branch_logits=tuple(torch.cat(branch) for branch in branches), score_maps=())


@contextmanager
def unmoved_statistics(network: nn.Module) -> Iterator[None]:
    """Leave the running averages of batch norm as they are: a part that is computed twice counts once."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
