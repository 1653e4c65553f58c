"""PNG and JPEG: single slices of public data sets, already windowed to 8 bit, and masks drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from triplenet.errors import NotAVolume, PathMissing, TooLarge, UnreadableFile
from triplenet.scan.limits import DEFAULT_LIMITS, Limits

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_GREY = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "RGB", "RGBA", "LA"})


def read_image(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
    """The grey values of a PNG or JPEG, (Y, X) uint8. They are grey levels, not Hounsfield units.

    Colour pictures are taken where red, green and blue agree; 16-bit ones where the values fit into 8 bits.

    :raises NotAVolume: the picture is coloured or has more than 8 bits
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such file", where=path)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            width, height = image.size
            if width * height > limits.picture_pixels:
                raise TooLarge(f"a picture of {width} x {height} pixels", where=path)
            if image.mode not in _GREY:
                raise NotAVolume(f"a picture of mode {image.mode} is not grey", where=path)
            plain = "L" if image.mode == "1" else "RGB" if image.mode in ("P", "RGBA", "LA") else image.mode
            values = np.asarray(image.convert(plain))
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise UnreadableFile("not a PNG or JPEG", where=path) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableFile(f"damaged picture ({error})", where=path) from None
    if values.ndim == 3:
        spread = int(np.ptp(values, axis=2).max()) if values.size else 0
        if spread > 16:  # JPEG's colour rounding leaves a few levels between the channels
            raise NotAVolume("a coloured picture is not a CT slice", where=path)
        values = values[..., 1]
    if values.size and (values.min() < 0 or values.max() > 255):
        raise NotAVolume("a picture of more than 8 bits has no defined grey scale here", where=path)
    return np.ascontiguousarray(values.astype(np.uint8))
