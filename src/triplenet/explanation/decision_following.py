"""Whether a heat map changes when the decision does, and stays when it stays.

An image is disturbed by graded Gaussian noise, and by a square of the baseline image at the places of a grid. Over
these disturbances the change of the map is correlated with that of the class's probability, within each image: the
prediction-saliency correlation of Zhang et al. (2024), who disturb by adversarial noise. Noise changes most maps and
most decisions the more the stronger it is, so a map gets some correlation for nothing there; under occlusion it must
tell the places apart. A map that does not depend on the class, as Triple Net's and ABN's, is expected to fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput, BadModel
from triplenet.explanation.faithfulness import central_square
from triplenet.explanation.maps import classify_and_explain_crop
from triplenet.explanation.similarity import spearman, ssim

if TYPE_CHECKING:
    from triplenet.model import Model

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Explain = Callable[[Bytes, int], tuple[Floats, npt.NDArray[np.floating]]]
"""Images (N, H, W) or volumes (N, T, H, W), and the class to explain -> probabilities (N, C) and maps (N, ...)"""

#: Standard deviations in grey levels, and how often each is drawn.
NOISE_LEVELS, DRAWS = (5.0, 12.5, 25.0, 37.5, 50.0, 75.0), 2
#: Squares along a side.
GRID = 4
#: A change of a probability or a map below it is rounding, and counts as none.
SMALLEST_CHANGE = 1e-6


@dataclass(frozen=True)
class Changes:
    """What the disturbances of one image change: (P,) each, in one order."""

    probability: Floats
    """Of the class, absolute"""
    structure: Floats
    """Of the map: 1 - SSIM"""
    difference: Floats
    """Of the map: the mean absolute difference"""


@dataclass(frozen=True)
class Correlation:
    """Spearman's correlation of a change of the map with that of the probability, in each image."""

    values: tuple[float | None, ...]
    """None where nothing changes, be it the map or the probability"""

    @property
    def images(self) -> int:
        """Those that have a value."""
        return sum(value is not None for value in self.values)

    @property
    def mean(self) -> float | None:
        """Over these; None where there are none."""
        there = [value for value in self.values if value is not None]
        return float(np.mean(there)) if there else None


@dataclass(frozen=True)
class Following:
    """How a map's changes go with the decision's: 1 is the same order, 0 none."""

    structure: Correlation
    """Of 1 - SSIM"""
    difference: Correlation
    """Of the mean absolute difference"""


@dataclass(frozen=True)
class DecisionFollowing:
    """Under each kind of disturbance, and under both together."""

    noise: Following
    occlusion: Following
    both: Following


def follows_decision(
    explain: Explain,
    images: Bytes,
    target: npt.NDArray[np.int64],
    *,
    fill: Bytes,
    seed: int,
    noise_levels: Sequence[float] = NOISE_LEVELS,
    draws: int = DRAWS,
    grid: int = GRID,
    crop: int | None = None,
) -> DecisionFollowing:
    """How the maps of images go with what the network says of them.

    :param explain: what asks the network; it is called once an image, with all its disturbed copies. Its maps are best
        of what the network reads alone, without an empty margin: see ``explainer``
    :param images: (N, H, W) uint8, or (N, T, H, W) for a 3D method
    :param target: (N,) the class whose probability and map are followed, most often the predicted one
    :param fill: (H, W) uint8, what covers a square: ``faithfulness.baseline_image``; in a volume in every frame
    :param noise_levels: standard deviations in grey levels
    :param draws: of noise at each level
    :param grid: squares along a side
    :param crop: side of the central square that the network reads, over which the grid lies; all of it by default
    :raises BadInput: shapes that do not go together
    """
    _check(images, target, fill, grid, crop)
    disturbed_by_noise = len(noise_levels) * draws
    noise, occlusion, both = [], [], []
    for number, (image, chosen) in enumerate(zip(images, target.tolist(), strict=True)):
        rng = np.random.default_rng([seed, number])
        noisy = with_noise(image, noise_levels, draws, rng)
        covered = with_squares(image, fill, grid, crop)
        changes = _changes(explain, np.concatenate([image[None], noisy, covered]), chosen)
        noise.append(_correlations(changes, slice(None, disturbed_by_noise)))
        occlusion.append(_correlations(changes, slice(disturbed_by_noise, None)))
        both.append(_correlations(changes, slice(None)))
    return DecisionFollowing(*(_following(kind) for kind in (noise, occlusion, both)))


