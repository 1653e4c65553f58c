"""How near the slice that thresholds choose lies to that of the largest lesion drawn, beside that of the largest lung.

    python benchmarks/opacity_search.py COHORT.csv [MORE.csv ...] [--patients N] [--out FILE]

The cohort tables name whole scans and their infection masks (``triplenet phantom`` or ``triplenet import`` makes them).
Prints one JSON object: a row a scan, and over the scans with a lesion, for each of the three rules,

- ``away_mm``: from the slice chosen to that with the largest lesion, median
- ``share``: lesion area at the slice chosen by that at the best slice, mean
- ``hit``: share of the scans whose slice shows any lesion

where ``opacity`` is the slice with the largest opacity, ``rule`` the same where the opacity is large enough to count
and else the largest lung, which is what ``predict`` does, and ``lung`` the largest lung alone. Of the scans without a
lesion it says how large the opacities are that were found all the same, and how many would count. ``ms_a_slice`` is
processor time beyond that of finding the lungs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from triplenet import scan
from triplenet.cohort import read_cohort
from triplenet.cohort.table import Patient
from triplenet.prepare.lung import find_lungs
from triplenet.prepare.masks import read_masks
from triplenet.prepare.opacity import LEAST_MM2, find_opacities

RULES = ("opacity", "rule", "lung")


def look(patient: Patient) -> dict[str, Any]:
    """What was found in one scan, and what is true of it."""
    series, how = scan.open(patient.scan).canonical()
    spacing_mm, depth = series.spacing_mm, len(series)
    true = np.zeros(depth)
    if not patient.no_infection:
        masks = read_masks(series.geometry, how, mask=patient.mask, infection=patient.infection, lung=None)
        if masks.infection is not None:
            true = masks.infection.areas * spacing_mm[1] * spacing_mm[2]
    lungs = find_lungs(series.read().hu, spacing_mm)
    start = time.process_time()
    found = find_opacities(series, lungs)
    areas = found.areas_mm2
    spent = time.process_time() - start
    largest = found.largest()
    lung = int(lungs.areas_mm2.argmax())
    chosen = {"opacity": int(areas.argmax()), "rule": lung if largest is None else largest, "lung": lung}
    row: dict[str, Any] = {
        "finding": patient.finding,
        "shape": [*series.geometry.shape],
        "spacing_mm": [round(side, 3) for side in spacing_mm],
        "opacity_mm2": round(float(areas.max())),
        "lesion_mm2": round(float(true.max())),
        "counts": largest is not None,
        "ms_a_slice": round(1000 * spent / depth, 2),
    }
    if true.any():
        best = int(true.argmax())
        row["correlation"] = round(float(np.corrcoef(areas, true)[0, 1]), 3) if areas.any() else 0.0
        for name, index in chosen.items():
            row[name] = {
                "away_mm": round(abs(index - best) * spacing_mm[0], 1),
                "share": round(float(true[index] / true[best]), 3),
            }
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the scans with a lesion and over those without."""
    sick = [row for row in rows if row["lesion_mm2"]]
    well = [row["opacity_mm2"] for row in rows if not row["lesion_mm2"]]
    told: dict[str, Any] = {"scans": len(rows), "with_lesion": len(sick), "least_mm2": LEAST_MM2}
    for name in RULES if sick else ():
        shares = np.array([row[name]["share"] for row in sick])
        told[name] = {
            "away_mm": round(float(np.median([row[name]["away_mm"] for row in sick])), 1),
            "share": round(float(shares.mean()), 3),
            "hit": round(float((shares > 0).mean()), 3),
        }
    told["with_lesion_that_count"] = sum(row["counts"] for row in sick)
    if well:
        told["without_lesion_mm2"] = {"median": float(np.median(well)), "largest": max(well)}
        told["without_lesion_that_count"] = sum(row["counts"] for row in rows if not row["lesion_mm2"])
    told["ms_a_slice"] = round(float(np.median([row["ms_a_slice"] for row in rows])), 2)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", type=Path, nargs="+")
    parser.add_argument("--patients", type=int, help="the first so many of each table")
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    options = parser.parse_args()
    rows = [look(patient) for table in options.cohorts for patient in list(read_cohort(table))[: options.patients]]
    result = {
        "what": "slices chosen by thresholds, against the lesions drawn",
        "summary": summary(rows),
        "scans": rows,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
