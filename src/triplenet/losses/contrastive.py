"""The supervised contrastive loss, Eqs. (2) and (3).

Eq. (3) as printed compares a positive with the *negatives* only, which makes it a supervised form of decoupled
contrastive learning: it falls below zero when the classes separate. Khosla et al. (2020) compare with ``all`` others.
The paper's text fits neither (docs/methods.md#contrastive-loss).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from triplenet.losses.precision import at_least_float32, no_autocast
from triplenet.losses.targets import NO_LABEL


def contrastive(
    embeddings: Tensor,
    labels: Tensor,
    *,
    denominator: Literal["negatives", "all"] = "negatives",
    temperature: float = 0.07,
    reduction: Literal["mean", "sum"] = "mean",
    anchors: slice = slice(None),
) -> Tensor:
    """For each anchor i, the mean over its positives j of -log(exp(s_ij) / sum_k exp(s_ik)); s = z.z / temperature.

    The positives are the other rows of i's class. k runs over the rows of other classes (``negatives``, Eq. (3)) or
    over every row but i (``all``). An anchor without a positive, or without anything in the denominator, is left out;
    without any anchor the loss is zero.

    :param embeddings: (M, D) of length 1; both views of all patients, of all processes
    :param labels: (M,) int64; rows of -1 are neither anchors nor compared with
    :param anchors: the rows whose terms are added up: all, or this process's part of a gathered batch
    :param reduction: ``mean`` divides by the anchors that count, so that the mean of equal parts is that of the whole
    """
    z = at_least_float32(embeddings)
    with no_autocast(z):
        similarity = z[anchors] @ z.T / temperature  # (A, M)
    known = labels != NO_LABEL
    same = labels[:, None] == labels
    others = known[:, None] & known & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    positives = others & same  # (M, M)
    compared = others & ~same if denominator == "negatives" else others
    every = positives.any(1) & compared.any(1)  # (M,) the anchors that count, here and elsewhere

    positives, compared, counts = positives[anchors], compared[anchors], every[anchors]
    # Rows that do not count stay unmasked: the gradient of logsumexp over nothing is not a number.
    masked = similarity.masked_fill(~compared & counts[:, None], -torch.inf)
    log_probability = similarity - masked.logsumexp(1, keepdim=True)
    mean = torch.where(positives, log_probability, 0).sum(1) / positives.sum(1).clamp_min(1)
    total = -torch.where(counts, mean, 0).sum()
    if reduction == "sum":
        return total
    return total * (len(z) / len(similarity)) / every.sum().clamp_min(1)
