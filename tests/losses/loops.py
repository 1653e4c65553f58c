"""The losses written out, one pair and one pixel at a time, for comparison."""

from __future__ import annotations

import math

from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, reduction: str, class_weights: list[float] | None = None) -> float:
    total, norm = 0.0, 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label < 0:
            continue
        weight = 1.0 if class_weights is None else class_weights[label]
        total -= weight * math.log(math.exp(row[label]) / sum(math.exp(value) for value in row))
        norm += weight
    return total if reduction == "sum" else total / norm if norm else 0.0


def contrastive(
    embeddings: Tensor,
    labels: Tensor,
    denominator: str,
    temperature: float,
    reduction: str,
    anchors: range | None = None,
) -> float:
    z, t = embeddings.tolist(), labels.tolist()

    def s(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(z[i], z[j], strict=True)) / temperature

    terms = []
    for i in anchors or range(len(z)):
        positives = [j for j in range(len(z)) if j != i and t[j] == t[i] and t[i] >= 0]
        compared = [
            k for k in range(len(z)) if k != i and t[i] >= 0 and t[k] >= 0 and (denominator == "all" or t[k] != t[i])
        ]
        if not positives or not compared:
            continue
        below = sum(math.exp(s(i, k)) for k in compared)
        terms.append(-sum(math.log(math.exp(s(i, j)) / below) for j in positives) / len(positives))
    if reduction == "sum":
        return sum(terms)
    return sum(terms) / len(terms) if terms else 0.0


def dice(logits: Tensor, masks: Tensor, factor: int, smooth: float, over: str) -> float:
    batch, classes, height, width = logits.shape
    groups = [list(range(batch))] if over == "batch" else [[image] for image in range(batch)]
    losses = []
    for group in groups:
        labelled = [
            (b, y, x) for b in group for y in range(height) for x in range(width) if masks[b, y, x].item() != 255
        ]
        if not labelled:
            continue
        loss = 0.0
        for c in range(classes):
            both, squares = 0.0, 0.0
            for b, y, x in labelled:
                values = [math.exp(value) for value in logits[b, :, y, x].tolist()]
                p, q = values[c] / sum(values), float(masks[b, y, x].item() == c)
                both += p * q
                squares += p * p + q * q
            loss += 1 - (factor * both + smooth) / (squares + smooth)
        losses.append(loss / classes)
    return sum(losses) / len(losses) if losses else 0.0
