"""The scores of the maps of several runs as numbers of patients: what tables and figures of maps show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from triplenet.catalog import MapMeasure
from triplenet.evaluation.intervals import RESAMPLES, Estimate, Groups
from triplenet.evaluation.map_statistics import (
    MapComparison,
    MapValues,
    against_best,
    compare_maps,
    map_estimates,
    map_ranks,
    mean_over_seeds,
    measures_agree,
)
from triplenet.explanation.labelled_maps import CLASS, OWN, SEGMENTATION
from triplenet.explanation.map_repeats import RepeatedMaps
from triplenet.explanation.map_scores import MEASURES
from triplenet.explanation.reference_maps import REFERENCES
from triplenet.explanation.scored_run import SECOND_READER, ScoredMap, ScoredRun
from triplenet.files import jsonable
from triplenet.training.job import Job

#: Of a patient without a lesion there is only how much there is anywhere.
ENERGY = "energy"
#: What the network answers about a map: name -> whether more is better.
ASKED: Mapping[str, bool] = {
    "road": True,
    "insertion": True,
    "deletion": False,
    "follows_noise": True,
    "follows_occlusion": True,
}

#: Of measures that differ in little, one: those whose agreement is asked for.
JUDGING = (
    "pointing_game",
    "energy_in_lesion",
    "average_precision",
    "rank",
    "dice_matched",
    "dice_otsu",
    "road",
    "insertion",
    "deletion",
    "follows_occlusion",
)


@dataclass(frozen=True)
class MapKey:
    """Whose map it is."""

    method: str
    """Empty for one that sees no network"""
    map: str
    """``own``, ``class``, ``segmentation``, ``second-reader`` or one of ``REFERENCES``"""

    def __str__(self) -> str:
        return f"{self.method}/{self.map}" if self.method else self.map

    @property
    def is_ceiling(self) -> bool:
        """Whether it knows where the lesion is told to be: no explanation, but what one may reach."""
        return self.map in (SEGMENTATION, SECOND_READER)


@dataclass(frozen=True)
class MapResults:
    """Everything about the maps of a benchmark."""

    keys: tuple[MapKey, ...]
    """Methods in the tables' order, each with its own map first; then ceilings, then those that see no network"""
    primary: MapMeasure
    reference: str
    """The method that the others are compared with"""
    patients: tuple[str, ...]
    folds: npt.NDArray[np.int64]
    measures: Mapping[str, MapValues]
    """By the names of ``MEASURES``, by ``energy`` of patients without a lesion, and those of ``ASKED``"""
    estimates: Mapping[str, Mapping[str, Estimate]]
    """Measure -> map -> mean with interval"""
    compared: Mapping[str, MapComparison]
    """Own map -> against the reference's, by the primary measure"""
    against_none: Mapping[str, MapComparison]
    """Map -> against the best that sees no network, by the primary measure"""
    ranks: Mapping[str, Estimate]
    """Own map -> by the primary measure"""
    agreement: Mapping[tuple[str, str], Estimate]
    runs: Mapping[Job, ScoredRun]

    def as_dict(self) -> dict[str, JsonValue]:
        """``maps.json``; nothing for what is not defined."""
        found = {
            "format": "triplenet map scores",
            "version": 1,
            "primary": self.primary,
            "reference": self.reference,
            "means": {
                measure: {
                    name: asdict(estimate) | {"patients": self.measures[measure].patients(name)}
                    for name, estimate in each.items()
                    if self.measures[measure].patients(name)
                }
                for measure, each in self.estimates.items()
            },
            "against_reference": [asdict(one) for one in self.compared.values()],
            "against_what_sees_no_network": [asdict(one) for one in self.against_none.values()],
            "places": {name: asdict(one) for name, one in self.ranks.items()},
            "agreement": [{"measures": list(pair)} | asdict(estimate) for pair, estimate in self.agreement.items()],
        }
        plain: dict[str, JsonValue] = jsonable(found)
        return plain

    def titled(self) -> Iterator[tuple[str, MapKey]]:
        """Names and keys."""
        return ((str(key), key) for key in self.keys)


