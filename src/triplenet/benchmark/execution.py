"""A benchmark from plan to finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from triplenet.benchmark.cluster import run_on_ray
from triplenet.benchmark.comparator_runs import run_comparators
from triplenet.benchmark.local import WorkerShare, run_here, share_machine
from triplenet.benchmark.plan import Plan, code_version
from triplenet.benchmark.progress import BenchmarkProgress, OnProgress, RunProgress
from triplenet.benchmark.records import (
    Failure,
    damaged,
    finished_run,
    make_ready,
    next_steps,
    record_path,
    run_folder,
)
from triplenet.benchmark.worker import Order
from triplenet.errors import BadRun, Interrupted, NoEncoderWeights, OutputExists, OutputFailed, UnknownName
from triplenet.files import write_csv, write_json
from triplenet.model import task_card
from triplenet.relative_paths import argument_shown
from triplenet.training.job import Job
from triplenet.training.run import Run, locked

INFO, RUNS_TABLE = "benchmark.json", "runs.csv"


@dataclass(frozen=True)
class Machine:
    """Where and how runs are computed; nothing of it decides their fingerprints."""

    device: str = "auto"
    workers: int | None = None
    ray: str | None = None
    deterministic: bool = False
    allow_download: bool = False
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's folder with its runs."""

    folder: Path
    plan: Plan
    runs: Mapping[Job, Run]
    """The finished ones"""
    failures: Mapping[Job, Failure]
    kept: tuple[Job, ...]
    """Finished earlier"""
    where: str
    """What trained, in words"""

    @property
    def trained(self) -> dict[Job, Run]:
        """Of the finished ones those that have a network: no comparator's."""
        return {job: run for job, run in self.runs.items() if job.method in self.plan.recipes}


def run_benchmark(
    plan: Plan,
    out: Path | str,
    machine: Machine | None = None,
    *,
    restart: bool = False,
    on_progress: OnProgress = lambda _progress: None,
) -> Benchmark:
    """Train what is not trained yet. The same call after a stop, at whatever moment, goes on.

    :param restart: train anew what is damaged or was made with another recipe, data or code
    :param on_progress: called a few times a second with how far each run is
    :raises OutputExists: ``out`` holds something else
    :raises RunMismatch: runs in ``out`` were made with another recipe, data or code
    :raises BadRun: another process works in ``out``
    :raises Interrupted: Ctrl-C
    """
    machine = machine or Machine()
    _check_device(machine)
    out = Path(out).resolve()
    if out.exists() and not (out / INFO).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExists("the output exists and is no benchmark", where=out, do="name another")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(f"cannot write ({error.strerror})", where=out) from error
    with locked(out):
        plan = replace(plan, encoders=_encoders(plan))
        steps = next_steps(plan, out, restart=restart)
        beginning = [job for job, step in steps.items() if step == "begin"]
        if beginning:
            _check_networks(plan, machine, beginning)
            if len(plan.encoders) < len(plan.recipes):  # what had to be fetched is here now
                plan = replace(plan, encoders=_encoders(plan))
        write_json(out / INFO, _info(plan))
        progress_of: BenchmarkProgress = {}
        for job, step in steps.items():
            make_ready(plan, out, job, step)
            epochs = plan.recipes[job.method].training.epochs
            progress_of[job] = RunProgress("kept" if step == "keep" else "waiting", of=epochs)
            if step == "damaged":
                progress_of[job] = RunProgress("failed", of=epochs, failure=damaged(out, job))
        for half in out.glob(".tmp-*"):
            half.unlink(missing_ok=True)
        orders = {job: _order(plan, out, job, machine) for job, step in steps.items() if step in ("begin", "resume")}
        # Of all the jobs, not of those that are left: another number of threads would give other bits.
        share = share_machine(len(steps), machine.device, machine.workers) if steps else WorkerShare(1, 1)
        on_progress(progress_of)
        try:
            if orders and machine.ray is not None:
                run_on_ray(orders, out, progress_of, machine.ray, on_progress, device=machine.device)
            elif orders:
                run_here(orders, out, progress_of, share, on_progress)
            runs = _finished(out, progress_of)
            run_comparators(plan, out, runs, progress_of, on_progress, device=machine.device)
        except KeyboardInterrupt:
            raise Interrupted("stopped", where=out, do="the same command goes on where it stopped") from None
        compared = {job: progress_of[job] for job in plan.comparator_jobs()}
        runs |= _finished(out, compared)
        progress_of |= compared
        found = Benchmark(
            folder=out,
            plan=plan,
            runs=runs,
            failures={job: one.failure for job, one in progress_of.items() if one.failure is not None},
            kept=tuple(job for job, one in progress_of.items() if one.state == "kept"),
            where=_where(share, machine),
        )
        write_csv(out / RUNS_TABLE, _rows(found))
    return found


