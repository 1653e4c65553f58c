"""``triplenet explain --read`` as a call: what the answers of a reader study say.

Cases are what is drawn by chance; the readers are held fixed. All intervals are over cases, so that three readers of
one case do not count as three cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.evaluation.intervals import (
    RESAMPLES,
    UNDEFINED,
    Difference,
    Estimate,
    bootstrap,
    paired_bootstrap,
    proportion,
    without_zero_width,
)
from triplenet.evaluation.krippendorff import alpha_estimate
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.paired_tests import mcnemar_p
from triplenet.evaluation.reader_sheets import ReaderAnswers, read_key, read_sheets
from triplenet.evaluation.statistics import Statistics

EVERYONE = "all readers"
PERMUTATIONS = 9999
_AT_A_TIME = 500


@dataclass(frozen=True)
class _Chance:
    """Of the bootstrap."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class ReadingAccuracy:
    """How often a reader, or all of them together, named the true class, of the cases answered both ways."""

    reader: str
    answered: int
    """Cases, or readers' cases, answered both without and with the maps"""
    without_map: Estimate
    with_map: Estimate
    difference: Difference
    """With minus without; p is McNemar's of one reader, the bootstrap's over cases of several"""
    only_without: int
    """Right without the maps and wrong with them"""
    only_with: int


@dataclass(frozen=True)
class Preference:
    """How often a method's map was the one that helped most."""

    times: int
    share: Estimate


@dataclass(frozen=True)
class ReaderResults:
    """What the answers say."""

    answers: ReaderAnswers
    agreement: Mapping[str, Estimate]
    """Krippendorff's alpha of ``class without map``, ``class with map``, ``preferred map`` and ``rating``"""
    preference: Mapping[str, Preference]
    """Method -> how often it was preferred"""
    preference_p: float
    """That readers prefer no map to another"""
    ratings: Mapping[str, Estimate]
    """Method -> mean rating, 1 to 5"""
    accuracy: tuple[ReadingAccuracy, ...]
    """Of each reader; of several also all together, last"""

    def as_dict(self) -> dict[str, Any]:
        """All but the single answers, for machine-readable output."""
        return {
            "readers": list(self.answers.readers),
            "cases": len(self.answers.cases),
            "classes": list(self.answers.classes),
            "methods": list(self.answers.methods),
            "agreement": {name: asdict(value) for name, value in self.agreement.items()},
            "preference": {name: asdict(value) for name, value in self.preference.items()},
            "preference_p": self.preference_p,
            "ratings": {name: asdict(value) for name, value in self.ratings.items()},
            "accuracy": [asdict(row) for row in self.accuracy],
        }


def read_answers(
    read: Sequence[Path | str] | Path | str, key: Path | str, *, seed: int = 0, resamples: int = RESAMPLES
) -> ReaderResults:
    """What the filled-in sheets of a reader study say.

    :param read: the sheets, of one reader or of several each
    :param key: the study's ``key.csv``
    :param seed: of the bootstrap and the permutations
    :raises PathMissing: there is no such file
    :raises BadAnswers: an answer that cannot be, or one twice, or none; all faults of a sheet are listed
    """
    paths = [read] if isinstance(read, Path | str) else list(read)
    return reader_results(read_sheets(paths, read_key(key)), seed=seed, resamples=resamples)


def reader_results(answers: ReaderAnswers, *, seed: int = 0, resamples: int = RESAMPLES) -> ReaderResults:
    """The statistics of answers that were read."""
    chance = _Chance(resamples, seed)
    agreement = {
        name: alpha_estimate(given.T, "nominal", resamples=resamples, seed=seed)
        for name, given in (
            ("class without map", answers.without_map),
            ("class with map", answers.with_map),
            ("preferred map", answers.preferred),
        )
    }
    agreement["rating"] = alpha_estimate(
        answers.ratings_of_maps,
        "ordinal",
        groups=[case for case in answers.cases for _ in answers.methods],
        resamples=resamples,
        seed=seed,
    )
    accuracy = [_accuracy(reader, answers, np.array([number]), chance) for number, reader in enumerate(answers.readers)]
    if len(answers.readers) > 1:
        accuracy.append(_accuracy(EVERYONE, answers, np.arange(len(answers.readers)), chance))
    return ReaderResults(
        answers,
        agreement,
        _preference(answers.votes, answers.methods),
        equal_preference_p(answers.votes, seed=seed),
        {method: _mean_rating(answers.ratings[..., m], chance) for m, method in enumerate(answers.methods)},
        tuple(accuracy),
    )


