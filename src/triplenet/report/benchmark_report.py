"""``triplenet benchmark`` as a call: trained, put together, tables, figures and the page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, get_args

from triplenet.benchmark.benchmark_files import MAPS, REPORT, TABLES, write_results
from triplenet.benchmark.benchmark_results import BenchmarkResults, check_choices, summarise
from triplenet.benchmark.cautions import cautions
from triplenet.benchmark.execution import Benchmark, Machine, run_benchmark
from triplenet.benchmark.plan import Plan, make_plan
from triplenet.benchmark.progress import OnProgress
from triplenet.benchmark.scored_benchmark import maps_together, score_benchmark, tables_of_maps
from triplenet.catalog import ALL, MAP_PATIENTS
from triplenet.cohort import load_task
from triplenet.cohort.folds import FOLDS
from triplenet.cohort.table import Cohort, combine, read_cohort
from triplenet.errors import BadInput, UnknownName
from triplenet.evaluation.figures import FOLDER, Drawn, draw_figures, remove_figures
from triplenet.evaluation.map_results import MapResults
from triplenet.evaluation.tables import Table, write_table
from triplenet.explanation.scored_run import ScoreOptions
from triplenet.files import write_json, write_text
from triplenet.prepare.store import PreparedSet
from triplenet.report.benchmark_page import benchmark_page

if TYPE_CHECKING:
    from triplenet.catalog import Task
    from triplenet.training import Recipe

SlicesBy = Literal["mask", "searched"]
SLICES: tuple[SlicesBy, ...] = get_args(SlicesBy)
Following = Callable[[Plan], AbstractContextManager[OnProgress]]
"""Given the plan, what is called with how far each run is, while they are trained."""


@dataclass(frozen=True)
class BenchmarkReport:
    """A benchmark's folder with all that was written into it."""

    benchmark: Benchmark
    results: BenchmarkResults | None
    """None where every run failed"""
    tables: tuple[Table, ...]
    figures: tuple[Drawn, ...]
    page: Path
    maps: MapResults | None = None
    """What the heat maps score; None where nobody asked"""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plan = self.benchmark.plan
        return {
            "out": str(self.benchmark.folder),
            "methods": list(plan.recipes),
            "variants": plan.shown_variants(),
            "comparators": plan.shown_comparators(),
            "not_run": {skipped.method: skipped.reason for skipped in plan.not_run},
            "runs": len(self.benchmark.runs),
            "kept": len(self.benchmark.kept),
            "failed": [
                {"method": job.method, "fold": job.fold, "seed": job.seed} | failure.model_dump()
                for job, failure in self.benchmark.failures.items()
            ],
            "cautions": list(cautions(self.benchmark, self.results)),
            "statistics": None if self.results is None else self.results.as_dict(),
            "maps": None if self.maps is None else self.maps.as_dict(),
        }


def _unfollowed(_plan: Plan) -> AbstractContextManager[OnProgress]:
    return nullcontext(lambda _progress: None)


