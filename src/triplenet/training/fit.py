"""One training from beginning to end: start or resume, epochs, the kept weights, the run's files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from triplenet import catalog, losses, networks
from triplenet.catalog import Task
from triplenet.errors import (
    BadRecipe,
    BadRun,
    Interrupted,
    OutOfMemory,
    OutputFailed,
    TrainingDiverged,
)
from triplenet.files import sha256_of
from triplenet.model import fit_temperature, input_fault, save_model
from triplenet.networks.base import Network
from triplenet.prepare.store import PreparedSet
from triplenet.processes import usable_threads
from triplenet.training import run as runs
from triplenet.training.average import Average
from triplenet.training.checkpoint import last_epoch, remove_checkpoints, save_checkpoint
from triplenet.training.data import FoldData, Subset, load_fold
from triplenet.training.device import check_compiler, choose_device, choose_precision, computing
from triplenet.training.distributed import ProcessTeam, distributed_context, share_batch_norm
from triplenet.training.feature_spread import fit_embedding
from triplenet.training.loop import OnStep, advance, evaluate, evaluation_crop, finished
from triplenet.training.optimiser import make_optimiser
from triplenet.training.recipe import Recipe
from triplenet.training.resume import begun_run, refuse_mismatch, start
from triplenet.training.run import Predictions, Run, RunInfo, open_run
from triplenet.training.run_info import describe, hardware, model_card
from triplenet.training.state import Best, Epoch, State, capture
from triplenet.training.step import Step
from triplenet.training.step_graph import CudaRecorder, StepGraph
from triplenet.training.trackers import Tracker, choose_trackers, open_trackers

OnEpoch = Callable[[Epoch], None]
CHECKPOINT_EVERY_S = 60.0
MICRO_BATCH_3D = 4


def train_recipe(
    prepared: PreparedSet,
    task: Task,
    fold: int,
    recipe: Recipe,
    out: Path | str,
    *,
    device: str = "auto",
    resume: bool = False,
    restart_schedule: bool = False,
    deterministic: bool = False,
    stream: bool | None = None,
    track: Sequence[Tracker] | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    allow_download: bool = False,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> Run:
    """Train one method on one fold and write the run into ``out``.

    On the processor the same arguments give the same bits; so does a run that was stopped and resumed. Processes that
    ``torchrun`` started train one network together; only the first one writes, calls back and gives a folder that is
    sure to be there.

    :param resume: go on where the run in ``out`` stopped; begin if there is none; give it back if it is complete
    :param restart_schedule: with ``resume``: train for the recipe's epochs from here on, which may be other ones than
        before; lambda and the learning rate begin again. A finished run goes on from its kept weights
    :param deterministic: the same bits on a GPU too, more slowly; refused where torch has no such algorithm
    :param stream: read each batch from the prepared set when it is due; by default only where the data does not fit
    :param track: programs that follow the run; by default TensorBoard where it is installed
    :param on_epoch: called after each epoch with its line of the history
    :param on_step: called after each step with (epoch, steps done in it, steps in an epoch)
    :param allow_download: whether ImageNet weights may be fetched from torchvision's address
    :param checkpoint_every_s: at the most, the seconds of work (and the epoch begun) that a kill costs
    :raises OutputExists: ``out`` is there and ``resume`` is not given
    :raises RunMismatch: the run was begun with another recipe, task, fold or data
    :raises TrainingDiverged: the loss is no longer finite
    :raises Interrupted: Ctrl-C; the last state stays
    :raises OutputFailed: no room, no permission; the last state stays
    :raises OutOfMemory: of a GPU; the last state stays
    :raises ProcessFailed: the first of several processes stopped
    """
    asked = _Request(
        prepared, task, fold, recipe.for_images(prepared.info), Path(out),
        resume=resume, restart_schedule=restart_schedule, deterministic=deterministic, stream=stream,
        allow_download=allow_download,
    )  # fmt: skip
    trackers = choose_trackers(track)
    with ExitStack() as stack:
        team = stack.enter_context(distributed_context(device))
        job = _begin(asked, stack, team, choose_device(device, team.local_rank))
        if isinstance(job, Run):
            return job
        followers: Sequence[OnEpoch] = ()
        if team.is_main:
            followers = stack.enter_context(open_trackers(trackers, job.out, job.info, job.recipe, job.state.done))
        with _stops_told(job.out, job.state):
            job.run_epochs(on_epoch, on_step, followers, checkpoint_every_s)
            return job.finish()


@dataclass(frozen=True)
class _Request:
    """What is to be trained, and how."""

    prepared: PreparedSet
    task: Task
    fold: int
    recipe: Recipe
    out: Path
    resume: bool
    restart_schedule: bool
    deterministic: bool
    stream: bool | None
    allow_download: bool


def _begin(asked: _Request, stack: ExitStack, team: ProcessTeam, device: torch.device) -> _Job | Run:
    """Everything before the first epoch, in each process; the run itself where it is complete and nothing is left."""
    recipe, out = asked.recipe, asked.out
    begun = begun_run(out, asked.resume, team, device)
    # Other threads, other sums.
    threads = max(1, usable_threads() // team.local_count) if begun is None else begun.hardware.threads
    seeds = np.random.SeedSequence(recipe.training.seed).generate_state(2)
    stack.enter_context(computing(device, threads, int(seeds[0]), deterministic=asked.deterministic))
    network = _network(recipe, asked.task, device, team)
    data = _load(asked, network, device)
    _check(recipe, asked.prepared, data, asked.task, device, team)
    precision = choose_precision(recipe.training.precision, device)
    computer = hardware(
        device, threads=threads, processes=team.count, precision=precision, deterministic=asked.deterministic
    )
    info = describe(asked.prepared, asked.task, asked.fold, recipe, data, network, computer, out)
    if begun is not None:
        refuse_mismatch(out, begun, info, other_epochs=asked.restart_schedule)
        if begun.status == "complete" and not asked.restart_schedule:
            if team.is_main:
                remove_checkpoints(out / runs.STATE)
            return Run(out, begun)
    state = _first_state(recipe, network, device, int(seeds[1]))
    info = start(stack, out, info, begun, state, recipe, asked.allow_download, asked.restart_schedule, team, device)
    step = Step(
        network,
        losses.objective(recipe.method, recipe.loss, group=team.group).to(device),
        state.optimiser,
        micro_rows=_micro_rows(recipe, team),
        precision=precision,
        compiled=recipe.training.compile,
        graph=StepGraph(CudaRecorder(device)) if recipe.training.cuda_graph else None,
        team=team,
    )
    if recipe.training.compile:
        stack.callback(torch.compiler.reset)  # the next network's code has no use for this one's
    return _Job(out, info, state, step, data, recipe, asked.prepared, asked.task)


def _load(asked: _Request, network: Network, device: torch.device) -> FoldData:
    recipe = asked.recipe
    return load_fold(
        asked.prepared,
        asked.task,
        asked.fold,
        catalog.method(recipe.method),
        lungs=network.channels == 2,
        whole_masks=recipe.training.without_mask == "refuse",
        mean=recipe.augmentation.mean,
        patients=recipe.training.patients,
        mask_share=recipe.training.mask_share,
        seed=recipe.training.seed,
        device=device,
        stream=asked.stream,
    )


def _first_state(recipe: Recipe, network: Network, device: torch.device, seed: int) -> State:
    """Before the first epoch, with the network as it was built."""
    training = recipe.training
    optimiser = make_optimiser(network, training, device)
    average = Average(training.average, training.average_decay, math.floor(training.average_from * training.epochs))
    return State(network, optimiser, torch.Generator(device).manual_seed(seed), average)


@contextmanager
def _stops_told(out: Path, state: State) -> Iterator[None]:
    """Whatever stops the training says what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"stopped in epoch {state.done + 1}", where=out, do=_kept(out)) from None
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            "the GPU's memory is full",
            where=out,
            do=f"train anew with a smaller training.micro_batch or training.batch; {_kept(out)}",
        ) from error
    except TrainingDiverged as error:
        raise TrainingDiverged(error.what, where=out, do=f"{error.do}; {_kept(out)}") from error
    except OutputFailed as error:
        raise OutputFailed(error.what, where=error.where, do=f"{error.do}; {_kept(out)}") from error


