"""Colours of a heat map: the paper's JET, and a ramp whose lightness says the same as its hue.

Every map takes heat on the absolute scale 0..1; nothing here looks at the largest value of an image.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from triplenet.errors import UnknownName

ColourMap = Literal["fire", "jet"]
Colours = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

COLOUR_MAPS: tuple[ColourMap, ...] = get_args(ColourMap)

# Anchors in OKLCH (lightness, chroma, hue in degrees), evenly spaced over 0..1: pale yellow, orange, red, dark red.
# Lightness falls in equal steps, so the order survives any colour blindness and a grey print; the hot end is a strong
# red, which stands out from the white that the paper's window makes of dense tissue.
_FIRE = ((0.94, 0.09, 102.0), (0.83, 0.15, 78.0), (0.72, 0.18, 55.0), (0.61, 0.22, 33.0), (0.50, 0.20, 22.0))


def colours(heat: npt.NDArray[np.floating], colour_map: ColourMap = "fire") -> Colours:
    """Heat (...) in 0..1 to sRGB (..., 3); values outside are clipped, NaN counts as 0.

    :raises UnknownName: no such colour map
    """
    if colour_map not in COLOUR_MAPS:
        raise UnknownName("unknown colour map", where=repr(colour_map), do=f"choose one of {', '.join(COLOUR_MAPS)}")
    level = np.rint(np.clip(np.nan_to_num(heat, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)
    found: Colours = _table(colour_map)[level]
    return found


@cache
def _table(colour_map: ColourMap) -> Colours:
    """(256, 3): the colour of each level."""
    level = np.linspace(0.0, 1.0, 256)
    rgb = _jet(level) if colour_map == "jet" else _ramp(level)
    table = np.rint(np.clip(rgb, 0.0, 1.0) * 255).astype(np.uint8)
    table.setflags(write=False)
    return table


def _jet(level: Floats) -> Floats:
    """Blue, cyan, yellow, red: each channel is a trapezoid."""
    centres = np.array([3.0, 2.0, 1.0])
    rgb: Floats = np.clip(1.5 - np.abs(4.0 * level[:, None] - centres), 0.0, 1.0)
    return rgb


def _ramp(level: Floats) -> Floats:
    lightness, chroma, hue = np.array(_FIRE).T
    at = np.linspace(0.0, 1.0, len(_FIRE))
    angle = np.deg2rad(np.interp(level, at, hue))
    radius = np.interp(level, at, chroma)
    return _srgb(np.stack([np.interp(level, at, lightness), radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def _srgb(oklab: Floats) -> Floats:
    """OKLab (N, 3) to gamma-coded sRGB (N, 3) in 0..1 (Ottosson 2020)."""
    to_cone = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((oklab @ to_cone.T) ** 3 @ to_rgb.T, 0.0, 1.0)
    rgb: Floats = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb
