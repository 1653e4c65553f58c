"""What a confusion matrix says: the textbook's metrics, and the columns of the paper's tables as they were computed.

A matrix is (C, C) counts, rows truth, columns prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int64]
NAN = float("nan")


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; NaN where a ratio is not defined."""

    precision: float
    """TP / (TP + FP)"""
    sensitivity: float
    """TP / (TP + FN), recall"""
    specificity: float
    """TN / (TN + FP)"""
    npv: float
    """TN / (TN + FN)"""
    f: float
    """2 TP / (2 TP + FP + FN)"""
    support: int
    """Patients truly of the class"""


@dataclass(frozen=True)
class Metrics:
    """The textbook's metrics of a matrix."""

    accuracy: float
    target: ClassMetrics | None
    """Of the class asked for: the positive one of a binary task"""
    per_class: tuple[ClassMetrics, ...]
    macro: ClassMetrics
    """Mean over the classes that have patients, of what is defined"""
    weighted: ClassMetrics
    """The same weighted by support"""
    micro: ClassMetrics
    """Of the summed counts"""

    @property
    def balanced_accuracy(self) -> float:
        """Mean sensitivity over the classes that have patients."""
        return self.macro.sensitivity


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Matrix:
    """(C, C) counts, rows truth, columns prediction; patients with label -1 do not count."""
    truth, guess = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    known = truth >= 0
    matrix = np.bincount(truth[known] * classes + guess[known], minlength=classes * classes)
    return matrix.reshape(classes, classes).astype(np.int64)


def standard(matrix: npt.ArrayLike, target: int | None = None) -> Metrics:
    """Textbook metrics, with ``target`` (the positive class) against the rest in front.

    :param matrix: (C, C) counts, rows truth, columns prediction
    """
    counts = np.asarray(matrix, dtype=np.int64)
    total = int(counts.sum())
    each = [_one(*_against_rest(counts, c)) for c in range(len(counts))]
    present = [one for one in each if one.support]
    sums = np.sum([_against_rest(counts, c) for c in range(len(counts))], axis=0)
    return Metrics(
        accuracy=_ratio(int(np.trace(counts)), total),
        target=None if target is None else each[target],
        per_class=tuple(each),
        macro=_mean(present, [1.0] * len(present), total),
        weighted=_mean(present, [float(one.support) for one in present], total),
        micro=_one(*(int(n) for n in sums)),
    )


@dataclass(frozen=True)
class PaperColumns:
    """The columns of Tables 2 and 3 under the headings they have there, as fractions."""

    accuracy: float
    precision: float
    sensitivity: float
    specificity: float
    f: float


def paper_columns(matrix: npt.ArrayLike, positive: int = 1) -> PaperColumns:
    """What the paper's tables print for this matrix.

    Two classes (Table 2): the negative class as the target, and the matrix read the other way round, so that
    "Precision" is the specificity, "Sensitivity" the negative predictive value, "Specificity" the precision and "F" the
    negatives' F. More classes (Table 3): macro recall, macro precision, the mean accuracy among the predictions of the
    other classes, macro F; a class that is absent or never predicted counts as 0 in all of them.

    :param matrix: (C, C) counts, rows truth, columns prediction
    :param positive: the positive class of a binary matrix
    """
    counts = np.asarray(matrix, dtype=np.int64)
    total, right = int(counts.sum()), int(np.trace(counts))
    predicted, true = counts.sum(axis=0), counts.sum(axis=1)
    rows = []
    for c in range(len(counts)):
        if len(counts) == 2 and c == positive:
            continue
        hit = int(counts[c, c])
        if predicted[c] == 0 or true[c] == 0:
            rows.append((0.0, 0.0, 0.0, 0.0))
            continue
        recall, precision = hit / int(true[c]), hit / int(predicted[c])
        others = _ratio(right - hit, total - int(predicted[c]))
        f = 2 * hit / int(true[c] + predicted[c])
        rows.append((recall, precision, 0.0 if np.isnan(others) else others, f))
    columns = np.mean(rows, axis=0)
    return PaperColumns(_ratio(right, total), *(float(value) for value in columns))


def _against_rest(counts: Matrix, c: int) -> tuple[int, int, int, int]:
    """TP, FN, FP, TN of class ``c``."""
    hit = int(counts[c, c])
    missed, false = int(counts[c].sum()) - hit, int(counts[:, c].sum()) - hit
    return hit, missed, false, int(counts.sum()) - hit - missed - false


def _one(tp: int, fn: int, fp: int, tn: int) -> ClassMetrics:
    return ClassMetrics(
        precision=_ratio(tp, tp + fp),
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        npv=_ratio(tn, tn + fn),
        f=_ratio(2 * tp, 2 * tp + fp + fn),
        support=tp + fn,
    )


def _mean(each: Sequence[ClassMetrics], weights: Sequence[float], total: int) -> ClassMetrics:
    def mean(name: str) -> float:
        pairs = [(getattr(one, name), weight) for one, weight in zip(each, weights, strict=True)]
        defined = [(value, weight) for value, weight in pairs if not np.isnan(value)]
        return _ratio(sum(v * w for v, w in defined), sum(w for _, w in defined))

    return ClassMetrics(
        precision=mean("precision"),
        sensitivity=mean("sensitivity"),
        specificity=mean("specificity"),
        npv=mean("npv"),
        f=mean("f"),
        support=total,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else NAN
