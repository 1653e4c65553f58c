"""What an image is, as far as free text in its header tells: HU, a map of something else, a projection, a localizer.

Makers write what they like. What is known to be no HU is told apart; a word that nobody knows is a note, and whether
the values can be HU is then left to their look (``hounsfield.check_hu``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from triplenet.scan.dicom_frames import Frame

_PROJECTED = frozenset({"MIP", "MINIP", "MIN_IP", "MIN IP", "PROJECTION IMAGE", "VRT", "SSD", "MAX_IP"})
_MAPS = frozenset({"PERFUSION", "Z_EFF", "RCBF", "CBF", "CBV", "MTT", "TTP", "VIRTUAL_MONOENERGETIC", "MATERIAL_MAP"})
#: Material-specific images of dual-energy scanners, such as ``GSI MD`` and ``IODINE(WATER)``.
_MATERIAL = re.compile(
    r"\bGSI[ _]MD\b|\bMD[ _-](?:IODINE|WATER|CALCIUM|HAP|FAT)|"
    r"\b(?:IODINE|WATER|CALCIUM|HAP|FAT|BLOOD|URIC ?ACID)\s*\(\s*[A-Z ]+\)|"
    r"MATERIAL[_ ](?:SPECIFIC|FRACTIONAL|DENSITY|VALUE)|\bIODINE[ _]?(?:MAP|DENSITY|NO WATER)",
    re.IGNORECASE,
)
_HU = re.compile(r"^(?:HU|US|H\.?U\.?|h[ou]+n[ds]*field.*)$", re.IGNORECASE)
#: Rescale types of PS3.3 C.11.1.1.2 and of makers that are no HU.
_NOT_HU = re.compile(r"^(?:OD|HU_MOD|MGML|Z_EFF|ED|EDW|PCT|MG/?C?CM?|MG/ML|MMOL.*|G/?CC|%|KEV|ECV.*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ImageKind:
    """What parts one image from another of the same series."""

    localizer: bool = False
    projected: bool = False
    map: str = ""
    """Of what, where the header says that it is one; such values are no HU"""


def kind_of(frame: Frame) -> ImageKind:
    """Judge a frame by its image type and rescale type."""
    words = words_of(frame)
    said = "/".join(frame.image_type)
    wrong = ""
    if words & _MAPS or _MATERIAL.search(said):
        wrong = said
    elif _NOT_HU.match(frame.rescale_type.strip()):
        wrong = frame.rescale_type.strip()
    return ImageKind("LOCALIZER" in words, bool(words & _PROJECTED), wrong)


def is_material(description: str) -> bool:
    """Whether a series' description names a material-specific image."""
    return _MATERIAL.search(description) is not None


def unknown_rescale_type(frame: Frame) -> str:
    """A rescale type that is neither HU nor known to be something else; empty where it is known or missing."""
    said = frame.rescale_type.strip()
    return "" if not said or _HU.match(said) or _NOT_HU.match(said) else said


def words_of(frame: Frame) -> set[str]:
    """The values of the image type and their single words: makers write ``CT_SOM5 MIP``."""
    kinds = [kind.upper() for kind in frame.image_type]
    return {*kinds, *(word for kind in kinds for word in kind.split())}
