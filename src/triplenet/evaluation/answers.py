"""What the methods of a benchmark say of the test patients: runs of several folds and seeds put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadRun
from triplenet.evaluation.metrics import confusion, paper_columns
from triplenet.evaluation.statistics import Floats, Labels, Statistics, mean_of, on_rows, statistics_of


@dataclass(frozen=True)
class RunAnswers:
    """What one run says of one partition's patients."""

    fold: int
    seed: int
    patients: tuple[str, ...]
    labels: Labels
    """(n,) -1: without a label"""
    probabilities: Floats
    """(n, C)"""


@dataclass(frozen=True)
class Answers:
    """What one method says of the test patients of all folds, each patient once; all of them have a label."""

    patients: tuple[str, ...]
    labels: Labels
    """(N,)"""
    folds: Labels
    """(N,) in which test fold each patient is"""
    seeds: tuple[int, ...]
    probabilities: Floats
    """(S, N, C), NaN where that fold's run with that seed failed"""
    groups: tuple[str | None, ...] | None = None
    """(N,) patients of one group are not independent; None: each stands alone"""
    calls: Labels | None = None
    """(S, N) predicted classes where they are not the most probable ones but come of a threshold"""

    @property
    def fold_numbers(self) -> tuple[int, ...]:
        return tuple(int(fold) for fold in np.unique(self.folds))

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[2])

    @property
    def _there(self) -> npt.NDArray[np.bool_]:
        """(S, N) whether there is an answer"""
        there: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(self.probabilities), axis=2)
        return there

    @property
    def failed(self) -> tuple[tuple[int, int], ...]:
        """(fold, seed) of the runs that are missing."""
        return tuple(
            (fold, seed)
            for fold in self.fold_numbers
            for place, seed in enumerate(self.seeds)
            if place not in self.complete(fold)
        )

    def rows(self, fold: int) -> Labels:
        """Which patients are in a test fold."""
        return np.flatnonzero(self.folds == fold)

    def complete(self, fold: int) -> tuple[int, ...]:
        """Places of the seeds whose run of this fold did not fail."""
        return tuple(int(place) for place in np.flatnonzero(self._there[:, self.folds == fold].all(axis=1)))

    def predicted(self, place: int, rows: Labels) -> Labels:
        """(n,) classes of some patients by the seed at ``place``."""
        if self.calls is not None:
            called: Labels = self.calls[place, rows]
            return called
        best: Labels = self.probabilities[place, rows].argmax(1)
        return best

    def parts(self) -> Iterator[tuple[int, int, Labels]]:
        """Fold, place of the seed, and rows of each run that did not fail."""
        for fold in self.fold_numbers:
            for place in self.complete(fold):
                yield fold, place, self.rows(fold)

    def statistics(self, positive: int | None, folds: Sequence[int] | None = None) -> Statistics:
        """Means over the folds of the means over their seeds, as a table has them, under everybody's weights.

        :param positive: the target of a binary task
        :param folds: only these; those without a run are left out
        """
        each = []
        for fold in self.fold_numbers if folds is None else folds:
            rows = self.rows(fold)
            runs = [
                statistics_of(self.labels[rows], self.predicted(place, rows), self.probabilities[place, rows], positive)
                for place in self.complete(fold)
            ]
            if runs:
                each.append(on_rows(mean_of(runs), rows))
        return mean_of(each)

    def pooled(self) -> tuple[Labels, Labels, Floats]:
        """Rows that have an answer (n,), their predicted classes (n,) and probabilities (n, C), seeds averaged.

        With several seeds a patient's class is the one with the highest mean probability, or with calls the one most
        seeds call (the first on a tie).
        """
        there = self._there
        rows = np.flatnonzero(there.any(0))
        counted = there[:, rows, None]
        mean: Floats = np.where(counted, self.probabilities[:, rows], 0.0).sum(0) / counted.sum(0)
        if self.calls is None:
            return rows, mean.argmax(1), mean
        votes = (np.eye(self.classes)[self.calls[:, rows]] * counted).sum(0)
        return rows, votes.argmax(1), mean


