"""The lungs as the network of the ``lungmask`` package sees them, where that is installed (U-Net R231).

It knows consolidated lung for lung, which thresholds do not. The package is not one of triplenet's own and fetches its
weights when it is first used (Hofmanninger et al., Eur Radiol Exp 2020).
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from triplenet.errors import MissingExtra
from triplenet.prepare.found_lungs import LabelledLungs
from triplenet.scan.volume import HuArray

MODEL = "R231"


def lungs_by_network(hu: HuArray, spacing_mm: tuple[float, float, float]) -> LabelledLungs:
    """Both lungs.

    :param hu: (Z, Y, X) int16, Hounsfield units, canonical orientation, which is the LPS that the network wants
    :raises MissingExtra: the package or its weights are not there
    """
    labels = np.asarray(_inferer().apply(hu), dtype=np.uint8)
    return LabelledLungs(labels, spacing_mm, "lungmask")


def require_package() -> None:
    """Refuse at once where the package is not installed.

    :raises MissingExtra: it is not
    """
    there = sys.modules["lungmask"] if "lungmask" in sys.modules else find_spec("lungmask")
    if there is None:
        raise MissingExtra(
            "to find the lung by lungmask its package is needed",
            do="pip install 'triplenet[lungmask]', or find the lung by thresholds",
        )


@cache
def _inferer() -> Any:
    require_package()
    from lungmask import LMInferer

    try:
        return LMInferer(modelname=MODEL, force_cpu=True, tqdm_disable=True)
    except OSError as error:  # no network is among these
        raise MissingExtra(
            f"lungmask has no weights here and cannot fetch them ({type(error).__name__})",
            do=f"use it once where there is a network, so that it keeps {MODEL}'s, or find the lung by thresholds",
        ) from error
