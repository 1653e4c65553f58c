"""Maps that see nothing of a network: what a heat map must beat to say something.

Uniform and random maps know nothing; the centre Gaussian knows where photographers, and radiographers, put things; the
edges know the image; the lung's mask and the mean lesion of the training patients know what any reader knows before
looking. All lie between 0 and 1 on scales that do not depend on one image's own maximum, as heat maps do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from triplenet.catalog import INFECTION, UNLABELLED

Grey = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Name -> title, in the order of a table's lines.
REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "uniform": "Uniform",
        "random": "Random",
        "centre": "Centre Gaussian",
        "edges": "Edges of the image",
        "lung": "Lung mask",
        "mean-lesion": "Mean training lesion",
    }
)
#: Standard deviation of the centre Gaussian, as a share of each side (ours).
CENTRE_SIGMA = 0.25
#: The largest gradient that Sobel's two kernels can find in an image of 0 to 1: of the 3 x 3 pixels around one, those
#: at (1, 0), (1, 1), (0, 1), (1, -1) and no others are bright, and the kernels give (4, 2).
_STEEPEST = 20**0.5


def reference_maps(
    image: Grey, lung: Mask | None, mean_lesion: Map | None, *, seed: np.random.SeedSequence
) -> dict[str, Map]:
    """The maps of one image by their names in ``REFERENCES``, each (H, W) float32 in 0..1.

    :param image: (H, W), windowed grey
    :param lung: (H, W), the lesion included; None leaves ``lung`` out
    :param mean_lesion: (H, W) as the function of this name gives it; None leaves ``mean-lesion`` out
    :param seed: of the random map, as ``noise_seed`` gives it
    :raises ValueError: different shapes
    """
    for name, given in (("lung", lung), ("mean lesion", mean_lesion)):
        if given is not None and given.shape != image.shape:
            raise ValueError(f"image {image.shape} and {name} {given.shape} differ in shape")
    maps = {
        "uniform": np.ones(image.shape, dtype=np.float32),
        "random": np.random.default_rng(seed).random(image.shape, dtype=np.float32),
        "centre": _centre(image.shape),
        "edges": _edges(image),
    }
    if lung is not None:
        maps["lung"] = lung.astype(np.float32)
    if mean_lesion is not None:
        maps["mean-lesion"] = mean_lesion.astype(np.float32)
    return maps


def noise_seed(patient: str, number: int) -> np.random.SeedSequence:
    """The seed of a patient's random map: another for each patient and each number.

    :param number: 0 and more; of the benchmark
    """
    digest = hashlib.sha256(patient.encode()).digest()
    return np.random.SeedSequence([number, int.from_bytes(digest, "little")])


def mean_lesion(masks: Iterable[Grey]) -> Map:
    """How often each pixel is infected, (H, W) float32, among the patients whose mask tells; 0 where none does.

    A mask of nothing but infection and unlabelled pixels was made from an infection mask alone: what is not infected
    is known there too.

    :param masks: (H, W) each, 0 background, 1 lung, 2 infection, 255 unlabelled; of training patients only
    :raises ValueError: none, or different shapes
    """
    infected: npt.NDArray[np.int64] | None = None
    known = np.zeros((), dtype=np.int64)
    for mask in masks:
        if infected is None:
            infected, known = np.zeros(mask.shape, dtype=np.int64), np.zeros(mask.shape, dtype=np.int64)
        if mask.shape != infected.shape:
            raise ValueError(f"masks of {infected.shape} and {mask.shape} differ in shape")
        lesion = mask == INFECTION
        infected += lesion
        known += (mask != UNLABELLED) | (lesion.any() and bool((lesion | (mask == UNLABELLED)).all()))
    if infected is None:
        raise ValueError("no mask of a training patient")
    return (infected / np.maximum(known, 1)).astype(np.float32)


def _centre(shape: tuple[int, ...]) -> Map:
    rows, columns = (np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (CENTRE_SIGMA * side)) ** 2) for side in shape)
    return np.outer(rows, columns).astype(np.float32)


def _edges(image: Grey) -> Map:
    from scipy import ndimage

    grey = image.astype(np.float64) / 255
    steepness = np.hypot(ndimage.sobel(grey, axis=0), ndimage.sobel(grey, axis=1)) / _STEEPEST
    return np.minimum(steepness, 1).astype(np.float32)
