"""The same image on two sides of a fold: what makes a test fold worthless without anybody noticing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.cohort.folds import Fold
from triplenet.prepare.store import Bytes

#: Of the thumbnails of two images. Slices of different patients of one hospital stay below 0.965; the same slice
#: saved again, brightened, with noise or moved by two pixels of 256 is above 0.98.
NEAR = 0.975
THUMBNAIL = 32


@dataclass(frozen=True)
class Twin:
    """Two patients with the same or nearly the same image."""

    first: str
    second: str
    correlation: float
    """1 for equal images"""
    folds: tuple[int, ...]
    """The folds that have them on different sides"""

    def __str__(self) -> str:
        return f"{self.first} and {self.second} ({self.correlation:.3f})"


def twins(patients: Sequence[str], images: Iterable[Bytes], folds: Sequence[Fold], near: float = NEAR) -> list[Twin]:
    """Pairs of near-duplicates that stand on different sides of a fold, most alike first.

    :param patients: (N,) names
    :param images: (N, H, W) uint8
    """
    thumbnails = np.stack([_thumbnail(image) for image in images])
    side = {
        (fold.number, patient): part
        for fold in folds
        for part in ("train", "validation", "test")
        for patient in getattr(fold, part)
    }
    found = []
    for row in range(len(patients) - 1):
        alike = thumbnails[row + 1 :] @ thumbnails[row]
        for offset in np.flatnonzero(alike >= near):
            first, second = patients[row], patients[row + 1 + int(offset)]
            apart = tuple(fold.number for fold in folds if side[fold.number, first] != side[fold.number, second])
            if apart:
                found.append(Twin(first, second, min(float(alike[offset]), 1.0), apart))
    return sorted(found, key=lambda twin: -twin.correlation)


def _thumbnail(image: Bytes) -> npt.NDArray[np.float32]:
    """(THUMBNAIL²,) float32 of zero mean and unit length, so that a product of two is their correlation."""
    rows = np.array_split(np.arange(image.shape[0]), min(THUMBNAIL, image.shape[0]))
    columns = np.array_split(np.arange(image.shape[1]), min(THUMBNAIL, image.shape[1]))
    sums = np.add.reduceat(image.astype(np.float32), [part[0] for part in rows], axis=0)
    sums = np.add.reduceat(sums, [part[0] for part in columns], axis=1)
    flat = (sums - sums.mean()).ravel()
    length = float(np.linalg.norm(flat))
    # A flat image is like nothing, not like every other flat one.
    return np.asarray(flat / length if length > 0 else np.zeros_like(flat), dtype=np.float32)
