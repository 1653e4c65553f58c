"""How alike the maps of the same patients are when a network is trained again: with another seed, another encoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from triplenet.explanation.labelled_maps import OWN, labelled_maps
from triplenet.explanation.similarity import similarity
from triplenet.prepare.store import PreparedSet

if TYPE_CHECKING:
    from triplenet.model import Model


class RepeatedMap(BaseModel):
    """A patient's maps by several networks: means over their pairs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: str
    ssim: float
    spearman: float | None
    """None where a map of each pair is constant"""


class RepeatedMaps(BaseModel):
    """Those of one fold's networks of a method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    patients: tuple[RepeatedMap, ...]


def repeat_maps(
    models: Sequence[Model], prepared: PreparedSet, patients: Sequence[str], fingerprint: str = ""
) -> RepeatedMaps:
    """Compare the own maps of two models or more.

    :param models: of the same method, fold and prepared set
    :raises BadModel: a probability or a map is not finite
    """
    rows = prepared.rows(list(patients)).tolist()
    found = []
    for each in zip(*(labelled_maps(model, prepared, rows) for model in models), strict=True):
        maps = [one.maps[OWN] for one in each if OWN in one.maps]
        pairs = [similarity(one, other) for one, other in combinations(maps, 2)]
        if not pairs:
            continue
        ranked = [pair.spearman for pair in pairs if pair.spearman is not None]
        found.append(
            RepeatedMap(
                patient=prepared.patients[each[0].row].patient,
                ssim=float(np.mean([pair.ssim for pair in pairs])),
                spearman=float(np.mean(ranked)) if ranked else None,
            )
        )
    return RepeatedMaps(fingerprint=fingerprint, patients=tuple(found))
