"""Which patients an epoch sees, in which order, in which batches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from triplenet.losses.targets import NO_LABEL

Sampler = Literal["shuffle", "balanced"]


def order(labels: Tensor, sampler: Sampler, generator: Generator) -> list[int]:
    """The patients of an epoch, as many as there are.

    ``shuffle`` takes each one once. ``balanced`` draws with replacement, so that every class comes equally often;
    patients without a finding keep their share.

    :param labels: (N,) int64 class of each patient, -1 without a finding
    """
    count, device = len(labels), generator.device
    if sampler == "shuffle":
        drawn = torch.randperm(count, generator=generator, device=device)
    else:
        # By hand, as torch's own draw of a GPU differs each time.
        edges = _balance(labels).double().cumsum(0)
        uniform = torch.rand(count, generator=generator, device=device).cpu().double()
        drawn = torch.searchsorted(edges, uniform * edges[-1], right=True).clamp_max(count - 1)
    positions: list[int] = drawn.tolist()
    return positions


def _balance(labels: Tensor) -> Tensor:
    """(N,) how likely each patient is drawn, relative to the others."""
    labels = labels.cpu()
    known = labels != NO_LABEL
    counts = torch.bincount(labels[known])  # (C,)
    each = known.sum() / (counts > 0).sum() / counts.clamp_min(1)
    return torch.where(known, each[labels.clamp_min(0)], 1.0)


def batches(n: int, batch: int, drop_last: bool, processes: int = 1) -> list[slice]:
    """The positions of each batch of an epoch; never none at all.

    :param processes: that share each batch equally; a short batch leaves out what cannot be shared
    """
    whole = [slice(start, start + batch) for start in range(0, n - batch + 1, batch)]
    if not whole or (not drop_last and n % batch):
        start = len(whole) * batch
        rest = (n - start) // processes * processes
        whole += [slice(start, start + rest)] if rest or not whole else []
    return whole
