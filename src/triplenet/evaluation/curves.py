"""ROC curves: of one run, of all folds' test patients together, and the mean of the folds' curves with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.statistics import Labels

GRID: Floats = np.linspace(0, 1, 201)


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic: points from (0, 0) to (1, 1)."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    thresholds: tuple[float, ...]

    @property
    def area(self) -> float:
        """AUC, by trapezoids."""
        return float(np.trapezoid(self.true_positive_rate, self.false_positive_rate))


@dataclass(frozen=True)
class MeanRoc:
    """Mean of several curves at the same false positive rates, (G,) each."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    """The mean"""
    spread: Floats
    """Population spread (ddof 0) over the curves"""
    area: float
    """Mean of the curves' areas, as a table has it; the mean curve's own differs by what the grid rounds off"""
    area_spread: float
    """Population spread (ddof 0)"""
    curves: int


def roc_curve(truth: npt.ArrayLike, scores: npt.ArrayLike) -> Roc | None:
    """The ROC of a score; None without a positive or a negative.

    :param truth: (N,) whether positive
    :param scores: (N,) the higher the more positive. Scores of several folds may be put together (a pooled curve), but
        they come of different networks, and what one calls 0.7 another may call 0.6: the pooled curve then lies below
        the folds'.
    """
    from sklearn.metrics import roc_curve as points

    true = np.asarray(truth).astype(bool)
    if true.all() or not true.any():
        return None
    found = points(true, np.asarray(scores, dtype=np.float64), drop_intermediate=False)
    return Roc(*(tuple(float(value) for value in values) for values in found))


def mean_curve(curves: Sequence[Roc | None], grid: Floats = GRID) -> MeanRoc | None:
    """Vertical mean of curves (of folds, or of classes); those not defined are left out, None if all are."""
    defined = [curve for curve in curves if curve is not None]
    if not defined:
        return None
    heights = []
    for curve in defined:
        height = np.interp(grid, curve.false_positive_rate, curve.true_positive_rate)  # the upper end where it rises
        heights.append(np.where(grid == 0, 0.0, height))
    areas = np.array([curve.area for curve in defined])
    return MeanRoc(grid, np.mean(heights, 0), np.std(heights, 0), float(areas.mean()), float(areas.std()), len(defined))


def one_against_rest(labels: Labels, probabilities: Floats) -> tuple[Roc | None, ...]:
    """The ROC of each class against the rest; None for a class nobody has.

    :param probabilities: (N, C)
    """
    return tuple(roc_curve(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1]))
