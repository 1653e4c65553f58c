"""OutOfFoldPredictions of made-up methods for tests: three folds, as many seeds as asked for."""

import numpy as np
from scipy.special import softmax

from triplenet.evaluation.delong import area_covariance, difference_from_variance
from triplenet.evaluation.predictions import RunPredictions


def runs_of(skill, *, seeds=(0,), classes=2, per_fold=60, partition="test", noise=0):
    """The runs of a method; ``skill`` is how far the true class's logit stands out, ``noise`` tells methods apart."""
    found = []
    for fold in (1, 2, 3):
        shared = np.random.default_rng([fold, classes, partition == "test"])
        labels = shared.permutation(np.arange(per_fold) % classes)
        base = shared.normal(size=(per_fold, classes))
        for seed in seeds:
            rng = np.random.default_rng([fold, seed, noise, partition == "test"])
            logits = base + 0.7 * rng.normal(size=base.shape) + skill * np.eye(classes)[labels]
            names = tuple(f"{partition}{fold}-{row}" for row in range(per_fold))
            found.append(RunPredictions(fold, seed, names, labels, softmax(logits, axis=1)))
    return found


def auc_difference(truth, first, second, **options):
    """The AUC of one score minus that of another on the same patients, by DeLong's test."""
    areas, covariance = area_covariance(truth, np.stack([first, second]).astype(float), **options)
    contrast = np.array([1.0, -1.0])
    return difference_from_variance(float(contrast @ areas), float(contrast @ covariance @ contrast))
