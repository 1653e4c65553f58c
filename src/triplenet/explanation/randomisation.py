"""Whether a heat map depends on what the network has learned: its parameters are made random, stage by stage.

Model parameter randomisation (Adebayo et al. 2018) on a copy of the network, from the output to the input or the other
way round, each stage on top of those before. A map of what was learned must change; one that stays the same shows the
image. How much it must change is measured by the maps of different patients of the trained model, as Arun et al. (2021)
do: after the last stage the maps must be less like their originals than the 95th percentile of such pairs
(``chance_level``; Arun et al. take the mean of 50 pairs).

Two forms of Hedström et al. (2024): the smoothed one (sMPRT) compares means of maps over noisy copies of the image, so
that the noise of a single map is not taken for a change; the efficient one (eMPRT) asks by how much a map's complexity,
the entropy of its histogram, rises once everything is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput
from triplenet.explanation.maps import classify_and_explain_crop
from triplenet.explanation.module_groups import ModuleGroup, module_groups, reset_module
from triplenet.explanation.similarity import MapSimilarity, mean_similarity, similarity

if TYPE_CHECKING:
    from triplenet.model import Model

Bytes = npt.NDArray[np.uint8]
Heats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]
Order = Literal["top-down", "bottom-up"]
ORDERS: tuple[Order, ...] = get_args(Order)

#: Of the smoothed form: noisy copies of an image, and the noise's standard deviation in grey levels, a tenth of the
#: range; both as in the authors' code.
COPIES, NOISE = 50, 0.1 * 255
#: Bins of the histogram whose entropy is a map's complexity.
BINS = 100
#: Of the pairs of different patients, and how many pairs are drawn at most.
PERCENTILE, MOST_PAIRS = 95.0, 200


@dataclass(frozen=True)
class Stage:
    """How alike the maps are to the original ones once this stage and those before it are random."""

    name: str
    """Of the network's module"""
    similarity: MapSimilarity
    """Means over the images"""


@dataclass(frozen=True)
class ChanceLevel:
    """How alike the maps of different patients are: the 95th percentile over pairs."""

    ssim: float
    spearman: float | None
    """None where every pair has a constant map"""
    pairs: int


@dataclass(frozen=True)
class ComplexityRise:
    """The efficient form: how much more complex the maps are once every parameter is random."""

    before: float
    """Entropy of a map's histogram in nats; as the next, the mean over the images"""
    after: float
    rise: float | None
    """The mean over images of (after - before) / before; higher is better. None where every map was constant before"""
    images: int
    """Those whose map was not constant before, over which ``rise`` is the mean"""


def randomise_parameters(
    model: Model,
    images: Bytes,
    *,
    order: Order,
    seed: int,
    lungs: Bytes | None = None,
    copies: int = 0,
    noise: float = NOISE,
    batch: int = 32,
) -> tuple[Stage, ...]:
    """How the maps of images change as the parameters of a copy of the network are made random; the model stays.

    The class explained is the one that the trained model predicts. Both orders end at the same network.

    :param images: (N, size, size) as ``explanation.maps`` takes them, or (N, T, size, size), one a patient
    :param order: from the output to the input (``top-down``), or from the input to the output
    :param lungs: (N, T, size, size), for a network that reads them
    :param copies: noisy copies of an image over whose maps a mean is taken: sMPRT, ``COPIES``; 0 for the plain form
    :param noise: of the copies, standard deviation in grey levels
    :param batch: images that are looked at together
    :returns: a stage a group of modules, in the order in which they are made random
    """
    explain = _explainer(images, lungs, copies, noise, seed, batch)
    target = predicted(model, images, lungs=lungs, batch=batch)
    original = explain(model, target)
    copied = replace(model, network=deepcopy(model.network))
    groups = _stages(copied, images, lungs)
    done = []
    for group in groups if order == "bottom-up" else reversed(groups):
        for module in group.modules:
            reset_module(copied.network, module, seed)
        maps = explain(copied, target)
        pairs = [similarity(one, other) for one, other in zip(original, maps, strict=True)]
        done.append(Stage(group.name, mean_similarity(pairs)))
    return tuple(done)


def complexity_rise(
    model: Model, images: Bytes, *, seed: int, lungs: Bytes | None = None, batch: int = 32
) -> ComplexityRise:
    """The efficient form (eMPRT); parameters as ``randomise_parameters``."""
    explain = _explainer(images, lungs, 0, 0.0, seed, batch)
    target = predicted(model, images, lungs=lungs, batch=batch)
    before = [complexity(heat) for heat in explain(model, target)]
    after = [complexity(heat) for heat in explain(randomised(model, images, seed=seed, lungs=lungs), target)]
    rises = [(late - early) / early for early, late in zip(before, after, strict=True) if early > 0]
    return ComplexityRise(
        before=float(np.mean(before)),
        after=float(np.mean(after)),
        rise=float(np.mean(rises)) if rises else None,
        images=len(rises),
    )


