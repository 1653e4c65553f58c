"""The two numbers that weights are chosen by. NumPy only, scikit-learn when called."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def accuracy(labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
    """Share of patients whose predicted class is theirs; NaN without patients."""
    return float(np.mean(labels == predicted)) if len(labels) else math.nan


def auc(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating]) -> float:
    """Area under the ROC curve: of class 1 for two classes, else the mean of each class against the rest.

    :param labels: (N,)
    :param probabilities: (N, C)
    :returns: NaN when a class has no patients or all of them
    """
    from sklearn.metrics import roc_auc_score

    classes = probabilities.shape[1]
    columns = (1,) if classes == 2 else range(classes)
    areas = []
    for column in columns:
        truth = labels == column
        if not 0 < truth.sum() < len(truth):
            return math.nan
        areas.append(float(roc_auc_score(truth, probabilities[:, column])))
    return float(np.mean(areas))
