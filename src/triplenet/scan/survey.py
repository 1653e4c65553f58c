"""What an input holds: every series with its score, and every file that could not be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triplenet.errors import ScanError
from triplenet.scan.choice import Score, score
from triplenet.scan.dicom_header import Frame, Header, read_header
from triplenet.scan.dicom_pixels import check_syntax
from triplenet.scan.files import list_files
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.stack import Stack, stack

_SAME_DIRECTION = 1e-3


@dataclass(frozen=True)
class Candidate:
    """One stack of slices: a series, or the part of one that has one size and orientation.

    :param key: what ``--series`` takes: the series UID, with ``#2`` and so on for further stacks of one series
    """

    key: str
    header: Header
    frames: tuple[Frame, ...]
    score: Score


@dataclass
class Survey:
    """Everything found in an input, best series first."""

    path: Path
    candidates: list[Candidate]
    problems: list[ScanError] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def survey(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> Survey:
    """Read the headers of every DICOM file under a path and score what they make up."""
    path = Path(path)
    listing = list_files(path, limits)
    problems: list[ScanError] = []
    series: defaultdict[str, list[Header]] = defaultdict(list)
    for entry in listing.entries:
        try:
            header = read_header(entry, limits)
        except ScanError as problem:
            problems.append(problem)
            continue
        if header is None:
            listing.skipped["not DICOM"] += 1
        else:
            series[header.series_uid].append(header)
    candidates = [candidate for uid in sorted(series) for candidate in _candidates(uid, series[uid])]
    candidates.sort(key=_rank)
    return Survey(path, candidates, problems, listing.skipped)


def _rank(candidate: Candidate) -> tuple[bool, bool, int, int, int, str]:
    """Best first; equal scores are decided by slices, series number and UID, so always in the same way."""
    verdict = candidate.score
    return (
        verdict.impossible is not None,
        verdict.excluded is not None,
        -verdict.points,
        -len(candidate.frames),
        candidate.header.series_number or 0,
        candidate.key,
    )


def _candidates(uid: str, headers: Sequence[Header]) -> list[Candidate]:
    groups: list[tuple[Header, list[Frame]]] = []
    places: dict[object, int] = {}
    for header in headers:
        for frame in header.frames or (None,):
            key = _kind(header, frame)
            at = places.get(key)
            if at is None:
                at = next((k for k, group in enumerate(groups) if _belongs(header, frame, group)), len(groups))
                if at == len(groups):
                    groups.append((header, []))
                places[key] = at
            if frame is not None:
                groups[at][1].append(frame)
    groups.sort(key=lambda group: -len(group[1]))
    return [
        Candidate(uid if k == 0 else f"{uid}#{k + 1}", header, tuple(frames), score(header, frames))
        for k, (header, frames) in enumerate(groups)
    ]


def _kind(header: Header, frame: Frame | None) -> object:
    if frame is None:
        return header.sop_class, header.modality
    pixels = frame.pixels
    return (
        header.sop_class, header.modality, frame.across, frame.down, frame.spacing, pixels.rows, pixels.columns,
        pixels.samples, frame.image_type[2:3], frame.rescale_type,
    )  # fmt: skip


def _belongs(header: Header, frame: Frame | None, group: tuple[Header, list[Frame]]) -> bool:
    """Whether a frame of another kind is one of a group all the same: orientations rounded differently."""
    if frame is None or not group[1]:
        return False
    other = group[1][0]
    ours, theirs = _kind(header, frame), _kind(group[0], other)
    assert isinstance(ours, tuple) and isinstance(theirs, tuple)
    if ours[:2] + ours[5:] != theirs[:2] + theirs[5:]:
        return False
    return all(_near(a, b) for a, b in zip(ours[2:5], theirs[2:5], strict=True))


def _near(a: Sequence[float] | None, b: Sequence[float] | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.abs(np.subtract(a, b)).max() <= _SAME_DIRECTION)


def build(candidate: Candidate, limits: Limits = DEFAULT_LIMITS, *, allow_gaps: bool = False) -> Stack:
    """The candidate's frames in order, after everything that its headers can tell has been checked."""
    where = candidate.header.description or f"series {candidate.header.series_number or ''}".strip()
    for syntax in sorted({frame.pixels.syntax for frame in candidate.frames}):
        check_syntax(syntax, where)
    return stack(candidate.frames, where, limits, allow_gaps=allow_gaps)
