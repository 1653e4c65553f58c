"""COVID-CT-MD (Afshar et al. 2021): ``COVID-19 Cases``, ``Cap Cases``, ``Normal Cases``, one DICOM folder a patient.

Of 54 patients with COVID-19 and 25 with CAP each slice is labelled as showing infection or not: ``Index.csv`` names
them and ``Slice-level-labels-updated-1.npy`` holds the labels. A patient's row of the array is the position of its line
in ``Index.csv`` (the numbers that stand there leave one out), and its k-th value is that of the k-th slice from the
head. What lies behind a scan's last slice is 0. The file without ``updated`` has labels of P001 and P006 that its
authors took back, and is not read.

The labels go into ``slice-labels.csv`` beside the table, slices counted from the feet from 0 as everywhere here, and
their number into the column ``infected_slices``. They are no masks: nobody drew where in the slice.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.datasets.folders import finding_folders, import_findings
from triplenet.datasets.passed_over import PassedOver
from triplenet.errors import BadDataset, ScanError
from triplenet.files import read_csv
from triplenet.scan.dicom_series import DicomSeries

Progress = Callable[[int, int], None]

SLICE_LABELS = "slice-labels.csv"
"""Columns patient, slice (from the feet, from 0), infected (0 or 1)"""
INDEX = "Index.csv"
_ID = "Folder/ID"
_UPDATED = "*-updated-1.npy"
_SLICES = "slice-level-labels"
_FINDINGS = {"covid": "COVID-19", "cap": "CAP", "normal": "normal"}


def run(src: Path, out: Path, jobs: int | None, on_progress: Progress) -> Path:
    """``covid-ct-md``: findings COVID-19, CAP and normal."""
    left = PassedOver(src)
    array = _array(src)
    used = () if array is None else (array, array.with_name(INDEX))
    findings: dict[str, Path] = {}
    for folder in finding_folders(src, left, used):
        finding = next((name for start, name in _FINDINGS.items() if folder.name.lower().startswith(start)), None)
        if finding is None:
            left.add(folder, "a folder of none of the three findings")
        elif findings.setdefault(finding, folder) != folder:
            raise BadDataset(f"two folders of {finding}", where=folder, do="import them one after the other")
    if len(findings) < 2:
        raise BadDataset("not the folders COVID-19 Cases, Cap Cases, Normal Cases", where=src)
    if array is None:
        return import_findings(src, findings, out, jobs, on_progress, left)
    folders = {path.name: path for folder in findings.values() for path in folder.iterdir() if path.is_dir()}
    lines, notes = _laid_on_slices(_read_labels(array), folders, on_progress)
    return import_findings(
        src,
        findings,
        out,
        jobs,
        on_progress,
        left,
        more={patient: {"infected_slices": str(sum(own))} for patient, own in lines.items()},
        beside={SLICE_LABELS: list(_table(lines))} if lines else {},
        notes=notes,
    )


def _array(src: Path) -> Path | None:
    """The file of the slice labels, if it is there."""
    files = [path for path in sorted(src.rglob(_UPDATED)) if path.name.lower().startswith(_SLICES)]
    if len(files) > 1:
        raise BadDataset(f"{len(files)} files {files[0].name}", where=src, do="leave one of them there")
    return files[0] if files else None


def _read_labels(array: Path) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Patient -> labels from the head down, as long as the array has them.

    :raises BadDataset: the array and ``Index.csv`` beside it do not fit each other
    """
    index = array.with_name(INDEX)
    if not index.is_file():
        raise BadDataset(f"no {INDEX} beside it", where=array)
    try:
        patients = [line[_ID] for line in read_csv(index)]
    except (KeyError, ValueError, csv.Error):
        raise BadDataset(f"no table with the column {_ID}", where=index) from None
    try:
        values = np.load(array, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadDataset(f"no NumPy array of numbers ({error})", where=array) from None
    shape = " x ".join(map(str, getattr(values, "shape", ())))
    if shape.count("x") != 1 or len(values) != len(patients) or len(set(patients)) != len(patients):
        what = f"an array of {shape or 'nothing'} for the {len(patients)} patients of {INDEX}"
        raise BadDataset(what, where=array, do="get both files again")
    if not np.isin(values, (0, 1)).all():
        raise BadDataset("slice labels must be 0 or 1", where=array)
    return dict(zip(patients, values.astype(np.bool_), strict=True))


def _laid_on_slices(
    labels: Mapping[str, npt.NDArray[np.bool_]], folders: Mapping[str, Path], on_progress: Progress
) -> tuple[dict[str, list[int]], list[str]]:
    """Patient -> label of each slice from the feet up; and what should be known of the others.

    :raises BadDataset: a label lies behind the last slice
    """
    lines: dict[str, list[int]] = {}
    absent: list[str] = []
    unfit: list[str] = []
    for done, (patient, from_head) in enumerate(labels.items(), start=1):
        on_progress(done, len(labels))
        if patient not in folders:
            absent.append(patient)
            continue
        depth = _slices_from_feet(folders[patient])
        if depth is None or depth > len(from_head):
            unfit.append(patient)
            continue
        if from_head[depth:].any():
            raise BadDataset(
                f"a slice label of {patient} lies behind the last of its {depth} slices",
                where=folders[patient],
                do="the scan lacks slices, or the labels are another scan's",
            )
        lines[patient] = from_head[:depth][::-1].astype(int).tolist()
    notes = [
        f"{what}: {len(some)} ({', '.join(some[:5])}{', ...' if len(some) > 5 else ''})"
        for what, some in (
            ("patients with slice labels that are not in the folders", absent),
            ("patients whose slices cannot be counted, without slice labels", unfit),
        )
        if some
    ]
    return lines, notes


def _slices_from_feet(folder: Path) -> int | None:
    """How many slices a scan has; None where that is not known, or not the number of its files."""
    try:
        series = scan.open(folder)
    except ScanError:
        return None
    files = {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}
    whole = isinstance(series, DicomSeries) and len(series) == len(files)
    # Counted from the head or the feet they are slices only where the series is axial.
    return len(series) if whole and series.canonical()[1].keeps_slices else None


def _table(lines: Mapping[str, Sequence[int]]) -> Iterator[dict[str, str]]:
    for patient, infected in lines.items():
        for number, label in enumerate(infected):
            yield {"patient": patient, "slice": str(number), "infected": str(label)}
