"""STOIC2021's public part (Revel et al. 2021): 2,000 chest CT of suspected COVID-19, with the result of the RT-PCR.

``data/mha/<PatientID>.mha``, in this or any other format that is read, and ``metadata/reference.csv`` with the columns
PatientID, probCOVID (1: the test was positive) and probSevere (1: intubated or dead within a month). The finding is
that of the task ``covid``, COVID-19 or non-COVID-19; a negative test does not make a lung healthy. ``severe`` travels
along as a column, for strata. There are no masks: prepare with ``--derive-lung``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

from triplenet.datasets.passed_over import PassedOver, write_volume_cohort
from triplenet.datasets.scan_files import take_scans
from triplenet.errors import BadDataset
from triplenet.files import read_csv

PUBLISHED = 2000
_COLUMNS = {"PatientID", "probCOVID", "probSevere"}
_FINDINGS = {"1": "COVID-19", "0": "non-COVID-19"}
_SEVERE = {"1": "yes", "0": "no"}


def run(src: Path, out: Path, _jobs: int | None, _on_progress: Callable[[int, int], None]) -> Path:
    """Make ``out/cohort.csv``."""
    table, folder = src / "metadata" / "reference.csv", src / "data" / "mha"
    if not table.is_file() or not folder.is_dir():
        raise BadDataset("not both data/mha and metadata/reference.csv", where=src, do="give the whole download")
    left = PassedOver(src)
    scans = take_scans(folder.iterdir(), left)
    rows: list[dict[str, str]] = []
    absent = 0
    for patient, covid, severe in _reference(table):
        path = scans.pop(patient, None)
        if path is None:
            absent += 1
            continue
        cells = {"patient": f"STOIC-{patient}", "finding": _FINDINGS[covid], "scan": os.path.relpath(path, out)}
        rows.append(cells | {"site": "STOIC", "severe": _SEVERE[severe]})
    for path in scans.values():
        left.add(path, "not named in reference.csv")
    if not rows:
        raise BadDataset("no scan of data/mha is named in reference.csv", where=src)
    notes = [f"patients of reference.csv without a scan: {absent}"] if absent else []
    if len(rows) != PUBLISHED:
        notes.append(f"STOIC2021's public part as published has {PUBLISHED} scans; here are {len(rows)}")
    return write_volume_cohort(out, rows, left, notes=notes)


def _reference(table: Path) -> list[tuple[str, str, str]]:
    """PatientID, probCOVID and probSevere of each patient, in the table's order."""
    try:
        lines = read_csv(table)
    except (ValueError, csv.Error) as error:
        raise BadDataset(f"not a CSV file ({error})", where=table) from None
    if not lines or not lines[0].keys() >= _COLUMNS:
        raise BadDataset(f"not the columns {', '.join(sorted(_COLUMNS))}", where=table)
    found: dict[str, tuple[str, str, str]] = {}
    for number, line in enumerate(lines, start=2):
        patient, covid, severe = line["PatientID"], _whole(line["probCOVID"]), _whole(line["probSevere"])
        if not patient.isalnum() or covid not in _FINDINGS or severe not in _SEVERE or patient in found:
            raise BadDataset(f"row {number} has not a PatientID of its own, and 0 or 1 of both labels", where=table)
        found[patient] = (patient, covid, severe)
    return list(found.values())


def _whole(cell: str) -> str:
    """A number without the decimals that a table of floats has: 1.0 as 1."""
    return cell.strip().removesuffix(".0")