@dataclass(frozen=True)
class _Job:
    """A training that has begun."""

    out: Path
    info: RunInfo
    state: State
    step: Step
    data: FoldData
    recipe: Recipe
    prepared: PreparedSet
    task: Task

    @property
    def is_main(self) -> bool:
        return self.step.team.is_main

    def run_epochs(
        self, on_epoch: OnEpoch | None, on_step: OnStep | None, followers: Sequence[OnEpoch], checkpoint_every_s: float
    ) -> None:
        """All the epochs that are left."""
        state, training = self.state, self.recipe.training
        views = catalog.method(self.recipe.method).views
        if state.history and self.is_main:
            # What was written after the state that is gone on from will come again.
            runs.write_history(self.out, [row.columns() for row in state.history])
        saved = perf_counter()
        while not finished(state, training):
            row = advance(state, self.data, self.step, self.recipe, views, on_step if self.is_main else None)
            if not self.is_main:
                continue
            if perf_counter() - saved >= checkpoint_every_s or finished(state, training):
                save_checkpoint(self.out / runs.STATE, row.epoch, *capture(state))
                saved = perf_counter()
            runs.write_history(self.out, [one.columns() for one in state.history])
            for follow in (*followers, *([on_epoch] if on_epoch else ())):
                follow(row)

    def finish(self) -> Run:
        """The kept weights' predictions and model file; ``run.json`` says complete only when both are there."""
        state, out = self.state, self.out
        best = state.best
        if best is None:  # a recipe has at least one epoch
            raise BadRun("no epoch was trained", where=out)
        state.network.load_state_dict(best.weights)
        crop = evaluation_crop(self.recipe, self.data)
        predictions = _predict(state.network, self.data, crop, self.step.team)
        kept = state.history[best.epoch]
        validation: dict[str, float | None] = {
            "accuracy": kept.validation_accuracy,
            "auc": kept.validation_auc,
            "loss": kept.validation_loss,
        }
        done: dict[str, Any] = {
            "status": "complete",
            "finished": datetime.now(UTC),
            "seconds": sum(row.seconds for row in state.history),
            "epochs": state.done,
            "best_epoch": best.epoch,
            "validation": validation,
        }
        with self.step.team.lead(self.data.mean_image.device) as leads:
            if leads:
                runs.write_predictions(out, predictions, self.task.classes)
                self._save_model(out / runs.MODEL, crop, best, validation, predictions.of("validation"))
                done["files"] = {name: sha256_of(out / name) for name in (runs.HISTORY, runs.MODEL, runs.PREDICTIONS)}
                runs.write_info(out, self.info.model_copy(update=done))
                remove_checkpoints(out / runs.STATE)
        return open_run(out) if self.is_main else Run(out, self.info.model_copy(update=done))

    def _save_model(
        self, path: Path, crop: int, best: Best, validation: Mapping[str, float | None], predictions: Predictions
    ) -> None:
        """The kept weights, and what tells a scan that is unlike the training patients'."""
        temperature = None
        if self.recipe.training.temperature:
            temperature = fit_temperature(predictions.labels, predictions.probabilities).value
        network, mean_image = self.state.network, self.data.mean_image
        embedding, facts = fit_embedding(network, self.data, crop) or (None, None)
        card = model_card(
            self.recipe, self.task, self.info, self.data, self.prepared, crop, best, validation, temperature, facts
        )
        save_model(path, network, mean_image, card, embedding)