def chance_level(maps: npt.NDArray[np.floating], *, seed: int) -> ChanceLevel:
    """How alike the trained model's maps of different patients are.

    :param maps: (N, H, W) or (N, T, H, W), one a patient, made as those that are to be judged by it: of the smoothed
        form with ``smoothed_maps``
    :param seed: of the choice of pairs, where there are more than ``MOST_PAIRS``
    :raises BadInput: fewer than two maps
    """
    pairs = list(combinations(range(len(maps)), 2))
    if not pairs:
        raise BadInput(f"{len(maps)} map", do="give those of two patients or more")
    if len(pairs) > MOST_PAIRS:
        chosen = np.random.default_rng(seed).choice(len(pairs), MOST_PAIRS, replace=False)
        pairs = [pairs[number] for number in chosen]
    found = [similarity(maps[one], maps[other]) for one, other in pairs]
    ranked = [pair.spearman for pair in found if pair.spearman is not None]
    return ChanceLevel(
        ssim=float(np.percentile([pair.ssim for pair in found], PERCENTILE)),
        spearman=float(np.percentile(ranked, PERCENTILE)) if ranked else None,
        pairs=len(pairs),
    )


def passed(stages: Sequence[Stage], chance: ChanceLevel) -> bool:
    """Whether after the last stage the maps are less like the original ones than those of different patients are.

    In both measures. A Spearman correlation that there is not, since a map of the random network is constant, is no
    likeness; where the maps of different patients have none, SSIM alone decides.
    """
    last = stages[-1].similarity
    ordered = last.spearman is None or chance.spearman is None or last.spearman < chance.spearman
    return last.ssim < chance.ssim and ordered


def complexity(heat: npt.NDArray[np.floating]) -> float:
    """The entropy in nats of a map's histogram over its own range, as the authors of eMPRT have it; 0 if constant."""
    if np.ptp(heat) == 0:
        return 0.0
    counts, _ = np.histogram(heat, bins=BINS)
    shares = counts[counts > 0] / heat.size
    return float(-(shares * np.log(shares)).sum())


def predicted(model: Model, images: Bytes, *, lungs: Bytes | None = None, batch: int = 32) -> Classes:
    """(N,) the class that the model predicts of each image."""
    parts = [
        classify_and_explain_crop(model, some, None, inside).probabilities
        for some, inside in _batches(images, lungs, batch)
    ]
    classes: Classes = np.concatenate(parts).argmax(1)
    return classes


def smoothed_maps(
    model: Model,
    images: Bytes,
    target: Classes,
    *,
    seed: int,
    lungs: Bytes | None = None,
    copies: int = COPIES,
    noise: float = NOISE,
    batch: int = 32,
) -> Heats:
    """(N, crop, crop) or (N, T, crop, crop): means of the maps of noisy copies of each image, as sMPRT compares them.

    :param target: (N,) class to explain
    :param copies: 0 for the maps of the images as they are
    """
    if copies == 0:
        return _maps(model, images, target, lungs, batch)
    rng = np.random.default_rng(seed)
    total = np.zeros(0)
    for _ in range(copies):
        noisy = np.clip(np.rint(images + rng.normal(0.0, noise, images.shape)), 0, 255).astype(np.uint8)
        maps = _maps(model, noisy, target, lungs, batch).astype(np.float64)
        total = maps if not total.size else total + maps
    return (total / copies).astype(np.float32)


def randomised(model: Model, images: Bytes, *, seed: int, lungs: Bytes | None = None) -> Model:
    """The model with a copy of its network, every parameter random: where ``randomise_parameters`` ends.

    :param images: the network is run on the first one, to learn the order of its modules
    """
    copied = replace(model, network=deepcopy(model.network))
    for stage in _stages(copied, images, lungs):
        for module in stage.modules:
            reset_module(copied.network, module, seed)
    return copied


def _stages(model: Model, images: Bytes, lungs: Bytes | None) -> tuple[ModuleGroup, ...]:
    def run() -> None:
        classify_and_explain_crop(model, np.array(images[:1]), None, None if lungs is None else np.array(lungs[:1]))

    groups = module_groups(model.network, run)
    if not groups:
        raise BadInput("the network has no parameters that could be made random")
    return groups


def _explainer(
    images: Bytes, lungs: Bytes | None, copies: int, noise: float, seed: int, batch: int
) -> Callable[[Model, Classes], Heats]:
    """What makes the maps of the images with one model or another; the noise is the same for all."""
    if images.ndim not in (3, 4) or not len(images):
        raise BadInput(f"images are {images.shape}, not (N, H, W) or (N, T, H, W) with one or more")

    def explain(model: Model, target: Classes) -> Heats:
        return smoothed_maps(model, images, target, seed=seed, lungs=lungs, copies=copies, noise=noise, batch=batch)

    return explain


def _maps(model: Model, images: Bytes, target: Classes, lungs: Bytes | None, batch: int) -> Heats:
    starts = range(0, len(images), batch)
    parts = [
        classify_and_explain_crop(model, some, target[first : first + batch], inside).heat
        for first, (some, inside) in zip(starts, _batches(images, lungs, batch), strict=True)
    ]
    return np.concatenate(parts)


def _batches(images: Bytes, lungs: Bytes | None, batch: int) -> Iterator[tuple[Bytes, Bytes | None]]:
    for first in range(0, len(images), batch):
        rows = slice(first, first + batch)
        yield np.array(images[rows]), None if lungs is None else np.array(lungs[rows])