def map_results(
    runs: Mapping[Job, ScoredRun],
    references: Mapping[int, Sequence[ScoredMap]],
    patients: Sequence[str],
    folds: npt.NDArray[np.int64],
    groups: Groups | None,
    *,
    methods: Sequence[str],
    reference: str,
    primary: MapMeasure,
    resamples: int = RESAMPLES,
) -> MapResults:
    """Put the scores of finished runs together.

    :param references: fold -> what needs no network
    :param patients: (N,) all test patients, ``folds`` and ``groups`` likewise
    :param methods: in the order of the tables
    :param reference: see ``results.reference_of``; the first method with a map where it has none
    """
    keys = _keys(runs, references, methods)
    measures: dict[str, MapValues] = {}
    for name in (*MEASURES, ENERGY):
        values = _scored_values(runs, references, keys, patients, name)
        measures[name] = MapValues(name, values, folds, groups, higher_is_better=name != ENERGY)
    for name, higher in ASKED.items():
        measures[name] = MapValues(name, _asked_values(runs, keys, patients, name), folds, groups, higher)
    own = [str(key) for key in keys if key.map == OWN]
    explaining = [str(key) for key in keys if key.method and not key.is_ceiling]
    unseeing = [str(key) for key in keys if not key.method and not key.is_ceiling]
    first = str(MapKey(reference, OWN))
    judging = dict.fromkeys((primary, *JUDGING))
    known = [one for one in map(measures.__getitem__, judging) if any(one.patients(name) for name in own)]
    chosen = measures[primary]
    return MapResults(
        keys=keys,
        primary=primary,
        reference=reference,
        patients=tuple(patients),
        folds=folds,
        measures=measures,
        estimates={name: map_estimates(one, resamples=resamples) for name, one in measures.items()},
        compared=compare_maps(chosen, own, first if first in own else own[0], resamples=resamples) if own else {},
        against_none=against_best(chosen, explaining, unseeing, resamples=resamples),
        ranks=map_ranks(chosen, own, resamples=resamples),
        agreement=measures_agree(known, own, resamples=resamples),
        runs=runs,
    )


def _keys(
    runs: Mapping[Job, ScoredRun], references: Mapping[int, Sequence[ScoredMap]], methods: Sequence[str]
) -> tuple[MapKey, ...]:
    there = {(job.method, one.map) for job, run in runs.items() for one in run.maps}
    explaining = [MapKey(method, name) for method in methods for name in (OWN, CLASS) if (method, name) in there]
    ceilings = [MapKey(method, SEGMENTATION) for method in methods if (method, SEGMENTATION) in there]
    alone = {one.map for each in references.values() for one in each}
    ceilings += [MapKey("", SECOND_READER)] * (SECOND_READER in alone)
    return (*explaining, *ceilings, *(MapKey("", name) for name in REFERENCES if name in alone))


def _scored_values(
    runs: Mapping[Job, ScoredRun],
    references: Mapping[int, Sequence[ScoredMap]],
    keys: Sequence[MapKey],
    patients: Sequence[str],
    name: str,
) -> dict[str, npt.NDArray[np.float64]]:
    """Map -> (N,) one of the scores; ``energy`` of patients who are known to have no lesion."""
    rows: dict[MapKey, dict[tuple[str, int], float | None]] = {key: {} for key in keys}
    alone = ((MapKey("", one.map), 0, one) for each in references.values() for one in each)
    trained = ((MapKey(job.method, one.map), job.seed, one) for job, run in runs.items() for one in run.maps)
    for key, seed, one in (*trained, *alone):
        counts = name != ENERGY or one.scores["lesion_pixels"] == 0
        rows[key][one.patient, seed] = one.scores[name] if counts else None
    return {str(key): mean_over_seeds(of, patients) for key, of in rows.items()}


def _asked_values(
    runs: Mapping[Job, ScoredRun], keys: Sequence[MapKey], patients: Sequence[str], name: str
) -> dict[str, npt.NDArray[np.float64]]:
    """Map -> (N,) what the network answers."""
    rows: dict[MapKey, dict[tuple[str, int], float | None]] = {key: {} for key in keys}
    for job, run in runs.items():
        for one in run.asked:
            rows[MapKey(job.method, one.map)][one.patient, job.seed] = getattr(one, name)
    return {str(key): mean_over_seeds(of, patients) for key, of in rows.items()}


def repeated_values(
    repeats: Sequence[tuple[str, int, RepeatedMaps]],
    patients: Sequence[str],
    folds: npt.NDArray[np.int64],
    groups: Groups | None,
) -> dict[str, MapValues]:
    """``ssim`` and ``spearman`` of the maps of a method's networks, by patients.

    :param repeats: method, seed (0 where they are of several) and the maps of one fold; a patient's are averaged over
        the seeds. Nothing comes of nothing
    """
    if not repeats:
        return {}
    methods = list(dict.fromkeys(method for method, _, _ in repeats))
    found = {}
    for name in ("ssim", "spearman"):
        rows: dict[str, dict[tuple[str, int], float | None]] = {method: {} for method in methods}
        for method, seed, each in repeats:
            for one in each.patients:
                rows[method][one.patient, seed] = getattr(one, name)
        values = {method: mean_over_seeds(of, patients) for method, of in rows.items()}
        found[name] = MapValues(name, values, folds, groups)
    return found