def _finished(out: Path, progress_of: BenchmarkProgress) -> dict[Job, Run]:
    runs = {}
    for job, progress in progress_of.items():
        if progress.state == "failed":
            continue
        try:
            run = finished_run(out, job)
            if run is None:
                raise BadRun("the run is not complete", where=run_folder(out, job), do="run the same command again")
            run.predictions()
        except BadRun as error:
            progress_of[job] = replace(progress, state="failed", failure=Failure.of(error, out))
        else:
            runs[job] = run
    return runs


def _order(plan: Plan, out: Path, job: Job, machine: Machine) -> Order:
    return Order(
        prepared=str(plan.prepared.folder.resolve()),
        task=task_card(plan.task),
        classes=plan.task.classes,
        fold=job.fold,
        recipe=plan.recipe(job).dump(),
        run=str(run_folder(out, job)),
        record=str(record_path(out, job)),
        device=machine.device,
        deterministic=machine.deterministic,
        allow_download=machine.allow_download,
        checkpoint_every_s=machine.checkpoint_every_s,
    )


def _check_networks(plan: Plan, machine: Machine, jobs: list[Job]) -> None:
    """What would stop every run of a method stops the benchmark at once: options, weights not to be had."""
    from triplenet import networks
    from triplenet.networks.encoder_weights import initialise

    for method in dict.fromkeys(job.method for job in jobs):
        recipe = plan.recipes[method]
        network = networks.build(recipe.method, classes=len(plan.task.classes), **recipe.network)
        initialise(network, recipe.encoder.weights, allow_download=machine.allow_download)


def _check_device(machine: Machine) -> None:
    """Refuse a GPU where there is none, before anything is trained and without taking hold of one.

    :raises UnknownName: there is none; a Ray cluster may have one elsewhere
    """
    if machine.ray is None and machine.device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise UnknownName("torch finds no GPU here", where=f"device {machine.device!r}", do="use auto or cpu")


def _encoders(plan: Plan) -> dict[str, str]:
    """What each method's encoder starts from, where the file is at hand."""
    if not plan.recipes:
        return {}  # torch may not be there
    from triplenet.networks.encoder_weights import weights_of
    from triplenet.networks.outline import outline

    found = {}
    for method, recipe in plan.recipes.items():
        network = outline(recipe.method, classes=len(plan.task.classes), **recipe.network)  # only its kind is asked for
        try:
            weights = weights_of(network, recipe.encoder.weights)
        except NoEncoderWeights:
            continue
        found[method] = "none" if weights is None else weights.sha256
    return found


def _info(plan: Plan) -> dict[str, object]:
    return {
        "format": "triplenet benchmark",
        "version": 1,
        "task": task_card(plan.task).model_dump(mode="json"),
        "classes": list(plan.task.classes),
        "methods": list(plan.recipes),
        "not_run": {one.method: one.reason for one in plan.not_run},
        "folds": list(plan.folds),
        "seeds": list(plan.seeds),
        "recipe": argument_shown(plan.source),
        "settings": [argument_shown(setting) for setting in plan.settings],
        **({"variants": plan.shown_variants()} if plan.variants else {}),
        **({"comparators": plan.shown_comparators()} if plan.comparators else {}),
        "data_sha256": plan.prepared.info.sha256,
        "code": code_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _rows(found: Benchmark) -> list[dict[str, object]]:
    """``runs.csv``: every run that was planned, finished, failed or not possible."""
    rows: list[dict[str, object]] = []
    for job in found.plan.jobs():
        row: dict[str, object] = {"method": job.method, "fold": job.fold, "seed": job.seed}
        run, failure = found.runs.get(job), found.failures.get(job)
        if run is not None:
            info = run.info
            row |= {
                "status": "complete",
                "code": "",
                "text": "",
                "epochs": info.epochs,
                "kept_epoch": info.best_epoch,
                "seconds": f"{info.seconds or 0:.1f}",
                "resumed": info.resumed,
                **{f"validation_{name}": "" if value is None else value for name, value in info.validation.items()},
            }
        elif failure is not None:
            row |= {"status": "failed", "code": failure.code, "text": failure.text}
        rows.append(row)
    rows += [{"method": one.method, "status": "not run", "text": one.reason} for one in found.plan.not_run]
    order = found.plan.order
    return sorted(rows, key=lambda row: order.index(str(row["method"])))


def _where(share: WorkerShare, machine: Machine) -> str:
    if machine.ray is not None:
        return "a Ray cluster"
    gpus = f", {len(share.gpus)} GPUs" if share.gpus else ""
    workers = f"{share.workers} worker{'s' if share.workers > 1 else ''}"
    return f"{workers} with {share.threads} thread{'s' if share.threads > 1 else ''} each{gpus}"
