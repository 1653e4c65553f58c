"""One fold of a prepared set as uint8, on the device or, where it does not fit, streamed to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from triplenet.catalog import UNLABELLED, Method, Task
from triplenet.errors import BadPreparedSet, CohortTooSmall
from triplenet.prepare.array_file import ArrayFile
from triplenet.prepare.store import PreparedSet
from triplenet.training.arrays import BatchSource, HiddenRows, fits, on_device
from triplenet.training.training_draw import Rows, draw_masks, draw_patients


@dataclass(frozen=True)
class Subset:
    """The patients of one partition, in the fold's order."""

    patients: tuple[str, ...]
    images: BatchSource
    """(N, H, W) uint8, or (N, T, H, W) for a 3D method"""
    labels: Tensor
    """(N,) int64 class, -1 without a finding; on the device"""
    masks: BatchSource | None = None
    """(N, H, W) uint8; only where the method is trained with masks"""
    lungs: BatchSource | None = None
    """(N, T, H, W / 8) uint8, eight pixels a byte; only where the network reads the lung of the frames. Of a 2D network
    that reads the true infection that, (N, H, W / 8)"""

    def __len__(self) -> int:
        return len(self.patients)

    def rows(self) -> list[BatchSource]:
        """All the arrays that there are."""
        return [one for one in (self.images, self.masks, self.lungs) if one is not None]


@dataclass(frozen=True)
class FoldData:
    """What one run reads."""

    train: Subset
    validation: Subset
    test: Subset
    mean_image: Tensor
    """(H, W) float32 in 0..1"""

    @property
    def size(self) -> int:
        """H = W of the images."""
        return int(self.mean_image.shape[-1])


def load_fold(
    prepared: PreparedSet,
    task: Task,
    fold: int,
    method: Method,
    *,
    lungs: bool = False,
    whole_masks: bool = False,
    mean: Literal["pixel", "scalar"] = "pixel",
    patients: int = 0,
    mask_share: float = 1.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    stream: bool | None = None,
) -> FoldData:
    """Read a fold onto the device.

    A training patient that teaches the method nothing (no finding, and no mask that the method would read) is left
    out; the mean image is that of all training patients, or of those that are drawn, so that it is the same for every
    method.

    :param patients: training patients with a finding that are drawn; 0: all, and those without one as above
    :param mask_share: of the training patients' masks; the others count as unlabelled
    :param seed: of what is drawn
    :param whole_masks: refuse training patients with unlabelled pixels where the method learns from masks
    :param lungs: also what a network of two channels reads: the frames' lung masks, the slices' true infection
    :param stream: leave the arrays in their files and read each batch when it is due; by default where they would take
        more than half of the memory that is free
    :raises UnknownFinding: a finding that the task does not name
    :raises BadRecipe: fewer training patients than are to be drawn, or than classes
    :raises CohortTooSmall: a class without a training patient, or nobody to validate or test with
    :raises BadPreparedSet: no frames for a 3D method, no masks for a method that learns from them,
        no lung masks of the frames, an infection that nobody knows
    """
    device = torch.device(device)
    source = _array_read(prepared, method, lungs)
    labels = prepared.labels(task)
    rows = prepared.fold(fold)
    training = prepared.rows(rows.train)
    if patients:
        training = training[labels[training] >= 0]
        training = draw_patients(training, labels[training], patients, seed)
    labelled = useful = labels >= 0
    hidden = np.zeros(len(labels), dtype=bool)
    if method.needs_masks:
        known, hidden = _masks_known(prepared, method, fold, training, whole_masks, mask_share, seed)
        useful = labelled | (known & ~hidden)
    frame_lungs = prepared.frame_lungs if lungs and method.dimensions == 3 else None
    if stream is None:
        sizes = [source.nbytes, prepared.masks.nbytes * method.needs_masks]
        stream = not fits(sum(sizes) + (0 if frame_lungs is None else frame_lungs.nbytes), device)
    reader = _Reader(prepared, source, frame_lungs, lungs and method.dimensions == 2, labels, hidden, device, stream)
    data = FoldData(
        reader.subset(training, useful, masks=method.needs_masks),
        reader.subset(prepared.rows(rows.validation), labelled),
        reader.subset(prepared.rows(rows.test), labelled),
        _mean_image(source, training, mean).to(device),
    )
    _check(data, task, fold)
    return data


