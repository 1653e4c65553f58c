"""The maps of every run of a benchmark, scored in the same call as the classification and kept beside the runs.

``scored/triple/fold-1/seed-0.json``       of a run, ``explanation.scored_run``
``scored/references/fold-1.json``          of the maps that see no network, on the same patients
``scored/triple/fold-1/seeds.json``        how alike the maps of a method's seeds are
``scored/triple/fold-1/encoders-0.json``   how alike those of its encoders are, of seed 0
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from triplenet.benchmark.benchmark_results import BenchmarkResults
from triplenet.benchmark.benchmark_tables import with_missing
from triplenet.benchmark.execution import Benchmark
from triplenet.benchmark.kept_answers import read_kept, write_kept
from triplenet.benchmark.plan import Plan
from triplenet.evaluation.intervals import RESAMPLES
from triplenet.evaluation.map_results import MapResults, map_results, repeated_values
from triplenet.evaluation.map_strata import map_strata
from triplenet.evaluation.map_tables import map_tables
from triplenet.evaluation.tables import Table
from triplenet.explanation.map_repeats import RepeatedMaps, repeat_maps
from triplenet.explanation.scored_run import (
    SCORED_VERSION,
    ScoredMap,
    ScoredRun,
    ScoreOptions,
    score_references,
    score_run,
)
from triplenet.files import sha256_of
from triplenet.prepare.store import PreparedSet
from triplenet.processes import in_processes
from triplenet.training.job import Job
from triplenet.training.recipe import EncoderRecipe
from triplenet.training.run import Run

FOLDER = "scored"


class ScoredReferences(BaseModel):
    """Of one fold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    maps: tuple[ScoredMap, ...]


Answer = ScoredRun | ScoredReferences | RepeatedMaps


@dataclass(frozen=True)
class ScoredBenchmark:
    """All of a benchmark."""

    runs: Mapping[Job, ScoredRun] = field(default_factory=dict)
    references: Mapping[int, ScoredReferences] = field(default_factory=dict)
    """Fold -> what needs no network"""
    seeds: Mapping[tuple[str, int], RepeatedMaps] = field(default_factory=dict)
    """Method and fold -> the maps of its seeds"""
    encoders: Mapping[Job, RepeatedMaps] = field(default_factory=dict)
    """The first of the runs that differ in nothing but their encoder -> their maps"""


@dataclass(frozen=True)
class _Order:
    """One answer that is due."""

    kind: str
    path: Path
    fingerprint: str
    prepared: Path
    patients: tuple[str, ...]
    options: ScoreOptions
    device: str
    models: tuple[Path, ...] = ()
    training: tuple[str, ...] = ()
    crop: int = 0


_KINDS: Mapping[str, type[Answer]] = {"run": ScoredRun, "references": ScoredReferences, "repeats": RepeatedMaps}


