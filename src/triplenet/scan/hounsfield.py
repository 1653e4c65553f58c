"""Stored values to Hounsfield units, and whether they can be that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import NotHu
from triplenet.scan.volume import HuArray

AIR = -1024
"""What padding becomes. Everything below it is padding too (-2000, -2048, -3024 are in use)."""

_SHARE = 0.001  # of the voxels must be air, and must be soft tissue


@dataclass(frozen=True)
class Rescale:
    """The line from stored values to HU: ``hu = slope * stored + intercept``."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class Padding:
    """Stored values that mark pixels outside the image: ``first..last``, both included."""

    first: int
    last: int


def to_hu(
    stored: npt.NDArray[Any], rescale: Rescale, padding: Padding | None = None, *, out: HuArray | None = None
) -> tuple[HuArray, int]:
    """Stored values as HU, rounded to whole numbers, padding and not-a-number as air.

    :param stored: any shape, integers or floats
    :param out: written to when given, same shape, int16
    :returns: the values, int16, and how many voxels were padding
    """
    if out is None:
        out = np.empty(stored.shape, np.int16)
    whole = rescale.slope == 1.0 and abs(rescale.intercept) < 2**31 and float(rescale.intercept).is_integer()
    if whole and stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        padded = _shift(stored, int(rescale.intercept), out)
    else:
        padded = _scale(stored, rescale, out)
    if padding is not None:
        outside = (stored >= padding.first) & (stored <= padding.last) & (out != AIR)
        extra = int(np.count_nonzero(outside))
        if extra:
            out[outside] = AIR
            padded += extra
    return out, padded


def volume_to_hu(
    slices: Iterable[npt.NDArray[Any]], shape: tuple[int, int, int], rescale: Rescale
) -> tuple[HuArray, int]:
    """``to_hu`` of a volume (Z, Y, X) that comes slice by slice, so that its own type needs memory for one slice only.

    :param shape: of the volume; there are as many slices
    """
    out = np.empty(shape, np.int16)
    padded = sum(to_hu(values, rescale, out=hu)[1] for hu, values in zip(out, slices, strict=True))
    return out, padded


def _shift(stored: npt.NDArray[Any], intercept: int, out: HuArray) -> int:
    lowest = AIR - intercept  # the stored value of air
    limits = np.iinfo(stored.dtype)
    padded = int(np.count_nonzero(stored < lowest)) if lowest > limits.min else 0
    if stored.dtype.itemsize == 2 and abs(intercept) < 2**15:
        # Clip so that the sum fits into 16 bits, then add modulo 2**16: all in place, no wider copy.
        same_bits = out.view(stored.dtype.newbyteorder("="))
        np.clip(stored, max(lowest, limits.min), min(limits.max, 2**15 - 1 - intercept), out=same_bits)
        np.add(out, np.int16(intercept), out=out)
    else:
        out[...] = np.clip(stored.astype(np.int64) + intercept, AIR, 2**15 - 1)
    return padded


def _scale(stored: npt.NDArray[Any], rescale: Rescale, out: HuArray) -> int:
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite becomes air below
        values = stored.astype(np.float64) * rescale.slope + rescale.intercept
    nothing = ~np.isfinite(values)
    if nothing.any():
        values[nothing] = AIR - 1
    np.rint(values, out=values)
    padded = int(np.count_nonzero(values < AIR))
    out[...] = np.clip(values, AIR, 2**15 - 1)
    return padded


def check_hu(hu: HuArray, where: object, padded: int = 0) -> None:
    """Refuse values that cannot be HU of a body in air (NOT_HU).

    Some voxels must be air or lung (-1024..-700) and some soft tissue or fat (-300..300). An 8-bit picture,
    an MR, or a CT whose intercept was lost has no air; a picture shifted by -1024 has no tissue.

    :param hu: any shape, int16; a sample of the volume is enough
    :param padded: how many of the voxels are padding, which does not count as air
    """
    n = hu.size - padded
    air = int(np.count_nonzero(hu <= -700)) - padded
    tissue = int(np.count_nonzero((hu >= -300) & (hu <= 300)))
    if n > 0 and air >= _SHARE * n and tissue >= _SHARE * n:
        return
    lowest, highest = (int(hu.min()), int(hu.max())) if hu.size else (0, 0)
    missing = "air near -1000" if air < _SHARE * max(n, 1) else "soft tissue near 0"
    raise NotHu(
        f"the values are not Hounsfield units: {lowest}..{highest}, no {missing}",
        where=where,
        do="give the original CT, not a picture or a rescaled copy",
    )
