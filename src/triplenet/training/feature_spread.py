"""Where the training patients' features lie, and how far from there others lie: what a model file says of both."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from triplenet.model import Embedding, EmbeddingFacts, full_float32
from triplenet.model.tensor_checks import LARGEST_VALUE
from triplenet.model.training_scans import LARGEST_DISTANCE, MOST_FEATURES
from triplenet.networks.base import Network
from triplenet.training.data import FoldData, Subset
from triplenet.training.loop import evaluation_images

QUANTILE = 0.99
#: Fewer validation patients say less of others than the training patients themselves.
FEWEST_VALIDATION = 5
#: Of the mean variance: a direction that no training patient moved in still has this much, or nothing could.
LEAST_VARIANCE = 1e-6


def fit_embedding(network: Network, data: FoldData, crop: int) -> tuple[Embedding, EmbeddingFacts] | None:
    """The training patients' embedding, and the distance from it that one in a hundred others exceeds.

    None where features do not spread or are no numbers, or are more than a model file takes.

    :param crop: side of what the network reads outside training
    """
    training = features(network, data.train, data.mean_image, crop)
    found = whiten(training)
    if found is None:
        return None
    own = len(data.validation) < FEWEST_VALIDATION
    others = training if own else features(network, data.validation, data.mean_image, crop)
    # Of the single precision that the file holds, as whoever compares with the limit reads it.
    distances = found.distances(others).numpy()
    limit = float(np.quantile(distances, QUANTILE, method="higher"))
    if not limit <= LARGEST_DISTANCE:
        return None
    return found, EmbeddingFacts(
        quantile=QUANTILE, limit=limit, patients=len(others), of="training" if own else "validation"
    )


def features(network: Network, part: Subset, mean_image: Tensor, crop: int) -> Tensor:
    """(N, D) float32 features of a part's patients, without augmentation; in memory, not on the device."""
    network.eval()
    with torch.inference_mode(), full_float32():
        batches = [
            network.features(images).float().cpu()
            for images in evaluation_images(part, range(len(part)), mean_image, crop)
        ]
    return torch.cat(batches)


def whiten(features: Tensor) -> Embedding | None:
    """Mean and inverse square root of the covariance of features (N, D).

    None where they do not spread, are no numbers, or are more or larger than a model file takes.
    """
    if features.shape[1] > MOST_FEATURES or not features.isfinite().all():
        return None
    values = features.double()
    mean = values.mean(0)
    variances, directions = torch.linalg.eigh(ledoit_wolf(values - mean))
    average = variances.mean()
    if not average > 0:
        return None
    scale = variances.clamp_min(LEAST_VARIANCE * average).rsqrt()
    # Symmetric, so that which of two opposite directions was found does not matter.
    whitening = (directions * scale) @ directions.T
    if not max(float(mean.abs().max()), float(whitening.abs().max())) <= LARGEST_VALUE:
        return None
    return Embedding(mean.float(), whitening.float())


def ledoit_wolf(centred: Tensor) -> Tensor:
    """(D, D) covariance of (N, D) values around 0, shrunk towards a sphere by as much as its error makes best.

    Ledoit and Wolf 2004, as ``sklearn.covariance.ledoit_wolf``; here by torch, whose number of threads is the run's,
    so that a resumed run gives the same bits.
    """
    n, d = centred.shape
    covariance = centred.T @ centred / n
    sphere = covariance.trace() / d * torch.eye(d, dtype=centred.dtype)
    spread = (covariance - sphere).square().sum()
    error = (centred.square().sum(1).square().mean() - covariance.square().sum()) / n
    shrinkage = float((error.clamp_max(spread) / spread).clamp_min(0)) if spread > 0 else 0.0
    return (1 - shrinkage) * covariance + shrinkage * sphere
