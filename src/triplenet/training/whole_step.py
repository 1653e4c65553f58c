"""One training step from the patients' rows to changed weights, as a function of tensors on the device alone.

What the processor decides (which patients, which random numbers) comes in as tensors too, so that the same function
can be recorded once and played back (``step_graph``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor

from triplenet.losses.targets import Targets
from triplenet.training.arrays import BatchIndex
from triplenet.training.augmentation import Samples, augment, draw, draws_of, unpack
from triplenet.training.data import FoldData
from triplenet.training.distributed import ALONE, ProcessTeam
from triplenet.training.recipe import AugmentationRecipe
from triplenet.training.step import Measured, Step, Weights


@dataclass(frozen=True)
class StepInput:
    """What a step reads: its B patients as they are stored, and the random numbers of their V copies."""

    images: Tensor
    """(B, H, W) uint8, or (B, T, H, W)"""
    labels: Tensor
    """(B,) int64, -1 without a finding"""
    uniform: Tensor
    """(V*B, 6) of ``augmentation.draw``, all first views before all second ones"""
    masks: Tensor | None = None
    """(B, H, W) uint8"""
    lungs: Tensor | None = None
    """(B, T, H, W / 8) uint8, eight pixels a byte"""

    def shapes(self) -> dict[str, torch.Size]:
        """Of the tensors that there are."""
        return {name: tensor.shape for name, tensor in self._tensors().items()}

    def clone(self) -> StepInput:
        """The same in memory of its own."""
        return StepInput(**{name: tensor.clone() for name, tensor in self._tensors().items()})

    def copy_(self, other: StepInput) -> None:
        """Take over the values of another one of the same shapes."""
        theirs = other._tensors()
        for name, tensor in self._tensors().items():
            tensor.copy_(theirs[name])

    def _tensors(self) -> dict[str, Tensor]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


def step_input(
    data: FoldData, patients: BatchIndex, batch: int, views: int, generator: Generator, team: ProcessTeam = ALONE
) -> StepInput:
    """The rows of this process's training patients, and their random numbers; all processes draw for the whole batch.

    :param batch: patients of the whole batch
    """
    train = data.train
    uniform = draw(views * batch, generator)
    if team.count > 1:
        part = torch.arange(batch, device=generator.device)[team.part(batch)]
        uniform = uniform[torch.cat([view * batch + part for view in range(views)])]
    return StepInput(
        images=train.images.fetch(patients),
        labels=train.labels[patients.device],
        uniform=uniform,
        masks=None if train.masks is None else train.masks.fetch(patients),
        lungs=None if train.lungs is None else train.lungs.fetch(patients),
    )


@dataclass(frozen=True)
class WholeStep:
    """``whole(given, weights)``: the views of a batch's patients, then ``Step`` on them."""

    step: Step
    mean_image: Tensor
    """(H, W) float32"""
    augmentation: AugmentationRecipe
    views: int

    def __call__(self, given: StepInput, weights: Weights) -> Measured:
        seen, labels = self.samples(given)
        return self.step(seen.images, Targets(labels, seen.masks, seen.images), weights)

    def samples(self, given: StepInput) -> tuple[Samples, Tensor]:
        """The views of the patients, and their labels."""
        size = int(self.mean_image.shape[-1])
        seen = augment(
            self._repeated(given.images),
            None if given.masks is None else self._repeated(given.masks),
            self.mean_image,
            draws_of(given.uniform, size, self.augmentation),
            self.augmentation.crop,
            None if given.lungs is None else self._repeated(unpack(given.lungs, size)),
        )
        return seen, self._repeated(given.labels)

    def _repeated(self, rows: Tensor) -> Tensor:
        return rows.repeat(self.views, *[1] * (rows.ndim - 1))  # (V*B, ...), all first views before all second ones
