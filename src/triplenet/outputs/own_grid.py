"""A result's arrays on the grid of its scan, in the scan's own orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadInput
from triplenet.inference.result import Result
from triplenet.scan import Geometry


def own_geometry(result: Result) -> Geometry:
    """Of the scan in its own orientation.

    :raises BadInput: the result does not hold it
    """
    if result.own_geometry is None:
        raise BadInput("the result does not hold the geometry of its scan", do="make it by predict")
    return result.own_geometry


def own_slices(result: Result, region: Any, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    """A region told slice by slice in canonical orientation, as (Z, Y, X) in the scan's own.

    :param region: gives slice ``z`` (Y, X) as ``region[z]``
    """
    depth = result.record.scan.shape[0]
    canonical = np.stack([np.asarray(region[z], dtype=dtype) for z in range(depth)])
    return np.ascontiguousarray(result.reorientation.undo(canonical))
