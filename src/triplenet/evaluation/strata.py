"""Metrics of parts of the patients: by site, by scanner, by any column of the cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.intervals import LEVEL, RESAMPLES, UNDEFINED, Estimate, Groups
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.predictions import of_patients
from triplenet.evaluation.statistics import Labels, statistics_of

#: A stratum with fewer patients, or with fewer of any class, is flagged: its numbers carry little.
FEW_PATIENTS, FEW_OF_A_CLASS = 30, 5


@dataclass(frozen=True)
class Stratum:
    """The patients with one value of a column."""

    value: str | None
    """None: not given"""
    patients: int
    classes: tuple[int, ...]
    """Patients of each class"""
    metrics: dict[str, Estimate]
    small: bool


def strata(
    values: Sequence[str | None],
    labels: Labels,
    predicted: Labels,
    probabilities: Floats,
    *,
    positive: int | None = None,
    groups: Groups | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Stratum, ...]:
    """Metrics with intervals for each value, in the values' order, patients without one last.

    :param values: (N,) the column; None and the empty text: not given
    :param labels: (N,) -1 does not count
    :param predicted: (N,)
    :param probabilities: (N, C)
    """
    names = [value or None for value in values]
    found = []
    for name in sorted({name for name in names if name is not None}) + [None] * (None in names):
        rows = np.flatnonzero([one == name for one in names])
        known = labels[rows][labels[rows] >= 0]
        counts = tuple(int(count) for count in np.bincount(known, minlength=probabilities.shape[1]))
        members = of_patients(
            labels[rows],
            predicted[rows],
            probabilities[rows],
            None if groups is None else [groups[row] for row in rows.tolist()],
        )
        metrics = estimates(members, positive=positive, level=level, resamples=resamples, seed=seed)
        if not metrics:
            nobody = statistics_of(known, known, probabilities[:0], positive)(np.ones((1, 0)))
            metrics = dict.fromkeys(nobody, UNDEFINED)
        small = sum(counts) < FEW_PATIENTS or min(counts) < FEW_OF_A_CLASS
        found.append(Stratum(name, sum(counts), counts, metrics, small))
    return tuple(found)
