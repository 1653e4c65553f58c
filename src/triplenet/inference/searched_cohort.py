"""How good the search is: a cohort's validation and test patients classified on the slice that a search finds.

The cohort's masks tell where the disease is, the search does not see them. A method that segments searches itself; the
others by another run of the same fold and seed that segments, else by thresholds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from triplenet import scan
from triplenet.benchmark.comparators import segments_slices
from triplenet.benchmark.execution import Benchmark
from triplenet.benchmark.kept_answers import read_kept, write_kept
from triplenet.cohort.table import Cohort, Patient
from triplenet.errors import ScanError
from triplenet.files import sha256_of
from triplenet.inference.aggregation import AGGREGATES, Aggregate, aggregate
from triplenet.inference.looked_at import LookedAt
from triplenet.inference.options import Options
from triplenet.inference.runtime import Runtime, load_runtime
from triplenet.inference.slice_choice import SliceChoice, choose_by_opacity, search_scan
from triplenet.prepare.masks import MaskFault, read_masks
from triplenet.processes import in_processes
from triplenet.scan import Series
from triplenet.scan.series import RememberedSeries
from triplenet.training.job import Job

FOLDER = "searched"
#: By which a method that does not segment is searched for, the first of the benchmark's.
FINDERS = ("triple", "triple-wsdl", "mtdl")
THRESHOLDS = "thresholds"

_Facts = dict[str, Any]
"""Fields of a ``SearchedSlice``"""


class SearchedSlice(BaseModel):
    """A patient as one run classifies it on the slices that the search found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: str
    partition: str
    refused: str = ""
    """Code of why there is no answer"""
    rule: str = ""
    """By which the slice was found"""
    evaluations: int = 0
    """Slices that the network which searched saw"""
    probabilities: dict[Aggregate, tuple[float, ...]] = {}
    """of the scan, by each way to put the slices together"""
    lesion: bool = False
    """Whether the masks show infection; the next three are None without"""
    away_mm: float | None = None
    """From the slice of the largest infection, along the axis"""
    area_ratio: float | None = None
    """Infection in the slice found against the largest of a slice"""
    shows_lesion: bool | None = None


class SearchedRun(BaseModel):
    """What one run says of its patients, as it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    by: str
    """method that searched, or ``thresholds``"""
    slices: tuple[SearchedSlice, ...]


@dataclass(frozen=True)
class _Order:
    """A fold's runs of one seed."""

    models: Mapping[str, Path]
    """method -> model file"""
    finders: Mapping[str, str]
    """method -> method that searches for it, or ``thresholds``"""
    patients: tuple[tuple[Patient, str], ...]
    """with their partitions"""
    options: Options


