"""One batch over several processes: sums and rows of all of them, with their gradients.

A loss written with these gives each process a value whose mean over the processes is the loss of the whole batch.
Since data-parallel training averages the gradients too, training on k processes is training on one with all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True)
class Processes:
    """The processes that share a batch, each with as many rows as the others; by default this one alone."""

    group: ProcessGroup | None = None

    @property
    def count(self) -> int:
        return 1 if self.group is None else torch.distributed.get_world_size(self.group)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, the same in all of them; a gradient flows back to every one."""
        if self.group is None:
            return tensor
        total: Tensor = _Sum.apply(tensor, self.group)  # type: ignore[no-untyped-call]
        return total

    def gather(self, rows: Tensor) -> tuple[Tensor, slice]:
        """The rows of all processes in the order of their ranks, and where this one's are."""
        if self.group is None:
            return rows, slice(None)
        start = torch.distributed.get_rank(self.group) * len(rows)
        own = slice(start, start + len(rows))
        # Adding up rows that are zero elsewhere gathers them, and has the gradient that is wanted.
        padded = rows.new_zeros(self.count * len(rows), *rows.shape[1:])
        padded[own] = rows
        return self.sum(padded), own


ALONE = Processes()


class _Sum(torch.autograd.Function):
    """All-reduce whose backward is one too: what one process has, the loss of every process has."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return _all_reduced(tensor, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _all_reduced(gradients[0], ctx.group), None


def _all_reduced(tensor: Tensor, group: ProcessGroup) -> Tensor:
    total = tensor.contiguous().clone()
    torch.distributed.all_reduce(total, group=group)
    return total
