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
    believable,
    bootstrap,
    mean_of_proportions,
    mean_of_two,
    paired_bootstrap,
    units_of,
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

    The AUC of a binary task by DeLong's test, fold by fold; accuracy, sensitivity and specificity by McNemar's, of all
    patients, the positive and the negative ones, where there is one seed and every patient stands alone; everything
    else by the paired bootstrap. Methods are compared in the folds that both have a run in. Holm's correction is over
    the methods, for each metric by itself.

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

    DeLong's for the AUC of a binary task (variances of the folds added up), else the bootstrap's within folds. Where
    resamples do not differ (whole folds called one class), a proportion has Wilson's interval of all folds' counts if
    it is 0 or 1, else that of ``mean_of_proportions``; what is no proportion has none.
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
        return {name: believable(one) for name, one in found.items()}
    value, variance = _auc([answers], [1.0], folds, positive)
    truth = answers.labels[kept] == positive
    if value in (0.0, 1.0):
        apart = truth if value == 1.0 else ~truth
        found["auc"] = auc_interval(truth, apart, groups=_groups(answers, kept), level=level)
    else:
        found["auc"] = interval_from_variance(value, variance, level=level)
    for name, parts in _proportions(answers, folds, positive).items():
        if found[name].low < found[name].high or not parts:
            continue
        shares, patients = zip(*parts, strict=True)
        if set(shares) in ({0.0}, {1.0}):
            whole = round(sum(patients))
            found[name] = wilson(round(shares[0] * whole), whole, level=level)
        else:
            found[name] = mean_of_proportions(shares, patients, level=level)
    balanced = found["balanced_accuracy"]
    if not balanced.low < balanced.high:
        found["balanced_accuracy"] = mean_of_two(found["sensitivity"], found["specificity"])
    return {name: believable(one) for name, one in found.items()}


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
        whom = {"accuracy": kept}
        if positive is not None:
            truth = first.labels[kept] == positive
            whom |= {"sensitivity": kept[truth], "specificity": kept[~truth]}
        for name, rows in whom.items():
            p = mcnemar(first.labels[rows], first.predicted(0, rows), second.predicted(0, rows)).p
            found[name] = replace(drawn[name], p=p), "McNemar"
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


def _proportions(answers: Answers, folds: Sequence[int], positive: int) -> dict[str, list[tuple[float, float]]]:
    """Each proportion in each fold that has it: its share, and of how many independent patients (seeds averaged)."""
    found: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("accuracy", "sensitivity", "specificity", "precision", "npv")
    }
    for fold in folds:
        rows = answers.rows(fold)
        truth = answers.labels[rows] == positive
        of_fold: dict[str, list[tuple[float, int]]] = {name: [] for name in found}
        for place in answers.complete(fold):
            called = answers.predicted(place, rows) == positive
            whole = {
                "accuracy": np.ones(len(rows), dtype=bool),
                "sensitivity": truth,
                "specificity": ~truth,
                "precision": called,
                "npv": ~called,
            }
            for name, whom in whole.items():
                members = np.flatnonzero(whom)
                if len(members):
                    independent = len(np.unique(units_of(len(members), _groups(answers, rows[members]))))
                    of_fold[name].append((float((called == truth)[members].mean()), independent))
        for name, parts in of_fold.items():
            if parts:
                shares, patients = np.array(parts).T
                found[name].append((float(shares.mean()), float(patients.mean())))
    return found
