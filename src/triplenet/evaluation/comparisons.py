"""Methods of a benchmark against a reference on the same test patients.

What is compared is what the tables show: means over the folds of means over their seeds. The tests hold the trained
networks fixed; how much another training would differ is the seeds' spread to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from triplenet.evaluation.delong import difference_from_variance
from triplenet.evaluation.estimation import contrast_of_aucs, groups_of, on_kept
from triplenet.evaluation.intervals import LEVEL, RESAMPLES, Difference, paired_bootstrap
from triplenet.evaluation.paired_tests import holm, mcnemar
from triplenet.evaluation.predictions import OutOfFoldPredictions
from triplenet.evaluation.statistics import Labels

Test = Literal["DeLong", "McNemar", "bootstrap"]
#: Compared unless told otherwise; ``auc`` of a task with several classes by the bootstrap.
COMPARED = ("accuracy", "auc", "f1")
LOWER_IS_BETTER = frozenset({"brier"})


@dataclass(frozen=True)
class Comparison:
    """One method against the reference in one metric."""

    method: str
    reference: str
    metric: str
    difference: Difference
    """Method minus reference, with its own (uncorrected) interval and p"""
    adjusted: float
    """p after Holm over all that are compared in this metric"""
    test: Test
    """Where p comes from: DeLong's test; McNemar's, the interval then being the bootstrap's; the paired bootstrap"""
    folds: int
    """In which both have a run"""
    patients: int

    def verdict(self, level: float = 0.05) -> Literal["better", "worse"] | None:
        """Whether the method is significantly better or worse after the correction."""
        if not self.adjusted < level or self.difference.value == 0:
            return None
        return "better" if (self.difference.value > 0) != (self.metric in LOWER_IS_BETTER) else "worse"


def compare(
    predictions: Mapping[str, OutOfFoldPredictions],
    against: str | Sequence[tuple[str, str]],
    *,
    positive: int | None,
    metrics: Sequence[str] = COMPARED,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Every other method against the reference, or the first of each pair against the second.

    The AUC of a binary task by DeLong's test, fold by fold; accuracy, sensitivity and specificity by McNemar's, of all
    patients, the positive and the negative ones, where there is one seed and every patient stands alone; everything
    else by the paired bootstrap. Methods are compared in the folds that both have a run in. Holm's correction is over
    the pairs, for each metric by itself.

    :param predictions: of ``predictions.join``: the same patients for all
    :param against: the reference, or the pairs
    :param metrics: names of ``statistics``
    """
    pairs = [(method, against) for method in predictions if method != against] if isinstance(against, str) else against
    rows = []
    for method, reference in pairs:
        first, second = predictions[method], predictions[reference]
        folds = [fold for fold in first.fold_numbers if first.complete(fold) and second.complete(fold)]
        kept = np.flatnonzero(np.isin(first.folds, folds))
        found = _differences(first, second, folds, kept, positive, level, resamples, seed) if folds else {}
        for metric in metrics:
            difference, test = found.get(metric, (Difference(np.nan, np.nan, np.nan, np.nan), "bootstrap"))
            rows.append(Comparison(method, reference, metric, difference, np.nan, test, len(folds), len(kept)))
    adjusted: dict[int, float] = {}
    for metric in metrics:
        members = [number for number, row in enumerate(rows) if row.metric == metric]
        adjusted |= dict(zip(members, holm([rows[number].difference.p for number in members]), strict=True))
    return tuple(replace(row, adjusted=adjusted[number]) for number, row in enumerate(rows))


def _differences(
    first: OutOfFoldPredictions,
    second: OutOfFoldPredictions,
    folds: Sequence[int],
    kept: Labels,
    positive: int | None,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, tuple[Difference, Test]]:
    drawn = paired_bootstrap(
        len(kept),
        on_kept(first, positive, folds, kept),
        on_kept(second, positive, folds, kept),
        groups=groups_of(first, kept),
        folds=first.folds[kept],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    found: dict[str, tuple[Difference, Test]] = {name: (one, "bootstrap") for name, one in drawn.items()}
    if positive is not None:
        value, variance = contrast_of_aucs([first, second], [1.0, -1.0], folds, positive)
        found["auc"] = difference_from_variance(value, variance, level=level), "DeLong"
    if len(first.seeds) == 1 and first.groups is None:
        whom = {"accuracy": kept}
        if positive is not None:
            truth = first.labels[kept] == positive
            whom |= {"sensitivity": kept[truth], "specificity": kept[~truth]}
        for name, rows in whom.items():
            p = mcnemar(first.labels[rows], first.predicted(0, rows), second.predicted(0, rows)).p
            found[name] = replace(drawn[name], p=p), "McNemar"
    return found
