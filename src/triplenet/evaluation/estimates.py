"""All metrics of one set of patients, each with the interval that suits it."""

from __future__ import annotations

import numpy as np

from triplenet.evaluation.delong import auc_interval
from triplenet.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    Groups,
    believable,
    bootstrap,
    mean_of_two,
    wilson,
)
from triplenet.evaluation.metrics import confusion
from triplenet.evaluation.statistics import Floats, Labels, statistics_of


def estimates(
    labels: Labels,
    predicted: Labels,
    probabilities: Floats,
    *,
    positive: int | None = None,
    groups: Groups | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Metrics with intervals over patients, under the names of ``statistics``.

    Proportions have Wilson's interval where every patient stands alone, the AUC of a binary task DeLong's on the logit
    scale, everything else the bootstrap's. Patients with label -1 do not count.

    :param labels: (N,) true classes
    :param predicted: (N,) classes
    :param probabilities: (N, C)
    :param positive: the target of a binary task; None: means over the classes
    :param groups: (N,) patients of one group are not independent; None is a group of its own
    """
    known = np.flatnonzero(labels >= 0)
    labels, predicted, probabilities = labels[known], predicted[known], probabilities[known]
    groups = None if groups is None else [groups[row] for row in known.tolist()]
    statistics = statistics_of(labels, predicted, probabilities, positive)
    if not len(known):
        return {name: Estimate(np.nan, np.nan, np.nan) for name in statistics(np.ones((1, 0)))}
    found = bootstrap(len(labels), statistics, groups=groups, level=level, resamples=resamples, seed=seed)
    matrix = confusion(labels, predicted, probabilities.shape[1])
    if groups is None:
        found["accuracy"] = wilson(int(np.trace(matrix)), len(labels), level=level)
    found = {name: believable(one) for name, one in found.items()}
    if positive is None:
        return found
    truth = labels == positive
    found["auc"] = auc_interval(truth, probabilities[:, positive], groups=groups, level=level)
    if groups is None:
        called = predicted == positive
        for name, right, whole in (
            ("sensitivity", truth & called, truth),
            ("specificity", ~truth & ~called, ~truth),
            ("precision", truth & called, called),
            ("npv", ~truth & ~called, ~called),
        ):
            found[name] = wilson(int(right.sum()), int(whole.sum()), level=level)
    if np.isnan(found["balanced_accuracy"].low):
        found["balanced_accuracy"] = mean_of_two(found["sensitivity"], found["specificity"])
    return found
