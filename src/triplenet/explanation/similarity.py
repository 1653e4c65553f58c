"""How alike two heat maps are: SSIM for where and how hot they are, Spearman's correlation for their pixels' order.

SSIM (Wang et al. 2004) on the absolute scale from 0 to 1, with the authors' Gaussian window of 11 x 11 pixels and a
standard deviation of 1.5. Nothing is stretched before, so two maps that are dark everywhere are alike: look at both
numbers, and at what maps of different patients reach (``randomisation.chance_level``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput, MissingExtra

Heat = npt.NDArray[np.floating]

#: Pixels: the standard deviation of SSIM's window, and its side.
SIGMA, WINDOW = 1.5, 11


@dataclass(frozen=True)
class MapSimilarity:
    """Two maps beside each other, or the means over several pairs."""

    ssim: float
    """-1..1; 1 for equal maps"""
    spearman: float | None
    """-1..1; None where a map is constant, so that its pixels have no order"""
    pairs: int = 1
    ranked_pairs: int = 1
    """Those with a ``spearman``, over which it is the mean"""


def similarity(first: Heat, second: Heat) -> MapSimilarity:
    """SSIM and Spearman's correlation of two maps (H, W) or (T, H, W) in 0..1.

    :raises BadInput: another shape, or smaller than the window
    """
    correlation = spearman(first, second)
    return MapSimilarity(ssim(first, second), correlation, ranked_pairs=int(correlation is not None))


def mean_similarity(pairs: Sequence[MapSimilarity]) -> MapSimilarity:
    """The means over pairs of maps, one or more; those without a Spearman correlation are left out of its mean."""
    if not pairs:
        raise BadInput("no pair of maps to compare")
    ranked = [pair.spearman for pair in pairs if pair.spearman is not None]
    return MapSimilarity(
        ssim=float(np.mean([pair.ssim for pair in pairs])),
        spearman=float(np.mean(ranked)) if ranked else None,
        pairs=len(pairs),
        ranked_pairs=len(ranked),
    )


def ssim(first: Heat, second: Heat) -> float:
    """Structural similarity of two maps (H, W) on the absolute scale; of volumes (T, H, W) the mean over the frames.

    :raises BadInput: as ``similarity``
    :raises MissingExtra: scikit-image is not installed
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingExtra("SSIM needs scikit-image", do="pip install 'triplenet[train]'") from error

    _check(first, second)
    compare: Callable[..., float] = structural_similarity  # it has no types
    frames = zip(_frames(first), _frames(second), strict=True)
    values = [
        compare(one, other, data_range=1.0, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False)
        for one, other in frames
    ]
    return float(np.mean(values))


def spearman(first: Heat, second: Heat) -> float | None:
    """Spearman's rank correlation over all pixels, or voxels, of two maps; None where one of them is constant.

    :raises BadInput: the maps differ in shape
    """
    from scipy.stats import spearmanr

    if first.shape != second.shape:
        raise BadInput(f"the maps are {first.shape} and {second.shape}, not of one shape")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def _check(first: Heat, second: Heat) -> None:
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise BadInput(f"the maps are {first.shape} and {second.shape}, not both (H, W) or (T, H, W)")
    if min(first.shape[-2:]) < WINDOW:
        raise BadInput(f"the maps are {first.shape[-2]} x {first.shape[-1]} pixels", do=f"use at least {WINDOW}")


def _frames(heat: Heat) -> npt.NDArray[np.float64]:
    """(T, H, W), of one frame for a single slice."""
    return heat.reshape(-1, *heat.shape[-2:]).astype(np.float64)