def equal_preference_p(votes: npt.ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """P of no preference, by permuting the maps within each case: the letters were drawn for each case anew.

    The votes of one case stay together, so that readers who agree do not count as so many cases. What is compared is
    the sum of the methods' squared votes (as the chi-squared statistic of equal shares); at least
    1 / (permutations + 1). NaN with fewer than two methods, or without a vote.

    :param votes: (N, M) how often each method was preferred in each case
    """
    counts = np.asarray(votes, dtype=np.int64)
    counts = counts[counts.any(axis=1)]
    if not len(counts) or counts.shape[1] < 2:
        return np.nan
    rng = np.random.default_rng(seed)
    observed = (counts.sum(axis=0) ** 2).sum()
    reached = 0
    for start in range(0, permutations, _AT_A_TIME):
        size = min(_AT_A_TIME, permutations - start)
        drawn = rng.permuted(np.broadcast_to(counts, (size, *counts.shape)), axis=-1).sum(axis=1)
        reached += int(((drawn**2).sum(axis=1) >= observed).sum())
    return (reached + 1) / (permutations + 1)


def _preference(votes: npt.NDArray[np.int64], methods: Sequence[str]) -> dict[str, Preference]:
    """Shares of all votes, (N, M); as many independent ones as cases that have any."""
    times, everything, cases = votes.sum(axis=0), int(votes.sum()), int(votes.any(axis=1).sum())
    return {
        method: Preference(count, proportion((count / everything,), (cases,)) if everything else UNDEFINED)
        for method, count in zip(methods, times.tolist(), strict=True)
    }


def _accuracy(reader: str, answers: ReaderAnswers, rows: npt.NDArray[np.int64], chance: _Chance) -> ReadingAccuracy:
    """Of the readers in these rows, together."""
    without, seen = answers.without_map[rows], answers.with_map[rows]
    both = ~np.isnan(without) & ~np.isnan(seen)
    right = {name: (given == answers.truth) & both for name, given in (("without", without), ("with", seen))}
    answered = int(both.sum())
    shares = {name: _share(hits.sum(axis=0), both.sum(axis=0)) for name, hits in right.items()}
    only_without = int((right["without"] & ~right["with"]).sum())
    only_with = int((right["with"] & ~right["without"]).sum())
    if not answered:
        nothing = Difference(np.nan, np.nan, np.nan, np.nan)
        return ReadingAccuracy(reader, 0, UNDEFINED, UNDEFINED, nothing, 0, 0)
    cases = len(answers.cases)
    difference = paired_bootstrap(
        cases, shares["with"], shares["without"], resamples=chance.resamples, seed=chance.seed
    )["share"]
    if len(rows) == 1:
        p = mcnemar_p(only_without, only_with, "exact")
        difference = Difference(difference.value, difference.low, difference.high, p)
    return ReadingAccuracy(
        reader,
        answered,
        _accuracy_estimate(right["without"], both, shares["without"], chance),
        _accuracy_estimate(right["with"], both, shares["with"], chance),
        difference,
        only_without,
        only_with,
    )


def _accuracy_estimate(
    right: npt.NDArray[np.bool_], given: npt.NDArray[np.bool_], share: Statistics, chance: _Chance
) -> Estimate:
    """Wilson's interval of one reader; the bootstrap's over cases of several, where it has a width.

    :param right: (R, N) whether the answer was right; ``given`` likewise whether there was one
    """
    value, cases = float(right.sum() / given.sum()), int(given.any(axis=0).sum())
    if len(given) > 1:
        found = bootstrap(given.shape[1], share, resamples=chance.resamples, seed=chance.seed)["share"]
        if found.low < found.high:
            return found
    return proportion((value,), (cases,))


def _mean_rating(rated: Floats, chance: _Chance) -> Estimate:
    """The mean of all ratings of one method's maps, (R, N)."""
    given = ~np.isnan(rated)
    if not given.any():
        return UNDEFINED
    mean = _share(np.nan_to_num(rated).sum(axis=0), given.sum(axis=0))
    return without_zero_width(bootstrap(rated.shape[1], mean, resamples=chance.resamples, seed=chance.seed)["share"])


def _share(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Statistics:
    """Part of whole, (N,) each, summed over cases; of a resample without any it is not defined."""
    part, whole = part.astype(np.float64), whole.astype(np.float64)

    def statistics(weights: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"share": (weights @ part) / (weights @ whole)}

    return statistics