def search_cohort(
    found: Benchmark,
    cohort: Cohort,
    options: Options,
    *,
    jobs: int | None = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[Job, SearchedRun]:
    """Classify the validation and test patients of every run of a 2D method on searched slices.

    What an earlier call found with the same models, cohort and options is kept.

    :param cohort: the one that was prepared
    """
    prepared = found.plan.prepared
    patient_of = {one.patient: one for one in cohort}
    known: dict[Job, SearchedRun] = {}
    orders: list[tuple[list[Job], _Order]] = []
    marks = {job: _fingerprint(found, job, cohort, options) for job in found.trained if _of_slices(found, job)}
    for fold, seed in sorted({(job.fold, job.seed) for job in marks}):
        due = []
        for job in (job for job in marks if (job.fold, job.seed) == (fold, seed)):
            kept = read_kept(_path(found.folder, job), SearchedRun, marks[job])
            if kept is None:
                due.append(job)
            else:
                known[job] = kept
        if due:
            parts = prepared.fold(fold)
            patients = [(patient_of[name], part) for part in ("validation", "test") for name in getattr(parts, part)]
            models = {job.method: found.runs[job].model for job in marks if (job.fold, job.seed) == (fold, seed)}
            finders = {job.method: _finder(found, job) for job in due}
            orders.append((due, _Order(models, finders, tuple(patients), options)))
    answers = in_processes(_search_runs, [order for _, order in orders], jobs)
    on_progress(0, len(orders))
    for number, ((due, order), of_methods) in enumerate(zip(orders, answers, strict=True), start=1):
        for job in due:
            slices = tuple(of_methods[job.method])
            known[job] = SearchedRun(fingerprint=marks[job], by=order.finders[job.method], slices=slices)
            write_kept(_path(found.folder, job), known[job])
        on_progress(number, len(orders))
    return {job: known[job] for job in found.runs if job in known}


def _search_runs(order: _Order) -> dict[str, list[SearchedSlice]]:
    """Method -> its patients."""
    runtimes = {method: load_runtime(path) for method, path in order.models.items()}
    found: dict[str, list[SearchedSlice]] = {method: [] for method in order.finders}
    for patient, partition in order.patients:
        try:
            of_methods = scan.with_fallback(
                patient.scan,
                partial(_look, patient, order, runtimes),
                patient.series,
                allow_gaps=order.options.allow_gaps,
            )
        except (ScanError, MaskFault) as error:
            code = error.error.code if isinstance(error, MaskFault) else error.code
            of_methods = {method: {"refused": code} for method in found}
        for method, facts in of_methods.items():
            found[method].append(SearchedSlice(patient=patient.patient, partition=partition, **facts))
    return found


def _look(
    patient: Patient, order: _Order, runtimes: Mapping[str, Runtime], own: Series
) -> dict[str, dict[str, object]]:
    """What each method says of an opened scan, and how far from the lesion it looked."""
    canonical, how = own.canonical()
    axial = RememberedSeries(canonical)
    if len(axial) == 1:
        return {method: {"refused": "NO_VOLUME"} for method in order.finders}
    options, heights = order.options, axial.geometry.heights_mm
    masks = read_masks(
        axial.geometry,
        how,
        mask=patient.mask,
        infection=patient.infection,
        lung=patient.lung,
        names=options.segments,
    )
    areas = None if masks.infection is None or not masks.infection.any() else masks.infection.areas
    looks = {method: LookedAt(axial, runtime, options.high_opacity_hu) for method, runtime in runtimes.items()}
    chosen: dict[str, SliceChoice] = {}
    for by in dict.fromkeys(order.finders.values()):
        if by == THRESHOLDS:
            chosen[by], _ = choose_by_opacity(axial, options.lung_by, any_body_part=options.any_body_part)
        else:
            chosen[by], _ = search_scan(
                looks[by],
                smallest_lesion_mm=options.smallest_lesion_mm,
                exhaustive=options.search == "exhaustive",
                any_body_part=options.any_body_part,
            )
    said: dict[str, _Facts] = {}
    for method, by in order.finders.items():
        choice = chosen[by]
        best = choice.best(heights, options.best_slices, options.smallest_lesion_mm / 2)
        weights = [dict(choice.shown).get(index, 0.0) for index in best]
        each = looks[method].probabilities(best)
        positive = runtimes[method].card.positive
        facts: _Facts = {
            "rule": choice.rule,
            "evaluations": choice.search.evaluations if choice.search is not None else 0,
            "probabilities": {rule: tuple(aggregate(each, weights, rule, positive).tolist()) for rule in AGGREGATES},
        }
        if areas is not None:
            largest = int(np.argmax(areas))
            facts |= {
                "lesion": True,
                "away_mm": float(abs(heights[choice.index] - heights[largest])),
                "area_ratio": float(areas[choice.index] / areas[largest]),
                "shows_lesion": bool(areas[choice.index] > 0),
            }
        said[method] = facts
    return said


def _of_slices(found: Benchmark, job: Job) -> bool:
    return found.plan.catalog_method(job.method).dimensions == 2


def _segments(found: Benchmark, job: Job) -> bool:
    """Whether a run learnt to segment slices."""
    return segments_slices(found.plan.recipes[job.method])


def _finder(found: Benchmark, job: Job) -> str:
    """Who searches for a run: itself, else another run of its fold and seed, else nobody but thresholds."""
    if _segments(found, job):
        return job.method
    others = (Job(name, job.fold, job.seed) for name in FINDERS)
    return next((one.method for one in others if one in found.runs and _segments(found, one)), THRESHOLDS)


def _fingerprint(found: Benchmark, job: Job, cohort: Cohort, options: Options) -> str:
    by = _finder(found, job)
    models = [sha256_of(found.runs[job].model)]
    if by not in (THRESHOLDS, job.method):
        models.append(sha256_of(found.runs[Job(by, job.fold, job.seed)].model))
    return hashlib.sha256("\n".join([*models, by, cohort.sha256, repr(options)]).encode()).hexdigest()


def _path(folder: Path, job: Job) -> Path:
    return (folder / FOLDER / job.path).with_suffix(".json")


def answered(run: SearchedRun, partition: str) -> Iterator[SearchedSlice]:
    """The patients of a partition that have an answer."""
    return (one for one in run.slices if one.partition == partition and not one.refused)


def refusals(runs: Sequence[SearchedRun]) -> dict[str, int]:
    """Code -> patients without an answer, each counted once."""
    codes = {one.patient: one.refused for run in runs for one in run.slices if one.refused}
    return {code: list(codes.values()).count(code) for code in sorted(set(codes.values()))}
