"""One training from beginning to end: start or resume, epochs, the kept weights, the run's files."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

import triplenet
from triplenet import catalog, losses, networks
from triplenet.catalog import Method, Task
from triplenet.errors import (
    BadRecipe,
    BadRun,
    Interrupted,
    OutputFailed,
    RunMismatch,
    TrainingDiverged,
    TripleNetError,
)
from triplenet.files import refuse_existing, sha256_of, whole_folder
from triplenet.losses.total import Objective
from triplenet.model import ModelCard, save_model, task_card
from triplenet.networks.base import Network
from triplenet.networks.encoder_weights import initialise
from triplenet.prepare.store import PreparedSet
from triplenet.training import run as runs
from triplenet.training.checkpoint import last_epoch, load_checkpoint, remove_checkpoints, save_checkpoint
from triplenet.training.data import FoldData, Part, check_crop, load_fold
from triplenet.training.device import choose_device, computing, device_name
from triplenet.training.loop import OnStep, advance, evaluate, evaluation_crop
from triplenet.training.recipe import Recipe, differences
from triplenet.training.run import EncoderFile, Hardware, Predictions, Run, RunInfo, locked, open_run
from triplenet.training.state import Epoch, State, capture, restore
from triplenet.training.threads import available

OnEpoch = Callable[[Epoch], None]
CHECKPOINT_EVERY_S = 60.0


def train(
    prepared: PreparedSet,
    task: Task,
    fold: int,
    recipe: Recipe,
    out: Path | str,
    *,
    device: str = "auto",
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    allow_download: bool = False,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> Run:
    """Train one method on one fold and write the run into ``out``.

    On the processor the same arguments give the same bits; so does a run that was stopped and resumed.

    :param resume: go on where the run in ``out`` stopped; begin if there is none; give it back if it is complete
    :param on_epoch: called after each epoch with its line of the history
    :param on_step: called after each step with (epoch, steps done in it, steps in an epoch)
    :param allow_download: whether ImageNet weights may be fetched from torchvision's address
    :param checkpoint_every_s: at the most, the seconds of work (and the epoch begun) that a kill costs
    :raises OutputExists: ``out`` is there and ``resume`` is not given
    :raises RunMismatch: the run was begun with another recipe, task, fold or data
    :raises TrainingDiverged: the loss is no longer finite
    :raises Interrupted: Ctrl-C; the last state stays
    :raises OutputFailed: no room, no permission; the last state stays
    """
    out = Path(out)
    chosen = choose_device(device)
    method = catalog.method(recipe.method)
    begun = _begun(out) if resume else None
    if begun is None:
        refuse_existing(out)
    threads = available() if begun is None else begun.hardware.threads  # other threads, other sums
    seeds = np.random.SeedSequence(recipe.training.seed).generate_state(2)
    with ExitStack() as stack:
        stack.enter_context(computing(chosen, threads, int(seeds[0])))
        data = load_fold(prepared, task, fold, method, mean=recipe.augmentation.mean, device=chosen)
        _check(recipe, data, task)
        network, optimiser = _build(recipe, task, chosen)
        info = _describe(prepared, task, fold, recipe, data, network, chosen, threads)
        if begun is not None:
            _refuse_mismatch(out, begun, info)
            if begun.status == "complete":
                remove_checkpoints(out / runs.STATE)
                return open_run(out)
            stack.enter_context(locked(out))
            _remove_leftovers(out)
        generator = torch.Generator(chosen).manual_seed(int(seeds[1]))
        state = State(network, optimiser, generator)
        checkpoint = None if begun is None else load_checkpoint(out / runs.STATE)
        if checkpoint is not None:
            restore(state, checkpoint)
        else:
            weights = initialise(network, recipe.encoder.weights, allow_download=allow_download)
            encoder = None if weights is None else EncoderFile(name=weights.name, sha256=weights.sha256)
            info = info.model_copy(update={"encoder": encoder})
            if begun is not None and begun.encoder != encoder:
                raise _mismatch(out, ["encoder.weights: another file"])
        if begun is not None:
            info = begun.model_copy(update={"resumed": begun.resumed + 1})
            runs.write_info(out, info)
        else:
            with whole_folder(out) as folder:
                runs.write_info(folder, info)
            stack.enter_context(locked(out))
        objective = losses.objective(method.name, recipe.loss).to(chosen)
        try:
            _run_epochs(out, state, data, objective, recipe, method, on_epoch, on_step, checkpoint_every_s)
            _finish(out, info, state, data, recipe, prepared, task)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped in epoch {state.done}", where=out, do=_kept(out)) from None
        except TrainingDiverged as error:
            raise TrainingDiverged(error.what, where=out, do=f"{error.do}; {_kept(out)}") from error
        except OutputFailed as error:
            raise OutputFailed(error.what, where=error.where, do=f"{error.do}; {_kept(out)}") from error
    return open_run(out)


def _run_epochs(
    out: Path,
    state: State,
    data: FoldData,
    objective: Objective,
    recipe: Recipe,
    method: Method,
    on_epoch: OnEpoch | None,
    on_step: OnStep | None,
    checkpoint_every_s: float,
) -> None:
    if state.history:
        # What was written after the state that is gone on from will come again.
        runs.write_history(out, [row.columns() for row in state.history])
    saved = perf_counter()
    while state.done < recipe.training.epochs:
        row = advance(state, data, objective, recipe, method.views, on_step)
        if perf_counter() - saved >= checkpoint_every_s or state.done == recipe.training.epochs:
            save_checkpoint(out / runs.STATE, row.epoch, *capture(state))
            saved = perf_counter()
        runs.write_history(out, [one.columns() for one in state.history])
        if on_epoch is not None:
            on_epoch(row)


def _finish(
    out: Path, info: RunInfo, state: State, data: FoldData, recipe: Recipe, prepared: PreparedSet, task: Task
) -> None:
    """The kept weights' predictions and model file; ``run.json`` says complete only when both are there."""
    best = state.best
    if best is None:  # a recipe has at least one epoch
        raise BadRun("no epoch was trained", where=out)
    state.network.load_state_dict(best.weights)
    crop = evaluation_crop(recipe, data)
    runs.write_predictions(out, _predict(state.network, data, crop), task.classes)
    kept = state.history[best.epoch]
    validation: dict[str, float | None] = {
        "accuracy": kept.validation_accuracy,
        "auc": kept.validation_auc,
        "loss": kept.validation_loss,
    }
    card = ModelCard(
        method=recipe.method,
        network=recipe.network,
        classes=task.classes,
        task=task_card(task),
        window_hu=prepared.info.window_hu,
        size=data.size,
        crop=crop,
        dimensions=catalog.method(recipe.method).dimensions,
        frames=data.test.images.shape[1] if data.test.images.ndim == 4 else 0,
        recipe=_without_path(recipe),
        data_sha256=info.data_sha256,
        fold=info.fold,
        fold_sha256=info.fold_sha256,
        epoch=best.epoch,
        validation=validation,
        versions=info.versions,
        created=datetime.now(UTC).date(),
    )
    save_model(out / runs.MODEL, state.network, data.mean_image, card)
    complete = info.model_copy(
        update={
            "status": "complete",
            "finished": datetime.now(UTC),
            "seconds": sum(row.seconds for row in state.history),
            "epochs": state.done,
            "best_epoch": best.epoch,
            "validation": validation,
            "files": {name: sha256_of(out / name) for name in (runs.HISTORY, runs.MODEL, runs.PREDICTIONS)},
        }
    )
    runs.write_info(out, complete)
    remove_checkpoints(out / runs.STATE)