def _predict(network: Network, data: FoldData, crop: int, team: ProcessTeam) -> Predictions:
    parts: Mapping[str, Subset] = {"validation": data.validation, "test": data.test}
    probabilities = [evaluate(network, part, data.mean_image, crop, team)[0] for part in parts.values()]
    return Predictions(
        tuple(patient for part in parts.values() for patient in part.patients),
        tuple(name for name, part in parts.items() for _ in part.patients),
        np.concatenate([part.labels.cpu().numpy() for part in parts.values()]),
        np.concatenate(probabilities).astype(float),
    )


def _network(recipe: Recipe, task: Task, device: torch.device, team: ProcessTeam) -> Network:
    network = networks.build(recipe.method, classes=len(task.classes), **recipe.network).to(device)
    lay_out(network, device)
    share_batch_norm(network, team, device)
    return network


def lay_out(network: Network, device: torch.device) -> None:
    """Keep the channels of a pixel together where kernels like that: always in 2D, in 3D on a GPU only."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
        elif parameter.ndim == 5 and device.type == "cuda":
            parameter.data = parameter.data.to(memory_format=torch.channels_last_3d)


def _micro_rows(recipe: Recipe, team: ProcessTeam) -> int:
    """Rows of a process's batch that are computed at once; 0 for all."""
    method = catalog.method(recipe.method)
    chosen = recipe.training.micro_batch
    if chosen == "whole" or (chosen == "auto" and method.dimensions == 2):
        return 0
    patients = MICRO_BATCH_3D if chosen == "auto" else int(chosen)
    return 0 if patients >= recipe.training.batch // team.count else patients * method.views


