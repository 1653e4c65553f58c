"""The grey window: Hounsfield units to the 8-bit picture that a network reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def window(hu: npt.ArrayLike, lower: float, upper: float) -> npt.NDArray[np.uint8]:
    """Clip to ``lower..upper`` HU and map linearly to 0..255.

    ``floor((hu - lower) / (upper - lower) * 255 + 0.5)``: halves are rounded up, so that equal inputs give
    equal outputs on every machine. ``lower`` and everything below is 0, ``upper`` and everything above is 255.

    :param hu: any shape, integers or floats without NaN
    """
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise ValueError(f"a window needs lower < upper, got {lower}..{upper}")
    values = np.asarray(hu)
    if values.dtype == np.int16:  # a table is exact and several times faster than arithmetic on the volume
        table = _grey(np.arange(-32768, 32768, dtype=np.float64), lower, upper)
        return np.asarray(table[values.view(np.uint16) ^ 0x8000])
    return _grey(values.astype(np.float64), lower, upper)


def _grey(hu: npt.NDArray[np.float64], lower: float, upper: float) -> npt.NDArray[np.uint8]:
    share = (np.clip(hu, lower, upper) - lower) / (upper - lower)
    return np.floor(share * 255.0 + 0.5).astype(np.uint8)