def _predict(network: Network, data: FoldData, crop: int) -> Predictions:
    parts: Mapping[str, Part] = {"validation": data.validation, "test": data.test}
    return Predictions(
        tuple(patient for part in parts.values() for patient in part.patients),
        tuple(name for name, part in parts.items() for _ in part.patients),
        np.concatenate([part.labels.cpu().numpy() for part in parts.values()]),
        np.concatenate([evaluate(network, part, data.mean_image, crop)[0] for part in parts.values()]).astype(float),
    )


def _build(recipe: Recipe, task: Task, device: torch.device) -> tuple[Network, torch.optim.Optimizer]:
    network = networks.build(recipe.method, classes=len(task.classes), **recipe.network).to(device)
    if network.channels != 1:
        raise BadRecipe(
            f"network: {recipe.method} would read a lung mask, and prepared frames have none", do="leave lung_mask off"
        )
    if network.dimensions == 2:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(
        network.parameters(), lr=recipe.training.learning_rate, weight_decay=recipe.training.weight_decay
    )
    return network, optimiser


def _describe(
    prepared: PreparedSet,
    task: Task,
    fold: int,
    recipe: Recipe,
    data: FoldData,
    network: Network,
    device: torch.device,
    threads: int,
) -> RunInfo:
    return RunInfo(
        method=recipe.method,
        task=task_card(task),
        classes=task.classes,
        fold=fold,
        fold_sha256=prepared.fold(fold).sha256,
        prepared=str(prepared.folder.resolve()),
        data_sha256=prepared.info.sha256,
        leakage=len(prepared.info.leakage),
        recipe=recipe.dump(),
        encoder=None,
        patients={
            name: {
                label_name: int((part.labels == label).sum())
                for label, label_name in [*enumerate(task.classes), (-1, "")]
                if label >= 0 or bool((part.labels < 0).any())
            }
            for name, part in (("train", data.train), ("validation", data.validation), ("test", data.test))
        },
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        versions={
            "triplenet": triplenet.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        hardware=Hardware(
            device=device.type,
            name=device_name(device),
            threads=threads,
            system=f"{platform.system()} {platform.machine()}",
        ),
        started=datetime.now(UTC),
    )


def _check(recipe: Recipe, data: FoldData, task: Task) -> None:
    check_crop(data, recipe.augmentation.crop)
    weights = recipe.loss.class_weights
    if weights is not None and len(weights) != len(task.classes):
        raise BadRecipe(
            f"loss.class_weights: {len(weights)} numbers for {len(task.classes)} classes", where=f"task {task.name!r}"
        )
    if recipe.training.keep == "best-auc" and set(data.validation.labels.tolist()) != set(range(len(task.classes))):
        raise BadRecipe(
            "training.keep: best-auc needs validation patients of every class", do="use best, or another fold or task"
        )


def _begun(out: Path) -> RunInfo | None:
    """The run to go on with; None where there is nothing yet."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    return open_run(out).info


def _refuse_mismatch(out: Path, begun: RunInfo, now: RunInfo) -> None:
    different = list(differences(begun.identity(), now.identity()))
    if different:
        raise _mismatch(out, different)


def _mismatch(out: Path, different: list[str]) -> TripleNetError:
    return RunMismatch(
        f"the run was begun otherwise ({'; '.join(different)})",
        where=out,
        do="resume with what it was begun with, or train into another folder",
    )


def _remove_leftovers(out: Path) -> None:
    """Half-written files of a process that was killed."""
    for folder in (out, out / runs.STATE):
        for path in folder.glob(".tmp-*"):
            path.unlink(missing_ok=True)


def _kept(out: Path) -> str:
    epoch = last_epoch(out / runs.STATE)
    if epoch is None:
        return "nothing was kept yet: --resume begins again"
    return f"the state after epoch {epoch} is kept: go on with --resume"


def _without_path(recipe: Recipe) -> dict[str, object]:
    """The recipe as a model file carries it: of the encoder's file only the name, since models are passed on."""
    values = recipe.dump()
    values["encoder"] = {"weights": Path(recipe.encoder.weights).name}
    return dict(values)
