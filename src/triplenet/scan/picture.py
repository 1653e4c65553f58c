"""PNG and JPEG: single slices of public data sets, already windowed to 8 bit, and masks drawn on them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from triplenet.errors import NotAVolume, PathMissing, TooLarge, UnreadableFile
from triplenet.scan.limits import DEFAULT_LIMITS, Limits

_GREY = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "RGB", "RGBA", "LA"})
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, struct.error, zlib.error)
_PASSES = 100  # progressive JPEG has about ten; each costs as much as all pixels, and a few bytes
_CHUNK = 2**20


def read_image(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
    """The grey values of a PNG or JPEG, (Y, X) uint8. They are grey levels, not Hounsfield units.

    Colour pictures are taken where red, green and blue agree; 16-bit ones where the values fit into 8 bits.

    :raises NotAVolume: the picture is coloured or has more than 8 bits
    :raises TooLarge: it has more pixels, or more passes over them, than any picture of a slice
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such file", where=path)
    try:
        _check_passes(path)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            width, height = image.size
            if width * height > limits.picture_pixels:
                raise TooLarge(f"a picture of {width} x {height} pixels", where=path)
            if image.mode not in _GREY:
                raise NotAVolume(f"a picture of mode {image.mode} is not grey", where=path)
            plain = "L" if image.mode == "1" else "RGB" if image.mode in ("P", "RGBA", "LA") else image.mode
            values = np.asarray(image.convert(plain))
    except Image.DecompressionBombError:
        raise TooLarge("a picture of more pixels than Pillow opens", where=path) from None
    except UnidentifiedImageError:
        raise UnreadableFile("not a PNG or JPEG", where=path) from None
    except _DAMAGE as error:
        raise UnreadableFile(f"damaged picture ({error})", where=path) from None
    if values.ndim == 3:
        red, green, blue = values[..., 0], values[..., 1], values[..., 2]
        spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        if values.size and spread.max() > 16:  # JPEG's colour rounding leaves a few levels between the channels
            raise NotAVolume("a coloured picture is not a CT slice", where=path)
        values = green
    if values.size and (values.min() < 0 or values.max() > 255):
        raise NotAVolume("a picture of more than 8 bits has no defined grey scale here", where=path)
    return np.ascontiguousarray(values.astype(np.uint8))


def _check_passes(path: Path) -> None:
    """Refuse a JPEG whose pixels are gone over again and again (TOO_LARGE)."""
    passes, last = 0, b""
    with path.open("rb") as file:
        if file.read(2) != b"\xff\xd8":
            return
        while piece := file.read(_CHUNK):
            passes += (last + piece).count(b"\xff\xda")  # nothing else holds this but a preview in front
            last = piece[-1:]
    if passes > _PASSES:
        raise TooLarge(f"a JPEG of {passes} passes over its pixels", where=path, do="save it as PNG")
