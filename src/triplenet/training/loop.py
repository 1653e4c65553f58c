"""The training loop: an epoch and an evaluation.

Nothing inside an epoch waits for the device: sums stay there and are read once, at its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.nn import functional

from triplenet.errors import TrainingDiverged
from triplenet.losses.targets import Targets
from triplenet.losses.total import Objective
from triplenet.model import normalise
from triplenet.networks.base import Network
from triplenet.training import scores
from triplenet.training.augmentation import Samples, augment, draw
from triplenet.training.data import FoldData, Part
from triplenet.training.recipe import Recipe, TrainingRecipe
from triplenet.training.state import Best, Epoch, State

EVALUATION_BATCH = 64
OnStep = Callable[[int, int, int], None]
"""Called after each step with (epoch, steps done in it, steps in an epoch); it must not wait for the device."""


def learning_rate(recipe: TrainingRecipe, epoch: int) -> float:
    """Of an epoch, counted from 0."""
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
    return recipe.learning_rate


def batches(n: int, batch: int, drop_last: bool) -> list[slice]:
    """The positions of each batch of an epoch; never none at all."""
    whole = [slice(start, start + batch) for start in range(0, n - batch + 1, batch)]
    if not whole or (not drop_last and n % batch):
        whole.append(slice(len(whole) * batch, n))
    return whole


def advance(
    state: State, data: FoldData, objective: Objective, recipe: Recipe, views: int, on_step: OnStep | None = None
) -> Epoch:
    """Train for one epoch, validate, and add to the history.

    :raises TrainingDiverged: the loss or the validation is no longer finite; the history is as before
    """
    began = perf_counter()
    epoch = state.done
    rate = learning_rate(recipe.training, epoch)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    losses, training_accuracy = _train(state, data, objective, recipe, views, on_step)
    probabilities, loss = evaluate(state.network, data.validation, data.mean_image, evaluation_crop(recipe, data))
    if not all(map(math.isfinite, [*losses.values(), loss])):
        raise TrainingDiverged(
            f"the loss is no longer finite in epoch {epoch}", do="lower training.learning_rate or look at the images"
        )
    labels = data.validation.labels.cpu().numpy()
    accuracy = scores.accuracy(labels, probabilities.argmax(1))
    auc = scores.auc(labels, probabilities)
    score = {"best": accuracy, "best-auc": -math.inf if math.isnan(auc) else auc, "last": float(epoch)}
    is_best = state.best is None or score[recipe.training.keep] > state.best.score
    row = Epoch(
        epoch=epoch,
        seconds=perf_counter() - began,
        learning_rate=rate,
        balance=float(objective.balance(epoch / recipe.training.epochs)) if "contrastive" in objective.terms else None,
        losses=losses,
        training_accuracy=training_accuracy,
        validation_loss=loss,
        validation_accuracy=accuracy,
        validation_auc=None if math.isnan(auc) else auc,
        best=is_best,
    )
    if is_best:
        weights = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
        state.best = Best(epoch, score[recipe.training.keep], weights)
    state.history.append(row)
    state.done = epoch + 1
    return row


def _train(
    state: State,
    data: FoldData,
    objective: Objective,
    recipe: Recipe,
    views: int,
    on_step: OnStep | None,
) -> tuple[dict[str, float], float]:
    """One pass over the training patients: the mean of each loss, and the accuracy."""
    state.network.train()
    weights = objective.weights(state.done / recipe.training.epochs)
    device = data.mean_image.device
    order = torch.randperm(len(data.train), generator=state.generator, device=device)
    steps = batches(len(data.train), recipe.training.batch, recipe.training.drop_last)
    sums: dict[str, Tensor] = {}
    correct, labelled = torch.zeros((), device=device), torch.zeros((), device=device)
    for step, positions in enumerate(steps):
        rows = order[positions].repeat(views)  # (V*B,), all first views before all second ones
        samples = _samples(data, rows, recipe, state.generator)
        labels = data.train.labels[rows]
        outputs = state.network(samples.images)
        terms = objective.raw(outputs, Targets(labels, samples.masks, samples.images))
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        state.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
        for name, value in (*terms.items(), ("total", total)):
            sums[name] = sums.get(name, 0) + value.detach()
        correct += (outputs.logits.detach().argmax(1) == labels).sum()
        labelled += (labels >= 0).sum()
        if on_step is not None:
            on_step(state.done, step + 1, len(steps))
    means = torch.stack([*sums.values(), correct, labelled]).tolist()
    losses = {name: value / len(steps) for name, value in zip(sums, means, strict=False)}
    return losses, means[-2] / max(means[-1], 1)


def _samples(data: FoldData, rows: Tensor, recipe: Recipe, generator: Generator) -> Samples:
    draws = draw(len(rows), data.size, recipe.augmentation, generator)
    masks = None if data.train.masks is None else data.train.masks[rows]
    return augment(data.train.images[rows], masks, data.mean_image, draws, recipe.augmentation.crop)


def evaluation_crop(recipe: Recipe, data: FoldData) -> int:
    """Side of what the network reads outside training."""
    return recipe.augmentation.crop if recipe.evaluation.crop == "centre" else data.size


def evaluate(network: Network, part: Part, mean_image: Tensor, crop: int) -> tuple[npt.NDArray[np.float32], float]:
    """Class probabilities of a part's patients (N, C), and the mean cross-entropy; NaN if they are not finite."""
    network.eval()
    with torch.inference_mode():
        logits = torch.cat(
            [
                network(normalise(part.images[start : start + EVALUATION_BATCH], mean_image, crop)).logits.float()
                for start in range(0, len(part), EVALUATION_BATCH)
            ]
        )
        loss = functional.cross_entropy(logits, part.labels)
        probabilities = logits.softmax(1).cpu().numpy()
    return probabilities, float(loss)
