"""Where the training patients' features lie, as a model file holds it: mean and whitening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDING_MEAN, EMBEDDING_WHITENING = "training.embedding_mean", "training.embedding_whitening"


@dataclass(frozen=True)
class Embedding:
    """Mean and spread of the features of the training patients, an aggregate of ``TrainingScans.patients`` of them.

    Of few patients the mean is nearly each one's own.
    """

    mean: Tensor
    """(D,) float32"""
    whitening: Tensor
    """(D, D) float32: the inverse square root of the covariance"""

    def distances(self, features: Tensor) -> Tensor:
        """(B,) float64 Mahalanobis distances of features (B, D), as ``Network.features`` gives them."""
        # In double precision: a thousand squares are added, and the same features must give the same on any device.
        distances: Tensor = ((features.double() - self.mean.double()) @ self.whitening.double()).norm(dim=1)
        return distances
