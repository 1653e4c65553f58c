"""Fewer training patients, fewer masks: which ones, by the seed alone, so that every method has the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadRecipe

Rows = npt.NDArray[np.int64]
# What the draw of patients has in common with that of masks is the seed alone.
_PATIENTS, _MASKS = 1, 2


def draw_patients(rows: Rows, labels: npt.NDArray[np.int64], number: int, seed: int) -> Rows:
    """So many rows, the classes in the proportions that they have, each at least once; in the order given.

    What rounding leaves over goes to the classes with the largest remainders, of equals to the first.

    :param rows: (N,) of the prepared set
    :param labels: (N,) classes of these
    :raises BadRecipe: there are not so many, or there are more classes
    """
    if number > len(rows):
        raise BadRecipe(
            f"training.patients: {number}, and the fold has {len(rows)} training patients with a finding",
            do="choose fewer, or 0 for all",
        )
    classes, counts = np.unique(labels, return_counts=True)
    if number < len(classes):
        raise BadRecipe(
            f"training.patients: {number} for {len(classes)} classes", do="choose one a class at least, or 0 for all"
        )
    exact = number * counts / len(rows)
    shares = np.maximum(np.floor(exact).astype(np.int64), 1)
    while shares.sum() != number:
        step = 1 if shares.sum() < number else -1
        # Of those that have to give, none gives its last.
        lacking = np.where((step > 0) | (shares > 1), step * (exact - shares), -np.inf)
        shares[int(lacking.argmax())] += step
    generator = np.random.default_rng([seed, _PATIENTS])
    chosen = [
        generator.permutation(np.flatnonzero(labels == c))[:share] for c, share in zip(classes, shares, strict=True)
    ]
    found: Rows = rows[np.sort(np.concatenate(chosen))]
    return found


def draw_masks(rows: Rows, share: float, seed: int) -> Rows:
    """Those whose masks are used: one at least, a smaller share's among a larger one's.

    :param rows: (N,) of the prepared set, all with a mask; one at least
    :param share: in 0..1, the number being rounded
    """
    order = np.random.default_rng([seed, _MASKS]).permutation(rows)
    found: Rows = order[: max(1, round(share * len(rows)))]
    return found