def benchmark(
    prepared: PreparedSet | Path | str,
    out: Path | str,
    task: Task | Path | str,
    *,
    methods: Sequence[str] = (ALL,),
    folds: Sequence[int] = FOLDS,
    seeds: Sequence[int] = (0,),
    recipe: Recipe | Path | str = "default",
    settings: Sequence[str] = (),
    variants: Sequence[str] = (),
    comparators: Sequence[str] = (),
    features: Sequence[Path | str] = (),
    encoder: Path | str | None = None,
    allow_download: bool = False,
    workers: int | None = None,
    device: str = "auto",
    deterministic: bool = False,
    ray: str | None = None,
    reference: str | None = None,
    strata: Sequence[str] | None = None,
    temperature: bool = False,
    slices: Sequence[SlicesBy] = ("mask",),
    cohort: Sequence[Cohort | Path | str] = (),
    score_maps: bool = True,
    map_patients: int = MAP_PATIENTS,
    figures: bool = True,
    identifiers: bool = False,
    restart: bool = False,
    command: str = "",
    following: Following = _unfollowed,
) -> BenchmarkReport:
    """Compare methods: every method on every fold, then tables, statistics, figures and a page in the folder ``out``.

    After a stop, at whatever moment, the same call goes on. A run that fails is shown as failed.

    :param prepared: opened, or its folder, which is then compared with its checksums
    :param task: a name (``binary``), a TOML file, or the task itself
    :param methods: names, or ``all``; ``none`` looks at comparators alone
    :param settings: ``section.key=value`` of all methods, ``method:section.key=value`` of one
    :param variants: ``NAME=METHOD:section.key=value,section.key=value``: rows of their own, METHOD with other settings
    :param comparators: ``opacity``, ``segmentation``, or ``all`` that can be: rows outside the paper, the last ones
    :param features: ``.npz`` files of vectors by patient, from any model: a logistic probe each, rows of the same kind
    :param encoder: the encoders' first weights: a file, ``imagenet``, or ``none`` for random ones
    :param workers: trainings at once; by default what the machine has room for
    :param ray: train on a Ray cluster: its address, or ``local``
    :param reference: the method that the others are compared with; by default the baseline
    :param strata: columns of the cohort to part the patients by; by default the site
    :param temperature: probabilities at a temperature fitted on each run's validation patients
    :param slices: ``mask``: the slices of the prepared set; with ``searched`` the test patients are also classified on
        the slices that a search of their scans finds, for which the cohort's tables are needed
    :param cohort: those that were prepared, read or their CSVs
    :param score_maps: compare the test patients' heat maps with their lesions; where there are none nothing is compared
    :param map_patients: test patients a run about whose maps the network is asked, which costs some hundred
        evaluations each; 0: none
    :param identifiers: pseudonyms on the page instead of the patients' numbers
    :param restart: train anew what is damaged or was made otherwise
    :param command: shown on the page as what made it
    :param following: how the trainings are followed

    Errors are those of ``benchmark.make_plan``, ``run_benchmark`` and ``summarise``.
    """
    began = monotonic()
    known = _cohort(slices, cohort)
    plan = make_plan(
        PreparedSet.of(prepared),
        load_task(task),
        methods,
        folds=folds,
        seeds=seeds,
        recipe=recipe,
        settings=[*settings, *([] if encoder is None else [f"encoder.weights={encoder}"])],
        variants=variants,
        comparators=comparators,
        features=features,
    )
    check_choices(plan, reference, strata)
    if known is not None and known.sha256 != plan.prepared.info.cohort_sha256:
        raise BadInput("this is not the cohort that was prepared", where=known.path, do="give the same table")
    machine = Machine(device, workers, ray, deterministic, allow_download)
    with following(plan) as on_progress:
        done = run_benchmark(plan, out, machine, restart=restart, on_progress=on_progress)
    results = None if not done.runs else summarise(done, reference=reference, columns=strata, temperature=temperature)
    tables = () if results is None else write_results(results)
    if results is not None and known is not None:
        tables = (*tables, *_searched(done, known, results.positive, workers))
    maps = None
    if results is not None and score_maps and done.trained:
        maps, more = _scored(done, results, ScoreOptions(asked=map_patients), device, workers)
        tables = (*tables, *more)
    drawn = _draw(done, results if figures else None, maps, device)
    page = done.folder / REPORT
    seconds = monotonic() - began
    shown = benchmark_page(done, results, tables, drawn, command=command, identifiers=identifiers, seconds=seconds)
    write_text(page, shown)
    return BenchmarkReport(done, results, tables, drawn, page, maps)


def _cohort(slices: Sequence[SlicesBy], tables: Sequence[Cohort | Path | str]) -> Cohort | None:
    """The cohort whose scans are searched; None where none is to be.

    :raises UnknownName, BadInput: before anything is trained
    """
    unknown = [name for name in slices if name not in SLICES]
    if unknown or "mask" not in slices:
        raise UnknownName("unknown slices", where=repr(",".join(slices)), do="give mask, or mask,searched")
    if "searched" not in slices:
        return None
    if not tables:
        raise BadInput("to search the scans their cohort is needed", do="give the table that was prepared: --cohort")
    return combine([one if isinstance(one, Cohort) else read_cohort(one) for one in tables])


def _searched(done: Benchmark, cohort: Cohort, positive: int | None, jobs: int | None) -> tuple[Table, ...]:
    from triplenet.inference.options import Options
    from triplenet.inference.searched_cohort import search_cohort
    from triplenet.inference.searched_tables import searched_tables

    found = searched_tables(done, search_cohort(done, cohort, Options(), jobs=jobs or 1), positive)
    for table in found:
        write_table(done.folder / TABLES, table)
    return found


def _scored(
    done: Benchmark, results: BenchmarkResults, options: ScoreOptions, device: str, jobs: int | None
) -> tuple[MapResults | None, tuple[Table, ...]]:
    """The scores of the maps and their tables; nothing where no mask tells of a test patient's lesion or lung."""
    from triplenet.training.device import choose_device

    chosen = str(choose_device(device))
    scored = score_benchmark(done, options, device=chosen, jobs=1 if chosen != "cpu" else jobs)
    maps = maps_together(scored, results)
    tables = tables_of_maps(scored, maps, results)
    for table in tables:
        write_table(done.folder / TABLES, table)
    write_json(done.folder / MAPS, maps.as_dict())
    return maps, tables


def _draw(done: Benchmark, results: BenchmarkResults | None, maps: MapResults | None, device: str) -> tuple[Drawn, ...]:
    folder = done.folder / FOLDER
    if results is None:
        remove_figures(folder)  # those of an earlier call may show something else
        return ()
    if not done.trained:
        return draw_figures(results, folder)
    from triplenet.training.device import choose_device

    return draw_figures(results, folder, done.plan.prepared, maps=maps, device=str(choose_device(device)))
