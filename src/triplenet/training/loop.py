"""The training loop: an epoch and an evaluation.

Nothing inside an epoch waits for the device: sums stay there and are read once, at its end. (Torch's batch norm over
several GPUs does wait, in every layer.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from triplenet.errors import TrainingDiverged
from triplenet.model import normalise
from triplenet.networks.base import Network
from triplenet.training import validation_scores as scores
from triplenet.training.arrays import BatchIndex
from triplenet.training.augmentation import unpack
from triplenet.training.data import FoldData, Subset
from triplenet.training.distributed import ALONE, ProcessTeam
from triplenet.training.optimiser import set_learning_rate
from triplenet.training.recipe import Recipe, TrainingRecipe
from triplenet.training.sampling import batches, order
from triplenet.training.state import Best, Epoch, State
from triplenet.training.step import Measured, Step
from triplenet.training.whole_step import WholeStep, step_input

EVALUATION_BATCH, EVALUATION_BATCH_3D = 64, 4
OnStep = Callable[[int, int, int], None]
"""Called after each step with (epoch, steps done in it, steps in an epoch); it must not wait for the device."""


def learning_rate(recipe: TrainingRecipe, epoch: int) -> float:
    """Of an epoch, counted from 0."""
    if epoch < recipe.warmup_epochs:
        return recipe.learning_rate * (epoch + 1) / (recipe.warmup_epochs + 1)
    share = (epoch - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1)
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * share)) / 2
    if recipe.schedule == "linear":
        return recipe.learning_rate * (1 - share)
    return recipe.learning_rate


def advance(
    state: State, data: FoldData, step: Step, recipe: Recipe, views: int, on_step: OnStep | None = None
) -> Epoch:
    """Train for one epoch, validate, and add to the history.

    :raises TrainingDiverged: the loss or the validation is no longer finite; the history is as before
    """
    began = perf_counter()
    epoch = state.done
    scheduled = epoch - state.schedule_from
    rate = learning_rate(recipe.training, scheduled)
    set_learning_rate(state.optimiser, rate)
    losses, training_accuracy = _train(state, data, step, recipe, views, on_step)
    state.average.after_epoch(state.network, epoch)
    with averaged(state):
        probabilities, loss = evaluate(
            state.network, data.validation, data.mean_image, evaluation_crop(recipe, data), step.team
        )
        if not all(map(math.isfinite, [*losses.values(), loss])):
            raise TrainingDiverged(
                f"the loss is no longer finite in epoch {epoch + 1}",
                do="lower training.learning_rate or look at the images",
            )
        labels = data.validation.labels.cpu().numpy()
        auc = scores.auc(labels, probabilities)
        contrastive = "contrastive" in step.objective.terms
        row = Epoch(
            epoch=epoch,
            seconds=perf_counter() - began,
            learning_rate=rate,
            contrastive_weight=float(step.objective.contrastive_weight(scheduled / recipe.training.epochs))
            if contrastive
            else None,
            losses=losses,
            training_accuracy=training_accuracy,
            validation_loss=loss,
            validation_accuracy=scores.accuracy(labels, probabilities.argmax(1)),
            validation_auc=None if math.isnan(auc) else auc,
            best=False,
        )
        reached = score(row, recipe.training)
        if state.best is None or reached > state.best.score:
            weights = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
            state.best = Best(epoch, reached, weights)
            row = replace(row, best=True)
    state.history.append(row)
    state.done = epoch + 1
    return row


def score(row: Epoch, recipe: TrainingRecipe) -> float:
    """What the recipe chooses the kept weights by; the higher the better."""
    if recipe.keep == "last":
        return float(row.epoch)
    if recipe.keep == "best-auc":
        return -math.inf if row.validation_auc is None else row.validation_auc
    return row.validation_accuracy


def finished(state: State, recipe: TrainingRecipe) -> bool:
    """Whether all epochs are done, or the score has not become better for as long as the recipe waits."""
    scheduled = state.done - state.schedule_from
    waited = min(scheduled, state.done - 1 - state.best.epoch) if state.best is not None else 0
    return scheduled >= recipe.epochs or (recipe.patience > 0 and waited >= recipe.patience)


def _train(
    state: State, data: FoldData, step: Step, recipe: Recipe, views: int, on_step: OnStep | None
) -> tuple[dict[str, float], float]:
    """One pass over the training patients: the mean of each loss, and the accuracy."""
    team = step.team
    state.network.train()
    torch.manual_seed(epoch_seed(recipe.training.seed, state.done, team.rank))
    weights = step.objective.weights((state.done - state.schedule_from) / recipe.training.epochs)
    device = data.mean_image.device
    positions = BatchIndex.of(order(data.train.labels, recipe.training.sampler, state.generator), device)
    plan = [
        positions[batch]
        for batch in batches(len(positions), recipe.training.batch, recipe.training.drop_last, team.count)
    ]
    own = [batch[team.part(len(batch))] for batch in plan]
    whole = WholeStep(step, data.mean_image, recipe.augmentation, views)
    one_step = whole if step.graph is None else partial(step.graph, whole)
    sums: Measured | None = None
    for number, patients in enumerate(own):
        given = step_input(data, patients, len(plan[number]), views, state.generator, team)
        if number + 1 < len(own):
            for rows in data.train.rows():
                rows.prefetch(own[number + 1])
        measured = one_step(given, weights)
        state.average.after_step(state.network)
        sums = measured.clone() if sums is None else sums + measured
        if on_step is not None:
            on_step(state.done, number + 1, len(plan))
    assert sums is not None  # an epoch has a batch
    totals = team.total(torch.stack([*sums.losses.values(), sums.correct, sums.labelled]).double()).tolist()
    # The losses of the whole batch are the mean over the processes; the patients are counted by each for its part.
    losses = {name: value / len(plan) / team.count for name, value in zip(sums.losses, totals, strict=False)}
    return losses, totals[-2] / max(totals[-1], 1)


def epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Of what the network itself draws in an epoch: a process has its own, and it is there again after a resume."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])


@contextmanager
def averaged(state: State) -> Iterator[None]:
    """Put the averaged weights, once there are any, into the network for a while."""
    if not state.average.begun():
        yield
        return
    own = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    state.network.load_state_dict(state.average.tensors)
    try:
        yield
    finally:
        state.network.load_state_dict(own)


def evaluation_crop(recipe: Recipe, data: FoldData) -> int:
    """Side of what the network reads outside training."""
    return recipe.augmentation.crop if recipe.evaluation.crop == "centre" else data.size


def evaluate(
    network: Network, part: Subset, mean_image: Tensor, crop: int, team: ProcessTeam = ALONE
) -> tuple[npt.NDArray[np.float32], float]:
    """Class probabilities of a part's patients (N, C), and the mean cross-entropy; NaN if they are not finite."""
    network.eval()
    share = team.share(len(part))
    with torch.inference_mode():
        found = [network(images).logits.float() for images in evaluation_images(part, share, mean_image, crop)]
        logits = torch.zeros(len(part), network.classes, device=mean_image.device)
        if found:
            logits[share.start : share.stop] = torch.cat(found)
        team.total(logits)
        loss = functional.cross_entropy(logits, part.labels)
        probabilities = logits.softmax(1).cpu().numpy()
    return probabilities, float(loss)


def evaluation_images(part: Subset, share: range, mean_image: Tensor, crop: int) -> Iterator[Tensor]:
    """What the network reads of some of a part's patients outside training, a batch at a time and without augmentation.

    :param share: which patients, by their number
    """
    size = EVALUATION_BATCH if len(part.images.shape) == 3 else EVALUATION_BATCH_3D
    own = BatchIndex.of(share, mean_image.device)
    chunks = [own[start : start + size] for start in range(0, len(own), size)]
    for number, rows in enumerate(chunks):
        images = part.images.fetch(rows)
        lungs = None if part.lungs is None else unpack(part.lungs.fetch(rows), images.shape[-1])
        if number + 1 < len(chunks):
            part.images.prefetch(chunks[number + 1])
            if part.lungs is not None:
                part.lungs.prefetch(chunks[number + 1])
        yield normalise(images, mean_image, crop, lungs)
