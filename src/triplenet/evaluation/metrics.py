"""What a confusion matrix says: the textbook's metrics, and the columns of the paper's tables as they were computed.

A matrix is (C, C) counts, rows truth, columns prediction. One rule for ratios without a value: what nobody was called
although somebody should have been counts as 0 (the precision of a class that is never predicted, the NPV of a network
that calls everybody positive); what no patient could show is not defined (NaN: sensitivity and AUC of a class without
patients, specificity where there is nobody else), and means leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NAN = float("nan")
RATES = ("sensitivity", "specificity", "precision", "npv", "f1")


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; NaN where a ratio is not defined."""

    precision: float
    """TP / (TP + FP); 0 for a class that has patients and is never predicted"""
    sensitivity: float
    """TP / (TP + FN), recall"""
    specificity: float
    """TN / (TN + FP)"""
    npv: float
    """TN / (TN + FN); 0 where everybody is called so although not everybody is"""
    f1: float
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
    """Mean over the classes that have patients"""
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


def against_rest(matrices: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """TP, FN, FP, TN of each class against the rest, each (..., C), of matrices (..., C, C)."""
    tp = np.diagonal(matrices, axis1=-2, axis2=-1)
    fn, fp = matrices.sum(-1) - tp, matrices.sum(-2) - tp
    return tp, fn, fp, matrices.sum((-2, -1))[..., None] - tp - fn - fp


def rates(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> dict[str, Floats]:
    """Sensitivity, specificity, precision, npv and f1 of counts of any one shape, by the module's rule."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "precision": np.where((tp + fp == 0) & (fn > 0), 0.0, tp / (tp + fp)),
            "npv": np.where((tn + fn == 0) & (fp > 0), 0.0, tn / (tn + fn)),
            "f1": 2 * tp / (2 * tp + fp + fn),
        }


def mean_over_classes(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over the last axis of (..., C), leaving out what is not defined; NaN if nothing is."""
    counted = np.where(np.isnan(values), 0.0, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = (np.where(np.isnan(values), 0.0, values) * counted).sum(-1) / counted.sum(-1)
    return mean


def textbook_metrics(matrix: npt.ArrayLike, target: int | None = None) -> Metrics:
    """Textbook metrics, with ``target`` (the positive class) against the rest in front.

    :param matrix: (C, C) counts, rows truth, columns prediction
    """
    counts = np.asarray(matrix, dtype=np.float64)
    total = int(counts.sum())
    cells = against_rest(counts)
    each = rates(*cells)
    support = counts.sum(1)
    per_class = tuple(
        ClassMetrics(**{name: float(values[c]) for name, values in each.items()}, support=int(support[c]))
        for c in range(len(counts))
    )

    def mean(weights: Floats) -> ClassMetrics:
        means = {name: float(mean_over_classes(values, weights)) for name, values in each.items()}
        return ClassMetrics(**means, support=total)

    summed = rates(*(np.asarray(cell.sum()) for cell in cells))
    return Metrics(
        accuracy=_ratio(float(np.trace(counts)), total),
        target=None if target is None else per_class[target],
        per_class=per_class,
        macro=mean((support > 0).astype(np.float64)),
        weighted=mean(support),
        micro=ClassMetrics(**{name: float(value) for name, value in summed.items()}, support=total),
    )


@dataclass(frozen=True)
class PaperColumns:
    """The columns of Tables 2 and 3 under the headings they have there, as fractions."""

    accuracy: float
    precision: float
    sensitivity: float
    specificity: float
    f1: float


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
        f1 = 2 * hit / int(true[c] + predicted[c])
        rows.append((recall, precision, 0.0 if np.isnan(others) else others, f1))
    columns = np.mean(rows, axis=0)
    return PaperColumns(_ratio(right, total), *(float(value) for value in columns))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else NAN
