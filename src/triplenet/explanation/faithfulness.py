"""Whether a heat map names the pixels that the decision rests on: ROAD, deletion and insertion.

A share of an image's pixels is taken away in the order of the map, and the network is asked again. Each score is of the
class's probability:

- ROAD (Rong et al. 2022): removed pixels are imputed from their neighbours (``imputation``), most relevant first, and
  least relevant first. A map that names the right ones loses the class early in the first order and late in the other.
- Deletion and insertion (Petsiuk et al. 2018): the most relevant pixels of the image are replaced by those of a
  baseline image, or put into it.

Deletion alone misleads: a hole of the baseline's grey is a shape that no training image had, and the network may answer
to that shape, whichever pixels lay in it. So a map scores by its outline, and one that is compact and wrong may win.
With imputation both orders agree far more often on which map is the better one (Rong et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput, BadModel
from triplenet.explanation.imputation import impute

if TYPE_CHECKING:
    from triplenet.model import Model

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Heat = npt.NDArray[np.floating]
Classify = Callable[[Bytes], Floats]
"""Images (N, H, W) or volumes (N, T, H, W) as a prepared set holds them -> probabilities (N, C)"""

#: Of the pixels, taken away or put in.
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Faithfulness:
    """The probability of one class as an image's pixels are changed in the order of a map."""

    fractions: tuple[float, ...]
    """Of the pixels that the network reads"""
    road_most_relevant: tuple[float, ...]
    """With this fraction imputed, the map's hottest pixels first"""
    road_least_relevant: tuple[float, ...]
    """With this fraction imputed, the coldest first"""
    deletion_curve: tuple[float, ...]
    """With this fraction of the hottest replaced by the baseline image"""
    insertion_curve: tuple[float, ...]
    """Of the baseline image with this fraction of the hottest put in"""
    unchanged: float
    """Of the image as it is"""
    baseline: float
    """Of the baseline image"""

    @property
    def road(self) -> float:
        """The mean over the fractions of least minus most relevant first, -1..1; higher is better.

        0 is what a map by chance reaches. Gildenblat's "ROAD combined" is half of it.
        """
        return float(np.mean(np.subtract(self.road_least_relevant, self.road_most_relevant)))

    @property
    def deletion(self) -> float:
        """The mean of its curve, 0..1; lower is better."""
        return float(np.mean(self.deletion_curve))

    @property
    def insertion(self) -> float:
        """The mean of its curve, 0..1; higher is better."""
        return float(np.mean(self.insertion_curve))


def faithfulness(
    classify: Classify,
    image: Bytes,
    heat: Heat,
    target: int,
    *,
    fill: Bytes,
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
    crop: int | None = None,
) -> Faithfulness:
    """The scores of one map of one image.

    Pixels of equal heat are ordered by chance from the seed, never by their position. The pixels of a volume are ranked
    over all of it, and imputed within each frame; a frame of which nothing is left is the baseline image.

    :param classify: what asks the network; it is called once, with 4 images a fraction and two more
    :param image: (H, W) uint8, or (T, H, W) for a 3D method
    :param heat: the map, in the shape of ``image``
    :param target: the class whose probability is followed
    :param fill: (H, W) uint8, the baseline image of deletion and insertion: see ``baseline_image``
    :param fractions: of the pixels, each between 0 and 1
    :param crop: side of the central square that the network reads; all of the image by default. What lies outside is
        neither ranked nor removed, and not known to the imputation
    :raises BadInput: shapes that do not go together, a fraction that is not one
    """
    _check(image, heat, fill, fractions, crop)
    window = (..., *central_square(image.shape[-2:], crop))
    inside = np.ascontiguousarray(image[window])
    fill_inside = np.broadcast_to(fill[window[-2:]], inside.shape)
    rng = np.random.default_rng(seed)
    hottest_first = _order(heat[window], rng)
    changed = []
    for fraction in fractions:
        count = round(fraction * inside.size)
        hottest, coldest = _mask(hottest_first[:count], inside.shape), _mask(hottest_first[-count:], inside.shape)
        changed += [
            _imputed(inside, hottest, fill_inside, rng),
            _imputed(inside, coldest, fill_inside, rng),
            np.where(hottest, fill_inside, inside),
            np.where(hottest, inside, fill_inside),
        ]
    images = np.repeat(image[None], len(changed) + 2, axis=0)
    images[(slice(-len(changed), None), *window)] = np.stack(changed)
    images[1] = fill
    probabilities = _asked(classify, images, target)
    most, least, deletion, insertion = probabilities[2:].reshape(-1, 4).T.tolist()
    return Faithfulness(
        fractions=tuple(fractions),
        road_most_relevant=tuple(most),
        road_least_relevant=tuple(least),
        deletion_curve=tuple(deletion),
        insertion_curve=tuple(insertion),
        unchanged=float(probabilities[0]),
        baseline=float(probabilities[1]),
    )


