"""How a heat map lies to a mask, in numbers.

All on the map's absolute scale: a threshold is a value of the map, not a quantile of one image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Heat = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

#: From here on a pixel counts as pointed at.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Overlap:
    """A heat map against the mask of the true infection on the same pixels."""

    mass_inside: float | None
    """Share of the map's sum that lies inside the mask; None for an empty mask or a map that is 0 everywhere."""
    peak_inside: bool | None
    """Whether a hottest pixel lies inside (the pointing game); None as above."""
    dice: float | None
    """Of the pixels at or above the threshold with the mask; None when both are empty."""
    mask_pixels: int
    hot_pixels: int
    """At or above the threshold."""


def overlap(heat: Heat, mask: Mask, *, threshold: float = THRESHOLD) -> Overlap:
    """Compare a heat map (H, W) in 0..1 with a mask (H, W)."""
    if heat.shape != mask.shape:
        raise ValueError(f"heat {heat.shape} and mask {mask.shape} differ in shape")
    total = float(heat.sum(dtype=np.float64))
    hot = heat >= threshold
    asked = bool(mask.any()) and total > 0
    sizes = int(mask.sum()) + int(hot.sum())
    return Overlap(
        mass_inside=float(heat[mask].sum(dtype=np.float64)) / total if asked else None,
        peak_inside=bool(mask[heat == heat.max()].any()) if asked else None,
        dice=2 * int((mask & hot).sum()) / sizes if sizes else None,
        mask_pixels=int(mask.sum()),
        hot_pixels=int(hot.sum()),
    )
