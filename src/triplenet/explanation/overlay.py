"""A heat map laid over the slice it explains.

Three styles. The default leaves the image as it is where the heat is 0 and covers it the more the hotter it is, so that
a map without evidence is the plain image. ``PAPER`` is the superposition of Figs. 6-8: half image, half JET.
Both take the heat on its absolute scale: 1 is full, whatever the image's own maximum. ``OWN_MAXIMUM`` is the default's
way with each map divided by its own maximum, as Grad-CAM tools draw it: it shows where a faint map is strongest, and no
longer how strong it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from triplenet.errors import UnknownName
from triplenet.explanation.colour import ColourMap, Colours, colours

Grey = npt.NDArray[np.uint8]
Heat = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
Scale = Literal["absolute", "own maximum"]

_OWN = "Each map is divided by its own maximum: full colour is where this map is strongest, however little that is."


@dataclass(frozen=True)
class Style:
    """How heat is laid over an image.

    :param opacity: share of the heat's colour at heat 1
    :param rises: the share grows with the heat from 0; else it is the same everywhere
    :param scale: full is 1, or the map's own maximum
    """

    colour_map: ColourMap = "fire"
    opacity: float = 0.75
    rises: bool = True
    scale: Scale = "absolute"

    @property
    def note(self) -> str:
        """What has to be said of the scale, for the words under a picture; nothing of the absolute one."""
        return "" if self.scale == "absolute" else _OWN

    def scaled(self, heat: Heat) -> Heat:
        """The heat as this style draws it; a map of 0 stays 0."""
        if self.scale == "absolute":
            return heat
        known = np.nan_to_num(heat, nan=0.0)
        highest = known.max(initial=0.0)
        return known / highest if highest > 0 else known

    def share(self, heat: Heat) -> npt.NDArray[np.float64]:
        """How much of each pixel is the heat's colour, 0..1."""
        level = np.clip(np.nan_to_num(heat, nan=0.0), 0.0, 1.0).astype(np.float64)
        return self.opacity * level if self.rises else np.full(level.shape, self.opacity)


ABSOLUTE = Style()
PAPER = Style("jet", 0.5, rises=False)
OWN_MAXIMUM = Style(scale="own maximum")
STYLES = {"absolute": ABSOLUTE, "own-maximum": OWN_MAXIMUM, "paper": PAPER}


def style_of(style: Style | str) -> Style:
    """A style by its name, or as it is.

    :raises UnknownName: no such style
    """
    if isinstance(style, Style):
        return style
    if style not in STYLES:
        raise UnknownName("no such style", where=repr(style), do=f"choose one of {', '.join(STYLES)}")
    return STYLES[style]


#: Cyan: in neither the grey of the image nor the ramp from yellow to red.
OUTLINE = (0, 229, 255)


def overlay(image: Grey, heat: Heat, style: Style = ABSOLUTE) -> Colours:
    """The image with the heat over it.

    :param image: (H, W) uint8, windowed grey
    :param heat: (H, W) in 0..1
    :returns: (H, W, 3) uint8 sRGB
    """
    if image.shape != heat.shape:
        raise ValueError(f"image {image.shape} and heat {heat.shape} differ in shape")
    heat = style.scaled(heat)
    share = style.share(heat)[..., None]
    blended = (1.0 - share) * grey(image) + share * colours(heat, style.colour_map)
    return np.rint(blended).astype(np.uint8)


def grey(image: Grey) -> Colours:
    """(H, W) grey as (H, W, 3)."""
    return np.repeat(image[..., None], 3, axis=-1)


def outlined(picture: Colours, mask: Mask, *, width: int = 1, colour: tuple[int, int, int] = OUTLINE) -> Colours:
    """The picture with a mask's border drawn in: a coloured line inside the mask, a dark one around it.

    :param picture: (H, W, 3) uint8
    :param mask: (H, W) bool
    :param width: of each of the two lines, in pixels
    """
    if picture.shape[:2] != mask.shape:
        raise ValueError(f"picture {picture.shape[:2]} and mask {mask.shape} differ in shape")
    drawn = picture.copy()
    if mask.any():
        square = np.ones((3, 3), dtype=bool)
        drawn[ndimage.binary_dilation(mask, square, iterations=width) & ~mask] //= 3
        # A mask that touches the picture's edge has its border there.
        drawn[mask & ~ndimage.binary_erosion(mask, square, iterations=width, border_value=0)] = colour
    return drawn


def enlarged(array: npt.NDArray[np.uint8] | Heat, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W) bilinearly resized to (H', W'); pixel areas stay where they are."""
    picture = Image.fromarray(np.ascontiguousarray(array, dtype=np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def enlarged_mask(mask: Mask, shape: tuple[int, int]) -> Mask:
    """A mask resized with smooth borders."""
    return enlarged(mask.astype(np.float32), shape) >= 0.5