def baseline_image(model: Model) -> Bytes:
    """(size, size) the model's mean image: of it a network reads 0 everywhere, to half a grey level."""
    mean: npt.NDArray[np.float32] = model.mean_image.cpu().numpy()
    return np.clip(np.rint(mean * 255), 0, 255).astype(np.uint8)


def classifier(model: Model, *, lungs: Bytes | None = None, batch: int = 32) -> Classify:
    """What asks a model for the probabilities of images, as ``faithfulness`` wants it, without a map.

    :param lungs: (T, H, W) uint8, 1 in the lung, of the volume that is asked about, for a network that reads it
    :param batch: images that are looked at together
    """
    import torch

    from triplenet.model import full_float32

    def classify(images: Bytes) -> Floats:
        parts = []
        for first in range(0, len(images), batch):
            some = images[first : first + batch]
            inside = None if lungs is None else np.repeat(lungs[None], len(some), axis=0)
            with torch.no_grad(), full_float32():
                logits = model.network(model.normalise(some, inside)).logits
            parts.append(logits.double().softmax(1).cpu().numpy())
        return np.concatenate(parts)

    return classify


def central_square(shape: tuple[int, ...], crop: int | None) -> tuple[slice, slice]:
    """The rows and columns of the central square of ``crop`` pixels in an image of ``shape`` (H, W); else all."""
    if crop is None:
        return slice(None), slice(None)
    rows, columns = ((side - crop) // 2 for side in shape)
    return slice(rows, rows + crop), slice(columns, columns + crop)


def _order(heat: Heat, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Flat positions, the hottest first; those of equal heat in an order by chance."""
    by_chance = rng.permutation(heat.size)
    order: npt.NDArray[np.intp] = by_chance[np.argsort(-heat.ravel()[by_chance], kind="stable")]
    return order


def _mask(positions: npt.NDArray[np.intp], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    mask.reshape(-1)[positions] = True
    return mask


def _imputed(image: Bytes, removed: npt.NDArray[np.bool_], fill: Bytes, rng: np.random.Generator) -> Bytes:
    """The image or volume with what is removed imputed, frame by frame."""
    if image.ndim == 2:
        return impute(image, removed, rng)
    frames = zip(image, removed, fill, strict=True)
    return np.stack([instead if gone.all() else impute(frame, gone, rng) for frame, gone, instead in frames])


def _asked(classify: Classify, images: Bytes, target: int) -> Floats:
    """The probability of the class in each image (N,)."""
    probabilities = classify(images)
    if probabilities.ndim != 2 or len(probabilities) != len(images):
        raise BadInput(f"{len(images)} images have probabilities {probabilities.shape}, not ({len(images)}, C)")
    if not 0 <= target < probabilities.shape[1]:
        raise BadInput(f"class {target} is explained of {probabilities.shape[1]} classes")
    if not np.isfinite(probabilities).all():
        raise BadModel("the network's answer is not finite", do="do not use this model")
    return probabilities[:, target].astype(np.float64)


def _check(image: Bytes, heat: Heat, fill: Bytes, fractions: Sequence[float], crop: int | None) -> None:
    if image.ndim not in (2, 3) or image.dtype != np.uint8:
        raise BadInput(f"the image is {image.dtype} {image.shape}, not uint8 (H, W) or (T, H, W)")
    if heat.shape != image.shape:
        raise BadInput(f"the map is {heat.shape} and the image {image.shape}, not of one shape")
    if not np.isfinite(heat).all():
        raise BadInput("the map is not finite")
    if fill.shape != image.shape[-2:] or fill.dtype != np.uint8:
        raise BadInput(f"the baseline image is {fill.dtype} {fill.shape}, not uint8 {image.shape[-2:]}")
    if crop is not None and not 0 < crop <= min(image.shape[-2:]):
        raise BadInput(f"a square of {crop} pixels in an image of {image.shape[-2:]}")
    pixels = image.size if crop is None else image.size // (image.shape[-2] * image.shape[-1]) * crop * crop
    if not fractions or not all(0 < round(fraction * pixels) < pixels for fraction in fractions):
        raise BadInput(f"fractions {tuple(fractions)} of {pixels} pixels", do="choose some between 0 and 1")
