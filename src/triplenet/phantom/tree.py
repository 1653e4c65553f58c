"""Branching trees that reach many points from one root, as vessels do from the hilum.

Points are taken in order of their distance from the root; each joins the branch that gives it a short
way both to the tree and along it to the root. Weighing the two gives long, gently dividing stems (the
balancing factor of Cuntz et al., PLoS Computational Biology 2010, 6(8):e1000877). The radius follows from
how many points a branch serves (Murray's law).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.phantom.lattice import Points
from triplenet.phantom.tubes import Tubes

_BALANCE = 0.62


@dataclass(frozen=True)
class Tree:
    """Branches in patient millimetres.

    :param start: (N, 3) in (z, y, x) order
    :param end: (N, 3)
    :param arrival: (N, 3) unit direction in which the branch before arrived at ``start``
    :param load: (N,) points served
    """

    start: Points
    end: Points
    arrival: Points
    load: npt.NDArray[np.int64]

    def tubes(self, tip_mm: float, power: float, rng: np.random.Generator) -> Tubes:
        """Bowed tubes: a branch leaves in the direction of the one before and bends to its own end.

        A branch that serves n points has the radius ``tip_mm * n ** power``.
        """
        radius = tip_mm * self.load.astype(np.float64) ** power
        course = self.end - self.start
        length = np.linalg.norm(course, axis=1, keepdims=True)
        middle = 0.5 * (self.start + self.end) + 0.11 * (self.arrival * length - course)
        middle += rng.normal(0.0, 0.025, middle.shape) * length
        return Tubes(
            np.concatenate([self.start, middle]),
            np.concatenate([middle, self.end]),
            np.concatenate([np.stack([radius, radius * 0.97], 1), np.stack([radius * 0.97, radius * 0.9], 1)]),
        )


def grow(root: Points, points: Points) -> Tree:
    """A tree from ``root`` (3,) that reaches every one of ``points`` (N, 3)."""
    count = len(points)
    order = np.argsort(((points - root) ** 2).sum(axis=1), kind="stable")
    nodes = np.concatenate([root[None], points[order]]).T.copy()  # (3, 1 + N), for contiguous coordinates
    parent = np.zeros(count + 1, np.int64)
    way = np.zeros(count + 1)
    for k in range(1, count + 1):
        gap = nodes[:, :k] - nodes[:, k : k + 1]
        distance = np.sqrt(gap[0] * gap[0] + gap[1] * gap[1] + gap[2] * gap[2])
        near = int(np.argmin(distance + _BALANCE * way[:k]))
        parent[k] = near
        way[k] = way[near] + distance[near]
    load = np.ones(count + 1, np.int64)
    for k in range(count, 0, -1):
        load[parent[k]] += load[k]
    where = nodes.T
    start, end = where[parent[1:]], where[1:]
    course = where - where[parent]
    course /= np.maximum(np.linalg.norm(course, axis=1, keepdims=True), 1e-9)
    arrival = course[parent[1:]]
    first = parent[1:] == 0
    arrival[first] = course[1:][first]
    return Tree(start, end, arrival, load[1:])
