"""Which finding each phantom patient has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

#: Patients of the paper's cohort by finding (Table 1).
PROPORTIONS: Mapping[str, int] = {"typical": 470, "indeterminate": 289, "atypical": 137, "negative": 383}
#: Cohorts that one can be like.
LIKE: Mapping[str, Mapping[str, int]] = {"paper": PROPORTIONS}


def findings(seed: int, count: int) -> list[str]:
    """The findings of patients 0 .. count - 1.

    A patient's finding depends on the seed and the patient's number only, not on how many there are. Among the
    first four each finding stands once; after any number the shares are close to the paper's, and the first 1,279 have
    exactly its numbers.
    """
    return list(islice(_sequence(seed), count))


def finding_of(seed: int, index: int) -> str:
    """The finding of one patient."""
    return next(islice(_sequence(seed), index, None))


def _sequence(seed: int) -> Iterator[str]:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    names = list(PROPORTIONS)
    share = np.array([PROPORTIONS[name] for name in names]) / sum(PROPORTIONS.values())
    made = np.zeros(len(names))
    for k in rng.permutation(len(names)):
        made[k] += 1
        yield names[k]
    while True:
        # Only a finding that lags behind its share may come next, the farther behind the likelier. So none can be ahead
        # of its number when the cohort is as large as the paper's, and all of them are met.
        lag = np.maximum(share * (made.sum() + 1) - made, 0.0)
        k = int(rng.choice(len(names), p=lag / lag.sum()))
        made[k] += 1
        yield names[k]
