"""From the slices of a scan to what is said of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput

Floats = npt.NDArray[np.float64]
Aggregate = Literal["best", "mean", "noisy-or", "weighted"]
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)

#: Heights are multiples of a distance between slices, but for rounding.
ROUNDING_MM = 1e-6


@dataclass(frozen=True)
class Decision:
    """What a model says of a scan, and the slices that it says it by."""

    aggregate: Aggregate
    slices: tuple[int, ...]
    """The best ones, from the feet, the best first"""
    weights_mm2: tuple[float, ...]
    """Of each: the area by which it is one of the best"""
    of_slices: Floats
    """(k, C) probabilities of each"""
    probabilities: Floats
    """(C,) of the scan"""


def best_slices(
    slices: Sequence[int], areas_mm2: npt.ArrayLike, heights_mm: npt.ArrayLike, count: int, apart_mm: float
) -> list[int]:
    """The slices with the largest areas, the best first, at least so far apart.

    Without a distance the best slices of a thin scan would be one slice several times.

    :param slices: those to choose from
    :param areas_mm2: (n,) of each; those without any are left out, unless there is none with one
    :param heights_mm: (n,) of each, along the axis
    """
    areas = np.asarray(areas_mm2, dtype=np.float64)
    heights = np.asarray(heights_mm, dtype=np.float64)
    order = sorted(range(len(slices)), key=lambda at: (-areas[at], slices[at]))
    chosen: list[int] = []
    for at in order:
        if len(chosen) == count or (chosen and areas[at] <= 0):
            break
        if all(abs(heights[at] - heights[other]) >= apart_mm - ROUNDING_MM for other in chosen):
            chosen.append(at)
    return [slices[at] for at in chosen]


def aggregate(probabilities: npt.ArrayLike, weights: npt.ArrayLike, rule: Aggregate, positive: Sequence[int]) -> Floats:
    """The probabilities of a scan from those of its best slices. One slice alone gives its own by every rule.

    ``noisy-or``: the scan is diseased unless no slice is, 1 - prod(1 - p), as if the slices were independent; how the
    classes that count as disease, and the others, share that is their mean. Where none or all count as disease it is
    the mean.

    :param probabilities: (k, C), the best slice first
    :param weights: (k,) area of infection, for ``weighted``
    :param positive: the classes that count as disease
    """
    each = np.asarray(probabilities, dtype=np.float64)
    mean: Floats = each.mean(axis=0)
    if rule == "best":
        return np.asarray(each[0])
    if rule == "weighted":
        areas = np.asarray(weights, dtype=np.float64)
        return np.asarray(np.average(each, axis=0, weights=areas / areas.max())) if areas.max() > 0 else mean
    diseased = np.isin(np.arange(each.shape[1]), list(positive))
    if rule == "mean" or not diseased.any() or diseased.all():
        return mean
    none = float(np.prod(1 - np.minimum(each[:, diseased].sum(axis=1), 1)))
    said = np.where(diseased, 1 - none, none)
    share = np.where(diseased, mean[diseased].sum(), mean[~diseased].sum())
    count = np.where(diseased, diseased.sum(), (~diseased).sum())
    # A group that no slice gives anything to is shared equally, so that the sum stays 1.
    return np.asarray(said * np.where(share > 0, mean / np.where(share > 0, share, 1), 1 / count))


def decide(
    slices: Sequence[int],
    weights_mm2: Sequence[float],
    probabilities: npt.ArrayLike,
    rule: Aggregate,
    positive: Sequence[int],
) -> Decision:
    """``aggregate`` with what it was made of; see there."""
    each = np.asarray(probabilities, dtype=np.float64)
    if each.ndim != 2 or len(each) != len(slices) or not len(each):
        raise BadInput(f"probabilities {each.shape} of {len(slices)} slices")
    whole = aggregate(each, weights_mm2, rule, positive)
    return Decision(rule, tuple(slices), tuple(weights_mm2), each, whole)
