"""What the methods of a benchmark say of the test patients: runs of several folds and seeds put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadRun
from triplenet.evaluation.metrics import Floats, against_rest, confusion, paper_columns
from triplenet.evaluation.statistics import Labels, Statistics, mean_of, on_rows, statistics_of


@dataclass(frozen=True)
class RunPredictions:
    """What one run says of one partition's patients."""

    fold: int
    seed: int
    patients: tuple[str, ...]
    labels: Labels
    """(n,) -1: without a label"""
    probabilities: Floats
    """(n, C)"""


@dataclass(frozen=True)
class OutOfFoldPredictions:
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
    thresholded: Labels | None = None
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
            for seed_index, seed in enumerate(self.seeds)
            if seed_index not in self.complete(fold)
        )

    @property
    def finished_folds(self) -> tuple[int, ...]:
        """Folds with a run that did not fail."""
        return tuple(fold for fold in self.fold_numbers if self.complete(fold))

    def rows(self, fold: int) -> Labels:
        """Which patients are in a test fold."""
        return np.flatnonzero(self.folds == fold)

    def complete(self, fold: int) -> tuple[int, ...]:
        """Indices of the seeds whose run of this fold did not fail."""
        return tuple(int(seed_index) for seed_index in np.flatnonzero(self._there[:, self.folds == fold].all(axis=1)))

    def predicted(self, seed_index: int, rows: Labels) -> Labels:
        """(n,) classes of some patients by one seed."""
        if self.thresholded is not None:
            called: Labels = self.thresholded[seed_index, rows]
            return called
        best: Labels = self.probabilities[seed_index, rows].argmax(1)
        return best

    def runs(self) -> Iterator[tuple[int, int, Labels]]:
        """Fold, index of the seed, and rows of each run that did not fail."""
        for fold in self.fold_numbers:
            for seed_index in self.complete(fold):
                yield fold, seed_index, self.rows(fold)

    def statistics(self, positive: int | None, folds: Sequence[int] | None = None) -> Statistics:
        """Means over the folds of the means over their seeds, as a table has them, under everybody's weights.

        :param positive: the target of a binary task
        :param folds: only these; those without a run are left out
        """
        each = []
        for fold in self.fold_numbers if folds is None else folds:
            rows = self.rows(fold)
            runs = [
                statistics_of(
                    self.labels[rows], self.predicted(seed_index, rows), self.probabilities[seed_index, rows], positive
                )
                for seed_index in self.complete(fold)
            ]
            if runs:
                each.append(on_rows(mean_of(runs), rows))
        return mean_of(each)

    def pooled(self) -> tuple[Labels, Labels, Floats]:
        """Rows that have an answer (n,), their predicted classes (n,) and probabilities (n, C), seeds averaged.

        With several seeds a patient's class is the one with the highest mean probability, or with thresholds the one
        most seeds call (the first on a tie).
        """
        there = self._there
        rows = np.flatnonzero(there.any(0))
        counted = there[:, rows, None]
        mean: Floats = np.where(counted, self.probabilities[:, rows], 0.0).sum(0) / counted.sum(0)
        if self.thresholded is None:
            return rows, mean.argmax(1), mean
        votes = (np.eye(self.classes)[self.thresholded[:, rows]] * counted).sum(0)
        return rows, votes.argmax(1), mean


def of_patients(
    labels: Labels, predicted: Labels, probabilities: Floats, groups: Sequence[str | None] | None = None
) -> OutOfFoldPredictions:
    """Patients of whom one run speaks, or several put together, as one fold of one seed.

    :param labels: (N,) those with -1 are left out
    :param predicted: (N,)
    :param probabilities: (N, C)
    """
    known = np.flatnonzero(labels >= 0)
    return OutOfFoldPredictions(
        patients=tuple(str(row) for row in known.tolist()),
        labels=labels[known],
        folds=np.ones(len(known), dtype=np.int64),
        seeds=(0,),
        probabilities=probabilities[None, known],
        groups=None if groups is None else tuple(groups[row] for row in known.tolist()),
        thresholded=predicted[None, known],
    )


def join(
    runs: Mapping[str, Sequence[RunPredictions]], groups: Mapping[str, str | None] | None = None
) -> dict[str, OutOfFoldPredictions]:
    """Put each method's runs together, every method having the same patients, folds and seeds.

    A run that any other method or seed has, and this one has not, counts as failed. Patients without a label are
    left out.

    :param runs: method -> its finished runs' predictions for their test patients
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
    row_of = {patient: row for row, patient in enumerate(patients)}
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
            rows = [row_of[run.patients[row]] for row in kept]
            probabilities[seeds.index(run.seed), rows] = run.probabilities[kept]
        names = None if groups is None else tuple(groups.get(patient) for patient in patients)
        joined[method] = OutOfFoldPredictions(tuple(patients), labels, folds, seeds, probabilities, names)
    return joined


def run_values(predictions: OutOfFoldPredictions, positive: int | None) -> dict[str, Floats]:
    """Every metric of every run: name -> (F, S), NaN for a failed one.

    The names are those of ``statistics``, and the paper's columns under ``paper_``.

    :param positive: the target: the positive class of a binary task, or one class against the rest; None: means over
        the classes
    """
    found: dict[str, Floats] = {}
    shape = len(predictions.fold_numbers), len(predictions.seeds)
    for fold, seed_index, rows in predictions.runs():
        labels, predicted = predictions.labels[rows], predictions.predicted(seed_index, rows)
        statistics = statistics_of(labels, predicted, predictions.probabilities[seed_index, rows], positive)
        values = {name: float(value[0]) for name, value in statistics(np.ones((1, len(rows)))).items()}
        matrix = confusion(labels, predicted, predictions.classes)
        columns = paper_columns(matrix, 1 if positive is None else positive)
        values |= {f"paper_{name}": value for name, value in asdict(columns).items()}
        for name, value in values.items():
            table = found.setdefault(name, np.full(shape, np.nan))
            table[predictions.fold_numbers.index(fold), seed_index] = value
    return found


def counted_as_zero(predictions: OutOfFoldPredictions, positive: int | None) -> frozenset[str]:
    """Names of the metrics that in some run count 0 for what nobody was called (see ``metrics``).

    :param positive: the target; None: means over the classes
    """
    found: set[str] = set()
    for _, seed_index, rows in predictions.runs():
        matrix = confusion(predictions.labels[rows], predictions.predicted(seed_index, rows), predictions.classes)
        tp, fn, fp, tn = against_rest(matrix.astype(np.float64))
        members = tp + fn > 0 if positive is None else np.arange(predictions.classes) == positive
        if (members & (tp + fp == 0) & (fn > 0)).any():
            found |= {"precision", "weighted_precision"}
        if (members & (tn + fn == 0) & (fp > 0)).any():
            found |= {"npv", "weighted_npv"}
    return frozenset(found)


def never_predicted(predictions: OutOfFoldPredictions) -> tuple[tuple[int, int, int], ...]:
    """(fold, seed, class) of each class that has patients in a fold and that a run never predicts there."""
    found = []
    for fold, seed_index, rows in predictions.runs():
        called: npt.NDArray[np.int64] = np.unique(predictions.predicted(seed_index, rows))
        there = np.unique(predictions.labels[rows])
        found += [(fold, predictions.seeds[seed_index], int(c)) for c in there if c not in called]
    return tuple(found)
