"""Whether a scan is a chest CT at all: asked of the lungs that were found in it and of what its header says.

Refused is only what nobody needs: a scan that was to be searched for its lungs, and that has none of a chest's size
(``NONE_MM2``), or little of it while the header names another part of the body (``LITTLE_MM2``). Whatever may be a real
chest all the same (a child's, one lung, a white lung, a slab, a small field of view) is told in plain words and goes
on, since a network answers for any picture and only a person can tell. There is a way out of each refusal: a slice or
a mask says where to look, and ``--any-body-part`` goes on with the little that was found.

Measured on real chests, the largest lung slice has 138 to 381 cm2, slabs of ten slices included; heads, teeth and
bellies have none, or the bases of the lungs with less than 60.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from triplenet.errors import NotAChest
from triplenet.prepare.found_lungs import FoundLungs
from triplenet.scan import Series, Source
from triplenet.scan.series_score import names_another_part

#: No lung of a chest, newborns' included.
NONE_MM2 = 1_000.0
#: What the bases of the lungs in a belly's scan may have.
LITTLE_MM2 = 6_000.0
#: Less than this is told.
SMALL_MM2 = 10_000.0
#: Lungs that are cut at the top or the bottom and less high than this are told.
HIGH_MM = 120.0
#: A side with a smaller share than this is none.
ONE_SIDED = 0.05
#: A lung whose outline follows the edge of the field as far as this is cut there; told where many slices are.
TOUCHED_MM = 20.0
CUT_SHARE = 0.25
_NO_LUNG = "no lung was found"
#: Slices read to look at a scan that nobody reads whole.
PROBES = 40
#: Fewer slices than these are looked at only where there are no more.
ENOUGH = 20


@dataclass(frozen=True)
class Chest:
    """What was found: whether there is a chest, and how much of it.

    :param right_ml: volume of the patient's right lung; likewise ``left_ml``
    :param largest_mm2: of the lung areas of the slices
    :param height_mm: from the lowest slice with lung to the highest
    :param another_part: what the header says it is, if it is something else than a chest
    :param remarks: what a person has to know, in words
    """

    right_ml: float
    left_ml: float
    largest_mm2: float
    height_mm: float
    another_part: str
    remarks: tuple[str, ...]


def examine(lungs: FoundLungs, slice_mm: float, source: Source) -> Chest:
    """Look at the lungs that were found.

    :param slice_mm: from slice to slice
    """
    areas = lungs.side_areas_mm2
    right, left = (float(side.sum() * slice_mm / 1000) for side in areas)
    both = areas.sum(axis=0)
    largest = float(both.max(initial=0.0))
    heights = np.flatnonzero(both > 0.01 * largest) if largest > 0 else np.array([], int)
    height = float((np.ptp(heights) + 1) * slice_mm) if heights.size else 0.0
    part = another_part(source)
    remarks = header_remarks(source)
    remarks += _size_remarks(largest)
    if largest > 0:
        if min(right, left) < ONE_SIDED * (right + left):
            remarks.append(f"lung was found on the {'right' if right > left else 'left'} side only")
        cut = max(both[0], both[-1]) > 0.1 * largest
        if len(both) > 1 and cut and height < HIGH_MM:
            remarks.append(f"only {height:.0f} mm of the lungs are in the scan")
        remarks += _cut_by_field(lungs)
    return Chest(right, left, largest, height, part, tuple(remarks))


def chest_of(series: Series) -> dict[str, Any]:
    """What a look at a scan by some of its slices shows, in plain words and numbers.

    :param series: in any orientation
    :raises ScanError: a slice cannot be read
    """
    axial, _ = series.canonical()
    chest = probe(axial)
    remarks = list(chest.remarks)
    try:
        require_chest(chest)
    except NotAChest as refusal:
        remarks = [refusal.what, *(remark for remark in remarks if not remark.startswith(_NO_LUNG))]
    return {
        "right_lung_ml": round(chest.right_ml),
        "left_lung_ml": round(chest.left_ml),
        "largest_lung_mm2": round(chest.largest_mm2),
        "lung_height_mm": round(chest.height_mm),
        "slices_read": min(PROBES, len(axial)),
        "warnings": remarks,
    }


def examine_slice(lungs: FoundLungs, source: Source, *, alone: bool) -> Chest:
    """Look at the lungs of one slice, of which less can be said.

    :param alone: there is no other in the scan; else somebody chose it
    """
    chest = examine(lungs, 1.0, source)
    size = _size_remarks(chest.largest_mm2) if alone and chest.largest_mm2 > 0 else []
    return replace(chest, remarks=(*header_remarks(source), *size, *_cut_by_field(lungs)))


def probe(series: Series) -> Chest:
    """Look at a scan by evenly spaced slices of it.

    :param series: in canonical orientation
    :raises ScanError: they cannot be read
    """
    return probe_lungs(series)[0]


def probe_lungs(series: Series, slices: Sequence[int] = ()) -> tuple[Chest, FoundLungs, list[int]]:
    """As ``probe``, with the lungs that were found, and the slices in which they were looked for.

    :param slices: rising, nearly evenly spaced ones that are read anyway, taken if they are enough
    """
    chosen = list(slices)
    if len(chosen) < ENOUGH:
        chosen = np.unique(np.linspace(0, len(series) - 1, min(PROBES, len(series))).round().astype(int)).tolist()
    apart = (chosen[-1] - chosen[0]) / max(len(chosen) - 1, 1) or 1.0
    spacing = (series.spacing_mm[0] * apart, *series.spacing_mm[1:])
    from triplenet.prepare.lung import find_lungs  # scipy is slow to load

    lungs = find_lungs(series.slices(chosen), spacing)
    return examine(lungs, spacing[0], series.source), lungs, chosen


def require_chest(chest: Chest, where: object = None, *, any_body_part: bool = False) -> None:
    """Refuse a scan that was searched for lungs and has none of a chest's size; see the module.

    :raises NotAChest: it has not
    """
    if any_body_part:
        return
    size = f"the largest slice of what could be lung has {chest.largest_mm2 / 100:.0f} cm2"
    if chest.largest_mm2 < NONE_MM2:
        what = f"this does not look like a chest: {size}"
    elif chest.another_part and chest.largest_mm2 < LITTLE_MM2:
        what = f"this does not look like a chest: the header says {chest.another_part}, and {size}"
    else:
        return
    raise NotAChest(what, where=where, do="name the slice or give a mask, or go on with --any-body-part")


def header_remarks(source: Source) -> list[str]:
    """What the header says of the part of the body, if that is another one."""
    part = another_part(source)
    return [f"the header speaks of another part of the body than the chest ({part})"] if part else []


def another_part(source: Source) -> str:
    """The header's word for another part of the body than the chest; empty where it has none."""
    part = str(source.header.get("body_part") or "")
    if names_another_part(part):
        return part
    told = any(str(reason).endswith("another body part") for reason in source.header.get("reasons", ()))
    return "in its description" if told else ""


def _size_remarks(largest_mm2: float) -> list[str]:
    if largest_mm2 >= SMALL_MM2:
        return []
    size = f"the lung found is small (largest slice {largest_mm2 / 100:.0f} cm2)" if largest_mm2 else _NO_LUNG
    return [f"{size}: check that this is a chest"]


def _cut_by_field(lungs: FoundLungs) -> list[str]:
    cut = []
    for side, areas, touched in zip(("right", "left"), lungs.side_areas_mm2, lungs.touched_mm, strict=True):
        there = areas > 0
        if there.any() and (touched[there] >= TOUCHED_MM).mean() > CUT_SHARE:
            cut.append(side)
    if not cut:
        return []
    return [f"the field of view cuts {'both lungs' if len(cut) > 1 else f'the {cut[0]} lung'}"]
