"""Colours of a heat map: the paper's JET, and a ramp whose lightness says the same as its hue.

Every map takes heat from 0 to 1; nothing here looks at the largest value of an image.
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

# Anchors in OKLCH (lightness, chroma, hue in degrees): pale yellow, orange, red, dark red. The order survives any
# colour blindness and a grey print, and the hot end is a strong red, which stands out from the white that the paper's
# window makes of dense tissue. Between them equal steps of heat are equal distances in OKLab; the anchors are such that
# they are equal in CIEDE2000 too, to a few per cent.
_FIRE = ((0.94, 0.082, 94.5), (0.836, 0.148, 77.8), (0.708, 0.181, 52.0), (0.609, 0.199, 38.1), (0.50, 0.204, 27.5))
_FINE = 4096
"""Points by which the ramp's length is measured"""


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
    """The ramp through the anchors, so that its length in OKLab up to a level grows as the level does."""
    fine = np.linspace(0.0, 1.0, _FINE)
    oklab = _between_anchors(fine)
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(oklab, axis=0), axis=1).cumsum()])
    return _srgb(_between_anchors(np.interp(level, length / length[-1], fine)))


def _between_anchors(place: Floats) -> Floats:
    """OKLab (N, 3) at places from the first anchor (0) to the last (1)."""
    lightness, chroma, hue = np.array(_FIRE).T
    at = np.linspace(0.0, 1.0, len(_FIRE))
    angle, radius = np.deg2rad(np.interp(place, at, hue)), np.interp(place, at, chroma)
    return np.stack([np.interp(place, at, lightness), radius * np.cos(angle), radius * np.sin(angle)], axis=1)


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
