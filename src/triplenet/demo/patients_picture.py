"""The first picture of the demo: a patient of each finding, as the networks will read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triplenet.explanation.case_picture import draw_case, outline_note
from triplenet.explanation.drawing import write_png
from triplenet.explanation.panel import Tile, panel
from triplenet.prepare.store import PreparedSet

SIDE = 288
EACH = 2
"""Patients of a finding"""


def write_patients_picture(prepared: PreparedSet, path: Path) -> None:
    """Write the first patients of each finding with their lesions outlined.

    :raises OutputFailed: no room, no permission
    """
    rows_of: dict[str, list[int]] = {}
    for row, patient in enumerate(prepared.patients):
        rows_of.setdefault(patient.finding or "no finding", []).append(row)
    lines = [
        [_tile(prepared, rows[number], finding) for finding, rows in rows_of.items()]
        for number in range(min(EACH, *map(len, rows_of.values())))
    ]
    note = f"Synthetic patients: one slice each, windowed as the networks read it. {outline_note('the lesions')}"
    write_png(path, panel(lines, note=note, side=SIDE, scale=False))


def _tile(prepared: PreparedSet, row: int, finding: str) -> Tile:
    image = np.array(prepared.images[row])
    lesions = prepared.lesion(row)
    drawn = draw_case(image, np.zeros(image.shape), lesions, side=SIDE)
    return Tile(drawn.outlined, (prepared.patients[row].patient,), finding)