def join(
    runs: Mapping[str, Sequence[RunAnswers]], groups: Mapping[str, str | None] | None = None
) -> dict[str, Answers]:
    """Put each method's runs together, every method having the same patients, folds and seeds.

    A run that any other method or seed has, and this one has not, counts as failed. Patients without a label are
    left out.

    :param runs: method -> its finished runs' answers for their test patients
    :param groups: patient -> group, for patients that are not independent of each other
    :raises BadRun: two runs of a fold have other patients or labels, a patient is in two test folds, a run is there
        twice, or the numbers of classes differ
    """
    every = [run for found in runs.values() for run in found]
    if not every:
        raise BadRun("no run has an answer")
    members: dict[int, dict[str, int]] = {}
    for run in every:
        known = {p: int(label) for p, label in zip(run.patients, run.labels, strict=True) if label >= 0}
        if members.setdefault(run.fold, known) != known:
            raise BadRun("two runs have different test patients or labels", where=f"fold {run.fold}")
    patients = [patient for fold in sorted(members) for patient in members[fold]]
    if len(set(patients)) != len(patients):
        raise BadRun("a patient is in two test folds", do="make the folds anew")
    if len({run.probabilities.shape[1] for run in every}) > 1:
        raise BadRun("the runs are not of the same number of classes")
    place_of = {patient: row for row, patient in enumerate(patients)}
    seeds = tuple(sorted({run.seed for run in every}))
    labels = np.array([members[fold][p] for fold in sorted(members) for p in members[fold]], dtype=np.int64)
    folds = np.array([fold for fold in sorted(members) for _ in members[fold]], dtype=np.int64)
    joined = {}
    for method, found in runs.items():
        if len({(run.fold, run.seed) for run in found}) != len(found):
            raise BadRun("a fold is there twice with the same seed", where=method)
        probabilities = np.full((len(seeds), len(patients), every[0].probabilities.shape[1]), np.nan)
        for run in found:
            kept = np.flatnonzero(run.labels >= 0).tolist()
            rows = [place_of[run.patients[row]] for row in kept]
            probabilities[seeds.index(run.seed), rows] = run.probabilities[kept]
        names = None if groups is None else tuple(groups.get(patient) for patient in patients)
        joined[method] = Answers(tuple(patients), labels, folds, seeds, probabilities, names)
    return joined


def run_values(answers: Answers, positive: int | None) -> dict[str, Floats]:
    """Every metric of every run: name -> (F, S), NaN for a failed one.

    The names are those of ``statistics``, and the paper's columns under ``paper_``.
    """
    found: dict[str, Floats] = {}
    shape = len(answers.fold_numbers), len(answers.seeds)
    for fold, place, rows in answers.parts():
        labels, predicted = answers.labels[rows], answers.predicted(place, rows)
        statistics = statistics_of(labels, predicted, answers.probabilities[place, rows], positive)
        values = {name: float(value[0]) for name, value in statistics(np.ones((1, len(rows)))).items()}
        matrix = confusion(labels, predicted, answers.classes)
        columns = paper_columns(matrix, 1 if positive is None else positive)
        values |= {f"paper_{name}": value for name, value in asdict(columns).items()}
        for name, value in values.items():
            table = found.setdefault(name, np.full(shape, np.nan))
            table[answers.fold_numbers.index(fold), place] = value
    return found


def class_values(answers: Answers, c: int) -> dict[str, Floats]:
    """Every metric of every run with class ``c`` against the rest: name -> (F, S), NaN for a failed run."""
    found: dict[str, Floats] = {}
    shape = len(answers.fold_numbers), len(answers.seeds)
    for fold, place, rows in answers.parts():
        predicted, probabilities = answers.predicted(place, rows), answers.probabilities[place, rows]
        statistics = statistics_of(answers.labels[rows], predicted, probabilities, c)
        for name, value in statistics(np.ones((1, len(rows)))).items():
            table = found.setdefault(name, np.full(shape, np.nan))
            table[answers.fold_numbers.index(fold), place] = value[0]
    return found


def never_predicted(answers: Answers) -> tuple[tuple[int, int, int], ...]:
    """(fold, seed, class) of each class that has patients in a fold and that a run never predicts there."""
    found = []
    for fold, place, rows in answers.parts():
        called: npt.NDArray[np.int64] = np.unique(answers.predicted(place, rows))
        there = np.unique(answers.labels[rows])
        found += [(fold, answers.seeds[place], int(c)) for c in there if c not in called]
    return tuple(found)
