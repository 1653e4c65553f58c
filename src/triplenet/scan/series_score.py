"""Which series of a study is the chest CT: a score with its reasons, and what cannot be one at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.uid import UID

from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_header import CT_CLASSES, Header
from triplenet.scan.image_kind import is_material, kind_of, words_of

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_NOT_CT = (  # beginnings of storage classes that come in CT studies
    (_STORAGE + "7", "secondary capture"),
    (_STORAGE + "88.67", "dose report"),
    (_STORAGE + "88.", "report"),
    (_STORAGE + "11.", "presentation state"),
    (_STORAGE + "66.", "segmentation or registration"),
    (_STORAGE + "104.", "document"),
)
_CHEST = re.compile(r"chest|thora|thx|lung|pulm|torax|poumon|covid|hrct", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"head|brain|skull|crani|kopf|sch(ä|ae)del|sinus|orbit|\bdent|jaw|maxill|mandib|neck|abd|liver|kidney|renal|pelv|spine|"
    r"knee|foot|ankle|hand|wrist|elbow|shoulder|hip\b|extremit|cardiac|heart|coron",
    re.IGNORECASE,
)
_SCOUT = re.compile(r"scout|topogram|localizer|surview|scanogram|pilot", re.IGNORECASE)
_LUNG_KERNEL = re.compile(r"^(lung|chst|[bdi][5-7]\d|b[lr][5-7]\d|fc(5[1-9]|8\d)|[ly]\b|yc|yb|b_sharp)", re.IGNORECASE)
_SOFT_KERNEL = re.compile(
    r"^(std|stand|soft|detail|[bdi][1-4]\d|b[frv][1-4]\d|qr[1-4]\d|fc(0\d|1\d)|[abc]\b|b_soft|body)", re.IGNORECASE
)
_OTHER_PART = "another body part"
_AXIAL = 0.8  # cosine between the slice normal and the body axis: gantry tilts stay below 37 degrees


@dataclass(frozen=True)
class SeriesScore:
    """How well a series suits, and why.

    :param points: higher is better
    :param reasons: one a contribution, such as ``+20 axial``
    :param excluded: why it cannot be used unless asked for by its UID; None if it can
    :param impossible: why it cannot be used at all; None if it can
    """

    points: int
    reasons: tuple[str, ...]
    excluded: str | None = None
    impossible: str | None = None

    @property
    def why(self) -> str:
        """The reasons without their points."""
        return ", ".join(reason.split(" ", 1)[1] for reason in self.reasons)

    @property
    def elsewhere(self) -> bool:
        """Whether the headers speak of another body part than the chest."""
        return any(reason.endswith(_OTHER_PART) for reason in self.reasons)


def names_another_part(text: str) -> bool:
    """Whether words of a header name a part of the body that is not the chest."""
    return bool(_ELSEWHERE.search(text)) and not _CHEST.search(text)


def score(header: Header, frames: Sequence[Frame], part: str = "") -> SeriesScore:
    """Judge a stack of frames by its headers alone.

    :param part: which one of its series it is, where that has several at the same positions
    """
    impossible = _impossible(header, frames)
    if impossible is not None:
        return SeriesScore(0, (), impossible, impossible)
    return _weigh(header, frames, part)


def _impossible(header: Header, frames: Sequence[Frame]) -> str | None:
    if header.sop_class not in CT_CLASSES:
        named = next((name for start, name in _NOT_CT if header.sop_class.startswith(start)), None)
        if named is not None:
            return named
        if header.modality not in ("CT", ""):
            return f"not CT but {header.modality}"
        return f"not CT but {UID(header.sop_class).name}"
    if header.modality not in ("CT", ""):
        return f"not CT but {header.modality}"
    if not frames:
        return "no pixels"
    first = frames[0]
    kind = kind_of(first)
    if kind.localizer:
        return "localizer"
    if first.pixels.samples != 1 or not first.pixels.photometric.startswith("MONOCHROME"):
        return "colour picture"
    if kind.map:
        return f"not HU but a map ({kind.map})"
    if is_material(header.description):
        return f"not HU but a map ({header.description})"
    return None


def _weigh(header: Header, frames: Sequence[Frame], part: str) -> SeriesScore:
    first = frames[0]
    kinds = words_of(first)
    reasons: list[tuple[int, str]] = []
    excluded = None
    if first.across is not None and first.down is not None:
        normal = np.cross(first.across, first.down)
        if abs(normal[2]) >= _AXIAL:
            reasons.append((20, "axial"))
        elif np.linalg.norm(normal) >= _AXIAL:  # else the orientation is no orientation, which is told elsewhere
            excluded = "reformat: not axial"
    if kind_of(first).projected:
        excluded = f"reformat: {'/'.join(first.image_type)}"
    text = " ".join((header.body_part, header.description, header.protocol))
    if _CHEST.search(text):
        reasons.append((20, "chest"))
    elif _ELSEWHERE.search(text):
        reasons.append((-20, _OTHER_PART))
    if _SCOUT.search(header.description):
        excluded = "localizer by its description"
    if not kinds:
        reasons.append((0, "no image type"))
    else:
        reasons.append((10, "original") if "ORIGINAL" in kinds else (-10, "derived"))
    reasons.append(_thickness(first.thickness_mm))
    kernel = first.kernel or header.description
    if _SOFT_KERNEL.search(first.kernel):
        reasons.append((6, f"soft kernel {kernel}"))
    elif _LUNG_KERNEL.search(first.kernel):
        reasons.append((5, f"lung kernel {kernel}"))
    elif first.kernel:
        reasons.append((0, f"kernel {kernel}"))
    n = len(frames)
    reasons.append((min(n, 200) // 10, f"{n} slice{'s' if n > 1 else ''}"))
    if part:
        reasons.append((0, part))
    points = sum(value for value, _ in reasons)
    return SeriesScore(points, tuple(f"{value:+d} {why}" for value, why in reasons), excluded)


def _thickness(thickness_mm: float | None) -> tuple[int, str]:
    if thickness_mm is None or thickness_mm <= 0:
        return 0, "unknown slice thickness"
    for limit, points in ((1.5, 12), (3.0, 8), (5.0, 4)):
        if thickness_mm <= limit:
            return points, f"{thickness_mm:g} mm slices"
    return -4, f"thick slices of {thickness_mm:g} mm"
