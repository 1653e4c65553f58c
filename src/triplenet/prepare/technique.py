"""How a scan was made, as far as its grid and header tell: what tells one scanner's protocol from another's."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Contrast = Literal["yes", "no", ""]
"""Whether contrast medium was given; empty: nobody says"""

#: A step or thickness that is no CT's counts as not said, as in ``scan.volume.check_affine``.
LARGEST_MM = 100.0
#: Characters; DICOM's kernels have 16, of which there may be several.
LONGEST_KERNEL = 64


@dataclass(frozen=True)
class Technique:
    """What is known of how a scan was made; no patient identity."""

    slice_mm: float | None = None
    """Distance between slices; None for a slice alone"""
    pixel_mm: float | None = None
    slice_thickness_mm: float | None = None
    """As the header says; thicker than ``slice_mm`` where slices overlap"""
    kernel: str = ""
    contrast: Contrast = ""


def technique(spacing_mm: tuple[float, float, float], header: Mapping[str, Any]) -> Technique:
    """What the grid and the header of a scan tell; a number that no CT has counts as not said.

    :param spacing_mm: along (Z, Y, X) of the canonical orientation; 0 where an axis has one voxel
    :param header: of ``Source``
    """
    depth, height, width = spacing_mm
    contrast = str(header.get("contrast") or "")
    return Technique(
        slice_mm=millimetres(depth),
        pixel_mm=millimetres(math.sqrt(max(height, 0.0) * max(width, 0.0))),
        slice_thickness_mm=millimetres(header.get("slice_thickness_mm")),
        kernel=kernel_word(str(header.get("kernel") or "")),
        contrast="yes" if contrast == "yes" else "no" if contrast == "no" else "",
    )


def millimetres(value: Any) -> float | None:
    """A length to a ten-thousandth of a millimetre; None for what is no length of a CT's voxel."""
    try:
        length = round(float(value), 4)
    except (TypeError, ValueError, OverflowError):
        return None
    return length if 0 < length <= LARGEST_MM else None


def kernel_word(text: str) -> str:
    """A kernel's name on one short line, without what steers a terminal."""
    shown = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(shown.split())[:LONGEST_KERNEL].rstrip()
