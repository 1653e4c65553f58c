"""Cross-entropy over the patients that have a label: Eq. (1)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from triplenet.losses.precision import at_least_float32
from triplenet.losses.shared_batch import ALONE, Processes
from triplenet.losses.targets import NO_LABEL


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    reduction: Literal["mean", "sum"] = "mean",
    class_weights: Tensor | None = None,
    processes: Processes = ALONE,
) -> Tensor:
    """Eq. (1), and its mean; zero if no patient has a label.

    :param logits: (B, C)
    :param labels: (B,) int64; rows of -1 are left out
    :param class_weights: (C,) factor of each class; the mean is then the weighted one
    """
    logits = at_least_float32(logits)
    weights = None if class_weights is None else class_weights.to(logits.dtype)
    total = F.cross_entropy(logits, labels, weights, ignore_index=NO_LABEL, reduction="sum")
    total = total * processes.count
    if reduction == "sum":
        return total
    norm = counted(labels, weights, processes).to(logits.dtype)
    return total / torch.where(norm > 0, norm, 1)


def counted(labels: Tensor, class_weights: Tensor | None = None, processes: Processes = ALONE) -> Tensor:
    """What the mean is divided by: the patients with a label, or the sum of their weights; of all processes."""
    known = labels != NO_LABEL
    share = known.float() if class_weights is None else torch.where(known, class_weights[labels.clamp_min(0)], 0)
    return processes.sum(share.sum())
