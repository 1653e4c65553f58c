"""What an input is, told without failing: series with their scores, what would be used, every problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import UID

from triplenet.errors import PathMissing, ScanError
from triplenet.scan.formats import picture_format
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.reading import Watch, open_but, with_fallback
from triplenet.scan.series import Series
from triplenet.scan.series_choice import SeriesChoice
from triplenet.scan.stack import Stack
from triplenet.scan.survey import Candidate, Survey, build
from triplenet.scan.volume import Geometry

_ENDS = (("right", "left"), ("front", "back"), ("feet", "head"))


@dataclass
class Inspection:
    """The findings of ``inspect``.

    :param format: ``dicom``, ``nifti``, ``nrrd``, ``metaimage``, ``image``, or None where nothing was recognised
    :param series: one dictionary a DICOM series, best first
    :param scan: what would be used: its size, spacing, directions, notes; None if nothing can be
    :param problems: everything wrong, as dictionaries with ``code``, ``what``, ``where`` and ``do``
    :param skipped: how many files were passed over, by reason
    :param chest: what ``examine`` says of the scan that would be used
    """

    path: str
    format: str | None = None
    series: list[dict[str, Any]] = field(default_factory=list)
    scan: dict[str, Any] | None = None
    problems: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    chest: dict[str, Any] | None = None

    @property
    def usable(self) -> bool:
        return self.scan is not None

    def as_dict(self) -> dict[str, Any]:
        return {"usable": self.usable, **vars(self)}


def inspect(
    path: Path | str,
    series: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    allow_gaps: bool = False,
    decode_all: bool = False,
    examine: Callable[[Series], dict[str, Any]] | None = None,
) -> Inspection:
    """Look at an input as ``open`` would, and report instead of raising.

    :param decode_all: decode every slice of what would be used, not a few
    :param examine: looks at what would be used, and says in ``slices_read`` how many slices it decoded
    :raises PathMissing: there is nothing at the path
    """
    path = Path(path)
    if not path.exists():
        raise PathMissing("no such file or folder", where=path)
    report = Inspection(str(path), "image" if path.is_file() and picture_format(path.name) else None)
    watch = _Report(report, limits, allow_gaps)

    def look(opened: Series) -> tuple[Series, int, dict[str, Any] | None]:
        depth = len(opened)
        looked_at = range(depth) if decode_all else sorted({depth // 4, depth // 2, 3 * depth // 4})
        opened.slices(looked_at)
        return opened, len(looked_at), None if examine is None else examine(opened)

    try:
        opened, decoded, chest = with_fallback(
            path,
            look,
            series,
            opener=lambda unusable: open_but(path, series, limits, allow_gaps, unusable, watch),
        )
    except ScanError as problem:
        _add(report, problem)
        for entry in report.series:
            entry["used"] = False
    else:
        report.format = opened.source.format
        report.chest = chest
        read = 0 if chest is None else int(chest["slices_read"])
        report.scan = _scan(opened) | {"decoded": max(decoded, read)}
    return report


class _Report(Watch):
    """Writes down what is found on the way to a scan."""

    def __init__(self, report: Inspection, limits: Limits, allow_gaps: bool) -> None:
        self._report = report
        self._limits = limits
        self._allow_gaps = allow_gaps

    def surveyed(self, found: Survey) -> None:
        report = self._report
        report.skipped = dict(found.skipped)
        for problem in found.problems:
            _add(report, problem)
        if found.candidates:
            report.format = "dicom"
        report.series = [
            _series(candidate, found, self._limits, self._allow_gaps, report) for candidate in found.candidates
        ]

    def chosen(self, choice: SeriesChoice) -> None:
        passed_over = {candidate.key: problem for candidate, problem in choice.passed_over}
        for entry in self._report.series:
            entry["used"] = entry["uid"] == choice.candidate.key
            if entry["uid"] in passed_over:
                entry["problem"] = passed_over[entry["uid"]].as_dict()
                _add(self._report, passed_over[entry["uid"]])


def _series(
    candidate: Candidate, found: Survey, limits: Limits, allow_gaps: bool, report: Inspection
) -> dict[str, Any]:
    header = candidate.header
    entry: dict[str, Any] = {
        "uid": candidate.key,
        "used": False,
        "number": header.series_number,
        "description": header.description,
        "modality": header.modality,
        "slices": len(candidate.frames),
        "score": candidate.score.points,
        "reasons": list(candidate.score.reasons),
        "excluded": candidate.score.excluded,
        "problem": None,
    }
    if candidate.frames:
        first = candidate.frames[0]
        entry |= {
            "size": [first.pixels.rows, first.pixels.columns],
            "pixel_spacing_mm": None if first.spacing is None else list(first.spacing),
            "slice_thickness_mm": first.thickness_mm,
            "kernel": first.kernel,
            "image_type": list(first.image_type),
            "transfer_syntax": sorted({UID(frame.pixels.syntax).name for frame in candidate.frames}),
        }
    if candidate.score.impossible is None or candidate.damaged:
        try:
            stacked: Stack = build(candidate, found.place(candidate), limits, allow_gaps=allow_gaps)
        except ScanError as problem:
            entry["problem"] = problem.as_dict()
            _add(report, problem)
        else:
            entry["slice_spacing_mm"] = round(stacked.geometry.spacing_mm[0], 4)
            entry["notes"] = list(stacked.notes)
    return entry


def _add(report: Inspection, problem: ScanError) -> None:
    if problem.as_dict() not in report.problems:
        report.problems.append(problem.as_dict())


def _scan(opened: Series) -> dict[str, Any]:
    geometry = opened.geometry
    return {
        "shape": list(geometry.shape),
        "spacing_mm": [round(side, 4) for side in geometry.spacing_mm],
        "directions": directions(geometry),
        "tilt_degrees": round(geometry.tilt_degrees, 2),
        "even": geometry.is_even,
        "choice": opened.source.choice,
        "notes": list(opened.source.notes),
        "header": dict(opened.source.header),
    }


def directions(geometry: Geometry) -> list[str]:
    """Where slices, rows and columns go, such as ``to the head``: the nearest direction of each axis."""
    found = []
    for axis in range(3):
        step = geometry.affine[:3, axis]
        along = int(np.argmax(np.abs(step)))
        found.append(f"to the {_ENDS[along][int(step[along] > 0)]}")
    return found
