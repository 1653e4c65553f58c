"""Comparators: what a benchmark sets beside the methods, in the same folds, tables and tests; see ``outside_paper``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet import catalog
from triplenet.benchmark.features_file import Features, read_features
from triplenet.catalog import ALL
from triplenet.errors import BadInput, BadPreparedSet, UnknownName
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.outside_paper import FEATURES, KINDS, OPACITY, SEGMENTATION, comparator_name
from triplenet.prepare.store import PreparedSet
from triplenet.training.recipe import Recipe


@dataclass(frozen=True)
class Comparator:
    """A row of a benchmark that is no method; its name tells the row, ``outside_paper.comparator_name``."""

    kind: str
    """One of ``outside_paper.KINDS``"""
    of: str = ""
    """The row whose networks segment, or the name of the features"""
    features: Features | None = None
    limits_hu: tuple[float, float] | None = None
    """Between which the lung counts as opaque"""

    @property
    def name(self) -> str:
        return comparator_name(self.kind, self.of)

    @property
    def shown(self) -> str:
        """What it is, in words."""
        if self.kind == OPACITY and self.limits_hu is not None:
            lower, upper = self.limits_hu
            return f"share of the lung between {lower:g} and {upper:g} HU in the slice, nothing learnt from images"
        if self.kind == SEGMENTATION:
            return f"infected share of the lung in the slice as the networks of {title_of(self.of)} segment it"
        dimensions = 0 if self.features is None else self.features.dimensions
        return f"logistic probe on {dimensions} features a patient from a file of the user's"


def segments_slices(recipe: Recipe) -> bool:
    """Whether a training learns to segment slices."""
    method = catalog.method(recipe.method)
    return method.dimensions == 2 and "segmentation" in method.terms and recipe.loss.weights.of("segmentation") > 0


def plan_comparators(
    wanted: Sequence[str],
    files: Sequence[Path | str],
    prepared: PreparedSet,
    labelled: npt.NDArray[np.bool_],
    recipes: Mapping[str, Recipe],
) -> tuple[dict[str, Comparator], dict[str, str]]:
    """Comparators by their rows' names, and the reasons of those that cannot be.

    :param wanted: kinds, or ``all``; with files of features, their kind need not be named
    :param files: of features
    :param labelled: (N,) patients of the prepared set that are compared
    :param recipes: row -> what it trains
    :raises UnknownName: no such kind
    :raises BadPreparedSet: a kind that was named needs what the set or the benchmark lacks
    :raises BadInput, PathMissing: a file cannot be used, or features are wanted and there is no file
    """
    for name in wanted:
        if name not in (*KINDS, ALL):
            raise UnknownName("unknown comparator", where=repr(name), do=f"choose among {', '.join(KINDS)}, or {ALL}")
    if FEATURES in wanted and not files:
        raise BadInput("a probe needs a file of features", do="give it: --features FILE.npz")
    found: list[Comparator] = []
    lacking: dict[str, str] = {}
    if OPACITY in wanted or ALL in wanted:
        reason = _lacks_opacity(prepared, labelled)
        if reason is None:
            found.append(Comparator(OPACITY, limits_hu=prepared.info.opacity_hu))
        else:
            lacking[OPACITY] = reason
    if SEGMENTATION in wanted or ALL in wanted:
        sources = [name for name, recipe in recipes.items() if segments_slices(recipe)]
        found += [Comparator(SEGMENTATION, name) for name in sources]
        if not sources:
            lacking[SEGMENTATION] = "needs a method that learns to segment slices"
    for name, reason in lacking.items():
        if name in wanted:
            raise BadPreparedSet(f"the comparator {name} {reason}", where=prepared.folder, do="or leave it out")
    names = [patient.patient for patient in prepared.patients]
    for file in dict.fromkeys(map(Path, files)):
        features = read_features(file, names, labelled)
        found.append(Comparator(FEATURES, features.name, features))
    rows = {one.name: one for one in found}
    if len(rows) < len(found):
        raise BadInput("two files of features have one name", where=", ".join(map(str, files)), do="rename one")
    return rows, lacking


def _lacks_opacity(prepared: PreparedSet, labelled: npt.NDArray[np.bool_]) -> str | None:
    if prepared.info.opacity_hu is None:
        return "needs opacity.csv, which sets of earlier versions lack: prepare it again, its runs stay valid"
    without = sum(patient.opacity is None for patient, must in zip(prepared.patients, labelled, strict=True) if must)
    if without:
        return f"needs lung masks, which {without} of {int(labelled.sum())} patients lack: prepare with --derive-lung"
    return None