@dataclass(frozen=True)
class _Reader:
    """Reads rows of a prepared set onto the device."""

    prepared: PreparedSet
    source: ArrayFile
    """The images, or the frames"""
    frame_lungs: ArrayFile | None
    lesions: bool
    """Whether the true infection is read beside the images"""
    labels: np.ndarray
    hidden: np.ndarray
    """(rows of the set,) bool: whose masks count as unlabelled"""
    device: torch.device
    stream: bool

    def subset(self, rows: Rows, keep: np.ndarray, masks: bool = False) -> Subset:
        rows = rows[keep[rows]]
        return Subset(
            tuple(self.prepared.patients[row].patient for row in rows),
            self._array(self.source, rows),
            torch.from_numpy(self.labels[rows]).to(self.device),
            self._masks(rows) if masks else None,
            self._beside(rows),
        )

    def _array(self, source: ArrayFile, rows: Rows) -> BatchSource:
        return on_device(source, rows, self.device, stream=self.stream)

    def _beside(self, rows: Rows) -> BatchSource | None:
        """What the second channel holds, as bits."""
        if self.frame_lungs is not None:
            return self._array(self.frame_lungs, rows)
        if not self.lesions:
            return None
        bits = np.packbits(self.prepared.lesions(rows), axis=-1)  # an eighth of the masks: no need to stream them
        return on_device(bits, np.arange(len(rows)), self.device, stream=False)

    def _masks(self, rows: Rows) -> BatchSource:
        """The masks of these rows, unlabelled where they are hidden."""
        masks = self._array(self.prepared.masks, rows)
        hidden = self.hidden[rows]
        return HiddenRows(masks, torch.from_numpy(hidden).to(self.device)) if hidden.any() else masks


def _array_read(prepared: PreparedSet, method: Method, lungs: bool) -> ArrayFile:
    """The array that the method reads: the images, or the frames."""
    source = prepared.images if method.dimensions == 2 else prepared.frames
    if source is None:
        raise BadPreparedSet(
            f"{method.title} reads frames and the prepared set has none",
            where=prepared.folder,
            do="prepare the cohort with --frames",
        )
    if lungs and method.dimensions == 3 and prepared.frame_lungs is None:
        raise BadPreparedSet(
            f"network.lung_mask: {method.title} would read the frames' lung masks and the prepared set has none",
            where=prepared.folder,
            do="prepare the cohort with --frame-lungs",
        )
    return source


def _masks_known(
    prepared: PreparedSet,
    method: Method,
    fold: int,
    training: Rows,
    whole_masks: bool,
    mask_share: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the set,) bool each: who has a mask at all, and whose is hidden from the training."""
    known = np.array([bool((mask != UNLABELLED).any()) for mask in prepared.masks])
    if not known[training].any():
        raise BadPreparedSet(
            f"{method.title} learns from masks and no training patient of fold {fold} has one",
            where=prepared.folder,
            do="prepare a cohort with masks, or choose a method without",
        )
    lacking = [row for row in training if (prepared.masks[row] == UNLABELLED).any()]
    if whole_masks and lacking:
        raise BadPreparedSet(
            f"{len(lacking)} of {len(training)} training patients have no whole mask, the first is "
            f"{prepared.patients[lacking[0]].patient}",
            where=prepared.folder,
            do="give their masks, or set training.without_mask to use",
        )
    teaching = training[known[training]]
    hidden = np.zeros(len(known), dtype=bool)
    hidden[np.setdiff1d(teaching, draw_masks(teaching, mask_share, seed))] = True
    return known, hidden


def _mean_image(source: ArrayFile, rows: np.ndarray, mean: Literal["pixel", "scalar"]) -> Tensor:
    total = np.zeros(source.shape[-2:], dtype=np.float64)
    for row in rows:  # one patient at a time: a cohort's frames may not fit in memory as float
        total += source[row].astype(np.float64).reshape(-1, *total.shape).mean(axis=0)
    image = total / (255 * len(rows))
    if mean == "scalar":
        image = np.full_like(image, image.mean())
    return torch.from_numpy(image.astype(np.float32))


def _check(data: FoldData, task: Task, fold: int) -> None:
    for name, part in (("validation", data.validation), ("test", data.test)):
        if not len(part):
            raise CohortTooSmall(f"fold {fold} has no {name} patient with a finding")
    present = set(data.train.labels.tolist())
    for label, name in enumerate(task.classes):
        if label not in present:
            raise CohortTooSmall(
                f"no training patient of fold {fold} is of class {name!r}",
                where=f"task {task.name!r}",
                do="choose another task or fold",
            )
