"""Methods of a benchmark against a reference on the same test patients, and intervals for each of them.

What is compared is what the tables show: means over the folds of means over their seeds. The tests hold the trained
networks fixed; how much another training would differ is the seeds' spread to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from triplenet.evaluation.answers import Answers
from triplenet.evaluation.delong import (
    area_covariance,
    auc_interval,
    difference_from_variance,
    interval_from_variance,
)
from triplenet.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Difference,
    Estimate,
    bootstrap,
    paired_bootstrap,
    wilson,
)
from triplenet.evaluation.paired_tests import holm, mcnemar
from triplenet.evaluation.statistics import Floats, Labels, Statistics

Test = Literal["DeLong", "McNemar", "bootstrap"]
#: Compared unless told otherwise; ``auc`` of a task with several classes by the bootstrap.
COMPARED = ("accuracy", "auc", "f")
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
    """p after Holm over all methods compared in this metric"""
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
    answers: Mapping[str, Answers],
    reference: str,
    *,
    positive: int | None,
    metrics: Sequence[str] = COMPARED,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Every other method against the reference.

    The AUC of a binary task by DeLong's test, fold by fold; accuracy by McNemar's where there is one seed and every
    patient stands alone; everything else by the paired bootstrap. Methods are compared in the folds that both have a
    run in. Holm's correction is over the methods, for each metric by itself.

    :param answers: of ``answers.join``: the same patients for all
    :param metrics: names of ``statistics``
    """
    rows = []
    for method, first in answers.items():
        if method == reference:
            continue
        second = answers[reference]
        folds = [fold for fold in first.fold_numbers if first.complete(fold) and second.complete(fold)]
        kept = np.flatnonzero(np.isin(first.folds, folds))
        found = _differences(first, second, folds, kept, positive, level, resamples, seed) if folds else {}
        for metric in metrics:
            difference, test = found.get(metric, (Difference(np.nan, np.nan, np.nan, np.nan), "bootstrap"))
            rows.append(Comparison(method, reference, metric, difference, np.nan, test, len(folds), len(kept)))
    adjusted: dict[int, float] = {}
    for metric in metrics:
        places = [place for place, row in enumerate(rows) if row.metric == metric]
        adjusted |= dict(zip(places, holm([rows[place].difference.p for place in places]), strict=True))
    return tuple(replace(row, adjusted=adjusted[place]) for place, row in enumerate(rows))


def answer_estimates(
    answers: Answers,
    *,
    positive: int | None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The means that the tables show, with intervals over patients; empty if every run failed.

    DeLong's for the AUC of a binary task (variances of the folds added up), else the bootstrap's within folds. A
    proportion of 0 or 1, in which resamples do not differ, has Wilson's interval of all folds' counts instead.
    """
    folds = [fold for fold in answers.fold_numbers if answers.complete(fold)]
    if not folds:
        return {}
    kept = np.flatnonzero(np.isin(answers.folds, folds))
    found = bootstrap(
        len(kept),
        _on_kept(answers, positive, folds, kept),
        groups=_groups(answers, kept),
        folds=answers.folds[kept],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    if positive is None:
        return found
    value, variance = _auc([answers], [1.0], folds, positive)
    truth = answers.labels[kept] == positive
    if value in (0.0, 1.0):
        apart = truth if value == 1.0 else ~truth
        found["auc"] = auc_interval(truth, apart, groups=_groups(answers, kept), level=level)
    else:
        found["auc"] = interval_from_variance(value, variance, level=level)
    if answers.groups is None:
        for name, whole in _denominators(answers, folds, positive).items():
            if found[name].value in (0.0, 1.0):
                found[name] = wilson(round(found[name].value * whole), whole, level=level)
    return found


def _differences(
    first: Answers,
    second: Answers,
    folds: Sequence[int],
    kept: Labels,
    positive: int | None,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, tuple[Difference, Test]]:
    drawn = paired_bootstrap(
        len(kept),
        _on_kept(first, positive, folds, kept),
        _on_kept(second, positive, folds, kept),
        groups=_groups(first, kept),
        folds=first.folds[kept],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    found: dict[str, tuple[Difference, Test]] = {name: (one, "bootstrap") for name, one in drawn.items()}
    if positive is not None:
        value, variance = _auc([first, second], [1.0, -1.0], folds, positive)
        found["auc"] = difference_from_variance(value, variance, level=level), "DeLong"
    if len(first.seeds) == 1 and first.groups is None:
        p = mcnemar(first.labels[kept], first.predicted(0, kept), second.predicted(0, kept)).p
        found["accuracy"] = replace(drawn["accuracy"], p=p), "McNemar"
    return found


def _auc(
    methods: Sequence[Answers], contrast: Sequence[float], folds: Sequence[int], positive: int
) -> tuple[float, float]:
    """The contrast of the methods' mean AUCs and its variance: folds share no patient, seeds share all of them."""
    values, variances = [], []
    for fold in folds:
        rows = methods[0].rows(fold)
        scores: list[Floats] = []
        weights: list[float] = []
        for method, share in zip(methods, contrast, strict=True):
            places = method.complete(fold)
            scores += [method.probabilities[place, rows, positive] for place in places]
            weights += [share / len(places)] * len(places)
        areas, covariance = area_covariance(
            methods[0].labels[rows] == positive, np.stack(scores), groups=_groups(methods[0], rows)
        )
        weighted = np.array(weights)
        value = float(weighted @ areas)
        if not np.isnan(value):
            values.append(value)
            variances.append(float(weighted @ covariance @ weighted))
    if not values:
        return np.nan, np.nan
    return float(np.mean(values)), float(np.sum(variances)) / len(values) ** 2


def _on_kept(answers: Answers, positive: int | None, folds: Sequence[int], kept: Labels) -> Statistics:
    """The answers' statistics as a function of the kept patients' weights."""
    statistics, everybody = answers.statistics(positive, folds), len(answers.labels)

    def on_kept(weights: Floats) -> dict[str, Floats]:
        spread = np.zeros((len(weights), everybody))
        spread[:, kept] = weights
        return statistics(spread)

    return on_kept


def _groups(answers: Answers, rows: Labels) -> list[str | None] | None:
    return None if answers.groups is None else [answers.groups[row] for row in rows.tolist()]


def _denominators(answers: Answers, folds: Sequence[int], positive: int) -> dict[str, int]:
    """Of how many patients each proportion is, over the folds together; of predictions the mean over the seeds."""
    rows = np.flatnonzero(np.isin(answers.folds, folds))
    called = 0.0
    for fold in folds:
        places = answers.complete(fold)
        members = answers.rows(fold)
        called += sum(int((answers.predicted(place, members) == positive).sum()) for place in places) / len(places)
    positives = int((answers.labels[rows] == positive).sum())
    return {
        "accuracy": len(rows),
        "sensitivity": positives,
        "specificity": len(rows) - positives,
        "precision": round(called),
        "npv": len(rows) - round(called),
    }