def score_benchmark(
    found: Benchmark,
    options: ScoreOptions | None = None,
    *,
    device: str = "cpu",
    jobs: int | None = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> ScoredBenchmark:
    """Score the maps of the test patients of all finished runs.

    What an earlier call found of the same models, data and options is kept.

    :param jobs: processes
    :raises BadModel: a probability or a map is not finite
    """
    options = options or ScoreOptions()
    orders = _orders(found, options, device)
    answers: dict[str, Answer] = {}
    for name, order in orders.items():
        kept = read_kept(order.path, _KINDS[order.kind], order.fingerprint)
        if kept is not None:
            answers[name] = kept
    due = {name: order for name, order in orders.items() if name not in answers}
    on_progress(0, len(due))
    for done, (name, answer) in enumerate(zip(due, in_processes(_answer, list(due.values()), jobs), strict=True), 1):
        write_kept(due[name].path, answer)
        answers[name] = answer
        on_progress(done, len(due))
    return _put_together(found, answers)


def maps_together(scored: ScoredBenchmark, results: BenchmarkResults, *, resamples: int = RESAMPLES) -> MapResults:
    """The scores of a benchmark's maps as numbers of its test patients."""
    everybody = results.predictions[results.finished[0]]
    return map_results(
        scored.runs,
        {fold: each.maps for fold, each in scored.references.items()},
        everybody.patients,
        everybody.folds,
        everybody.groups,
        methods=results.finished,
        reference=results.reference,
        primary=results.benchmark.plan.primary_map_measure,
        resamples=resamples,
    )


def tables_of_maps(scored: ScoredBenchmark, maps: MapResults, results: BenchmarkResults) -> tuple[Table, ...]:
    """All tables of maps, with every failed run in them."""
    done, everybody = results.benchmark, results.predictions[results.finished[0]]
    strata = map_strata(maps, done.plan.prepared, results.predictions)
    of_seeds = [(method, 0, each) for (method, _), each in scored.seeds.items()]
    of_encoders = [(job.method, job.seed, each) for job, each in scored.encoders.items()]
    seeds, encoders = (
        repeated_values(repeats, everybody.patients, everybody.folds, everybody.groups)
        for repeats in (of_seeds, of_encoders)
    )
    return tuple(with_missing(table, done) for table in map_tables(maps, strata, seeds, encoders))


def _put_together(found: Benchmark, answers: Mapping[str, Answer]) -> ScoredBenchmark:
    runs, references, encoders = {}, {}, {}
    seeds: dict[tuple[str, int], RepeatedMaps] = {}
    for job in found.runs:
        answer, repeated = answers.get(f"run {job.path}"), answers.get(f"encoders {job.path}")
        if isinstance(answer, ScoredRun):
            runs[job] = answer
        if isinstance(repeated, RepeatedMaps):
            encoders[job] = repeated
    for name, answer in answers.items():
        kind, _, rest = name.partition(" ")
        if isinstance(answer, ScoredReferences):
            references[int(rest)] = answer
        elif kind == "seeds" and isinstance(answer, RepeatedMaps):
            method, _, fold = rest.rpartition(" ")
            seeds[method, int(fold)] = answer
    return ScoredBenchmark(runs, references, seeds, encoders)


def _answer(order: _Order) -> Answer:
    from triplenet.model import load_model

    prepared = PreparedSet.open(order.prepared)
    if order.kind == "references":
        maps = score_references(prepared, order.patients, order.training, order.crop, seed=order.options.seed)
        return ScoredReferences(fingerprint=order.fingerprint, maps=maps)
    models = [load_model(path, order.device) for path in order.models]
    if order.kind == "run":
        return score_run(models[0], prepared, order.patients, order.options, order.fingerprint)
    return repeat_maps(models, prepared, order.patients, order.fingerprint)


def _orders(found: Benchmark, options: ScoreOptions, device: str) -> dict[str, _Order]:
    """Everything that is to be known of the runs that there are, by name."""
    prepared, folder = found.plan.prepared, found.folder / FOLDER
    labels = prepared.labels(found.plan.task)
    there = [job for job, run in found.runs.items() if run.model.is_file()]
    tested = {
        fold: tuple(
            name
            for name, row in zip(
                prepared.fold(fold).test, prepared.rows(prepared.fold(fold).test).tolist(), strict=True
            )
            if labels[row] >= 0
        )
        for fold in {job.fold for job in there}
    }

    def order(kind: str, path: Path, fold: int, jobs: Sequence[Job] = (), crop: int = 0) -> _Order:
        models = tuple(found.runs[job].model for job in jobs)
        training = prepared.fold(fold).train if kind == "references" else ()
        decides = (SCORED_VERSION, kind, prepared.info.sha256, prepared.fold(fold).sha256, options, crop)
        parts = [repr(decides), *map(sha256_of, models)]
        mark = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return _Order(kind, folder / path, mark, prepared.folder, tested[fold], options, device, models, training, crop)

    orders: dict[str, _Order] = {}
    for fold in sorted(tested):
        flat = [found.runs[job] for job in there if job.fold == fold]
        path = Path("references", f"fold-{fold}.json")
        orders[f"references {fold}"] = order("references", path, fold, crop=_crop(flat, prepared.info.size))
    for job in there:
        orders[f"run {job.path}"] = order("run", Path(f"{job.path}.json"), job.fold, [job])
    for (method, fold), jobs in _alike(there).items():
        path = Path(method, f"fold-{fold}", "seeds.json")
        orders[f"seeds {method} {fold}"] = order("repeats", path, fold, jobs)
    for first, jobs in _of_encoders(found.plan, there).items():
        path = Path(first.method, f"fold-{first.fold}", f"encoders-{first.seed}.json")
        orders[f"encoders {first.path}"] = order("repeats", path, first.fold, jobs)
    return orders


def _crop(runs: Sequence[Run], size: int) -> int:
    """What 2D networks read of a slice; all of it where there are none."""
    from triplenet.model import read_card

    cards = [read_card(run.model) for run in runs]
    return min((card.crop for card in cards if card.dimensions == 2), default=size)


def _alike(runs: Sequence[Job]) -> dict[tuple[str, int], list[Job]]:
    """Method and fold -> runs that differ in nothing but their seed, two or more."""
    groups: dict[tuple[str, int], list[Job]] = {}
    for job in runs:
        groups.setdefault((job.method, job.fold), []).append(job)
    return {key: jobs for key, jobs in groups.items() if len(jobs) > 1}


def _of_encoders(plan: Plan, runs: Sequence[Job]) -> dict[Job, list[Job]]:
    """The first of them -> runs that differ in nothing but their encoder and its weights, two encoders or more."""
    groups: dict[tuple[str, int, int], dict[str, Job]] = {}
    for name in plan.methods:  # the method before its variants
        for job in (job for job in runs if job.method == name):
            recipe = plan.recipes[name]
            encoder = json.dumps([recipe.network.get("encoder"), recipe.encoder.weights])
            network = {option: value for option, value in recipe.network.items() if option != "encoder"}
            rest = recipe.model_copy(update={"encoder": EncoderRecipe(), "network": network}).dump()
            groups.setdefault((json.dumps(rest, sort_keys=True), job.fold, job.seed), {}).setdefault(encoder, job)
    alike = [list(jobs.values()) for jobs in groups.values() if len(jobs) > 1]
    return {jobs[0]: jobs for jobs in alike}