def _check(
    recipe: Recipe, prepared: PreparedSet, data: FoldData, task: Task, device: torch.device, team: ProcessTeam
) -> None:
    if recipe.training.compile:
        if team.count > 1:
            raise BadRecipe(
                "training.compile: what several processes share cannot be compiled",
                do="leave it off, or use one process",
            )
        check_compiler(device)
    if recipe.training.cuda_graph:
        _check_cuda_graph(recipe, device, team)
    if recipe.training.batch % team.count:
        raise BadRecipe(
            f"training.batch: {recipe.training.batch} patients cannot be shared equally by {team.count} processes",
            do="choose a multiple",
        )
    shape = data.test.images.shape
    frames = int(shape[1]) if len(shape) == 4 else 0
    fault = input_fault(prepared.info.window_hu, data.size, evaluation_crop(recipe, data), frames, task.classes)
    if fault is not None:
        raise BadRecipe(f"nobody could use the model: {fault}", where=prepared.folder)
    weights = recipe.loss.class_weights
    if weights is not None and len(weights) != len(task.classes):
        raise BadRecipe(
            f"loss.class_weights: {len(weights)} numbers for {len(task.classes)} classes", where=f"task {task.name!r}"
        )
    if recipe.training.keep == "best-auc" and set(data.validation.labels.tolist()) != set(range(len(task.classes))):
        raise BadRecipe(
            "training.keep: best-auc needs validation patients of every class", do="use best, or another fold or task"
        )


def _check_cuda_graph(recipe: Recipe, device: torch.device, team: ProcessTeam) -> None:
    if device.type != "cuda":
        raise BadRecipe(
            f"training.cuda_graph: the {device.type} records no CUDA graph", do="leave it off, or train on a CUDA GPU"
        )
    if team.count > 1:
        raise BadRecipe(
            "training.cuda_graph: a step that several processes share cannot be recorded",
            do="leave it off, or use one process",
        )
    if _micro_rows(recipe, team) and not losses.objective(recipe.method, recipe.loss).separable:
        raise BadRecipe(
            f"training.cuda_graph: {recipe.method} compares the patients of a batch, which is computed in parts here",
            do="set training.micro_batch=whole, or leave it off",
        )


def _kept(out: Path) -> str:
    epoch = last_epoch(out / runs.STATE)
    if epoch is None:
        return "nothing was kept yet: --resume begins again"
    return f"the state after epoch {epoch + 1} is kept: go on with --resume"