def with_noise(image: Bytes, levels: Sequence[float], draws: int, rng: np.random.Generator) -> Bytes:
    """(levels * draws, ...) the image with Gaussian noise of each level, the draws of a level together."""
    deviations = np.repeat(np.asarray(levels, dtype=np.float64), draws)
    noise = rng.normal(size=(len(deviations), *image.shape)) * deviations.reshape(-1, *[1] * image.ndim)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def with_squares(image: Bytes, fill: Bytes, grid: int, crop: int | None = None) -> Bytes:
    """(grid * grid, ...) the image with one square of the grid covered by the baseline image, row by row.

    The squares lie side by side over what the network reads; in a volume a square goes through all frames.
    """
    rows, columns = (
        np.linspace(*part.indices(side)[:2], grid + 1).round().astype(int)
        for part, side in zip(central_square(image.shape[-2:], crop), image.shape[-2:], strict=True)
    )
    covered = np.repeat(image[None], grid * grid, axis=0)
    for number, copy in enumerate(covered):
        row, column = divmod(number, grid)
        square = slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1])
        copy[(..., *square)] = fill[square]
    return covered


def explainer(model: Model, *, lungs: Bytes | None = None, batch: int = 32, of_class: bool = False) -> Explain:
    """What asks a model for probabilities and maps, as ``follows_decision`` wants it.

    :param lungs: (T, H, W) uint8, 1 in the lung, of the volume that is asked about, for a network that reads it
    :param batch: images that are looked at together
    :param of_class: the evidence for the class beside a map that has none, instead of that map
    """

    def explain(images: Bytes, target: int) -> tuple[Floats, npt.NDArray[np.floating]]:
        answers: list[tuple[Floats, npt.NDArray[np.floating]]] = []
        for first in range(0, len(images), batch):
            some = images[first : first + batch]
            inside = None if lungs is None else np.repeat(lungs[None], len(some), axis=0)
            found = classify_and_explain_crop(model, some, np.full(len(some), target), inside)
            heat = found.class_heat if of_class else found.heat
            if heat is None:
                raise BadInput("the map depends on the class already: there is no second one")
            answers.append((found.probabilities, heat))
        probabilities, maps = zip(*answers, strict=True)
        return np.concatenate(probabilities), np.concatenate(maps)

    return explain


def _changes(explain: Explain, images: Bytes, target: int) -> Changes:
    """From the first image to each of the others."""
    probabilities, maps = explain(images, target)
    if len(probabilities) != len(images) or len(maps) != len(images):
        raise BadInput(f"{len(images)} images have {len(probabilities)} probabilities and {len(maps)} maps")
    if not 0 <= target < probabilities.shape[1]:
        raise BadInput(f"class {target} is explained of {probabilities.shape[1]} classes")
    if not (np.isfinite(probabilities).all() and np.isfinite(maps).all()):
        raise BadModel("the network's answer is not finite", do="do not use this model")
    before, after = maps[0].astype(np.float64), maps[1:]
    return Changes(
        probability=_rounded(probabilities[1:, target] - probabilities[0, target]),
        structure=_rounded(np.array([1 - ssim(before, heat) for heat in after])),
        difference=_rounded(np.array([np.abs(heat - before).mean() for heat in after])),
    )


def _rounded(change: npt.NDArray[np.floating]) -> Floats:
    size = np.abs(change).astype(np.float64)
    return np.where(size < SMALLEST_CHANGE, 0.0, size)


def _correlations(changes: Changes, part: slice) -> tuple[float | None, float | None]:
    """Of the map's structure and difference with the probability."""
    decision = changes.probability[part]
    if not len(decision):
        return None, None
    return spearman(changes.structure[part], decision), spearman(changes.difference[part], decision)


def _following(images: Sequence[tuple[float | None, float | None]]) -> Following:
    structure, difference = zip(*images, strict=True)
    return Following(Correlation(structure), Correlation(difference))


def _check(images: Bytes, target: npt.NDArray[np.int64], fill: Bytes, grid: int, crop: int | None) -> None:
    if images.ndim not in (3, 4) or images.dtype != np.uint8 or not len(images):
        raise BadInput(
            f"images are {images.dtype} {images.shape}, not uint8 (N, H, W) or (N, T, H, W) with one or more"
        )
    if target.shape != images.shape[:1]:
        raise BadInput(f"{len(images)} images have classes {target.shape}, not ({len(images)},)")
    if fill.shape != images.shape[-2:] or fill.dtype != np.uint8:
        raise BadInput(f"the baseline image is {fill.dtype} {fill.shape}, not uint8 {images.shape[-2:]}")
    side = min(images.shape[-2:]) if crop is None else crop
    if not 0 < side <= min(images.shape[-2:]) or not 0 <= grid <= side:
        raise BadInput(f"a grid of {grid} x {grid} on {side} of {images.shape[-2:]} pixels")
