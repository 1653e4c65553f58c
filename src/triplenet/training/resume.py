"""How a training begins: from first weights, from where it stopped, or from the kept weights of a finished run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import torch

from triplenet.errors import RunMismatch, TripleNetError
from triplenet.files import refuse_existing, whole_folder
from triplenet.model import load_model
from triplenet.networks.encoder_weights import initialise
from triplenet.training import checkpoint as checkpoints
from triplenet.training import run as runs
from triplenet.training.checkpoint import load_checkpoint, save_checkpoint
from triplenet.training.distributed import ProcessTeam
from triplenet.training.loop import score
from triplenet.training.recipe import Recipe, differences
from triplenet.training.run import EncoderFile, RunInfo, locked, open_run
from triplenet.training.state import Best, Epoch, State, capture, restore


def begun_run(out: Path, resume: bool, team: ProcessTeam, device: torch.device) -> RunInfo | None:
    """The run to go on with, as the first process finds it; None where there is nothing yet."""
    found: RunInfo | None = None
    with team.lead(device) as leads:
        if leads:
            empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
            found = open_run(out).info if resume and not empty else None
            if found is None:
                refuse_existing(out)
    sent = team.broadcast_bytes(None if found is None else found.model_dump_json().encode(), device)
    return RunInfo.model_validate_json(sent) if sent else None


def start(
    stack: ExitStack,
    out: Path,
    info: RunInfo,
    begun: RunInfo | None,
    state: State,
    recipe: Recipe,
    allow_download: bool,
    restart_schedule: bool,
    team: ProcessTeam,
    device: torch.device,
) -> RunInfo:
    """Give the network its first weights, or the state its last one, in all processes; lock the folder and mark it.

    :param stack: holds the lock
    :param begun: the run to go on with, if there is one
    :returns: ``run.json`` as it now is; in the first process
    :raises RunMismatch: another encoder file than before
    :raises ProcessFailed: in the other processes, when the first one fails
    """
    content = b""
    with team.lead(device) as leads:
        if leads:
            if begun is not None:
                stack.enter_context(locked(out))
                _remove_leftovers(out)
            checkpoint = None if begun is None else load_checkpoint(out / runs.STATE)
            if checkpoint is not None:
                content = checkpoint.content
            elif begun is not None and begun.status == "complete":
                content = _from_kept(out, state)
            else:
                weights = initialise(state.network, recipe.encoder.weights, allow_download=allow_download)
                encoder = None if weights is None else EncoderFile(name=weights.name, sha256=weights.sha256)
                info = info.model_copy(update={"encoder": encoder})
                if begun is not None and begun.encoder != encoder:
                    raise _mismatch(out, ["encoder.weights: another file"])
            if content and restart_schedule:
                content = _schedule_restarted(out, state, content)
            if begun is not None:
                again = {"status": "running", "recipe": info.recipe, "resumed": begun.resumed + 1}
                info = begun.model_copy(update=again)
                runs.write_info(out, info)
            else:
                with whole_folder(out) as folder:
                    runs.write_info(folder, info)
                stack.enter_context(locked(out))
    content = team.broadcast_bytes(content, device)
    if content:
        restore(state, checkpoints.parse(content))
    else:
        team.broadcast(state.network.state_dict())
    return info


def _from_kept(out: Path, state: State) -> bytes:
    """A finished run's state to go on from: its kept weights and its history."""
    run = open_run(out)
    state.network.load_state_dict(load_model(run.model, str(state.generator.device)).network.state_dict())
    state.history = [Epoch.of_columns(row) for row in run.history()]
    state.done = len(state.history)
    kept = state.history[run.info.best_epoch or 0]
    weights = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    state.best = Best(kept.epoch, score(kept, Recipe.of_dump(run.info.recipe).training), weights)
    return checkpoints.to_bytes(*capture(state))


def _schedule_restarted(out: Path, state: State, content: bytes) -> bytes:
    """The state with its schedule at the beginning, kept at once so that a stop loses nothing."""
    restore(state, checkpoints.parse(content))
    state.schedule_from = state.done
    tensors, plain = capture(state)
    save_checkpoint(out / runs.STATE, state.done - 1, tensors, plain)
    return checkpoints.to_bytes(tensors, plain)


def refuse_mismatch(out: Path, begun: RunInfo, now: RunInfo, *, other_epochs: bool = False) -> None:
    """Go on with a run only as it was begun.

    :param other_epochs: their number may differ
    :raises RunMismatch: says what differs
    """
    different = list(differences(begun.identity(), now.identity()))
    if other_epochs:
        different = [one for one in different if not one.startswith("recipe.training.epochs:")]
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
