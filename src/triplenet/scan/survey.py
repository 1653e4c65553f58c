"""What an input holds: every series with its score, and every file that could not be read."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from triplenet.errors import ScanError
from triplenet.scan import dicomdir
from triplenet.scan.dicom_frames import Frame
from triplenet.scan.dicom_header import DICOMDIR, Header, read_header
from triplenet.scan.dicom_syntax import check_syntax
from triplenet.scan.formats import ARCHIVE_SUFFIXES, picture_format, volume_format
from triplenet.scan.frame_groups import frame_groups
from triplenet.scan.input_files import Entry, Listing, list_files
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.series_rescale import with_series_rescale
from triplenet.scan.series_score import SeriesScore, score
from triplenet.scan.stack import Stack, stack
from triplenet.scan.subseries import parts


@dataclass(frozen=True)
class Candidate:
    """One stack of slices: a series, or the part of one that has one size and orientation.

    :param key: what ``--series`` takes: the series UID, with ``#2`` and so on for further stacks of one series
    :param damaged: what is wrong with the files of the series that could not be used
    """

    key: str
    header: Header
    frames: tuple[Frame, ...]
    score: SeriesScore
    damaged: tuple[ScanError, ...] = ()


@dataclass
class Survey:
    """Everything found in an input, best series first.

    :param volumes: NIfTI, NRRD and MetaImage files
    :param problems: files that could not be read and that name no series
    :param skipped: how many files were passed over, by reason
    :param container: ``folder``, ``zip`` or ``DICOMDIR``; empty for a single file
    """

    path: Path
    candidates: list[Candidate]
    volumes: list[Entry] = field(default_factory=list)
    problems: list[ScanError] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    container: str = ""

    def place(self, candidate: Candidate) -> str:
        """Where a candidate is, for messages: the path, and the series number where there are several."""
        if len(self.candidates) < 2 or candidate.header.series_number is None:
            return str(self.path)
        return f"{self.path}, series {candidate.header.series_number}"


def survey(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> Survey:
    """Read the headers of every DICOM file under a path and score what they make up."""
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on harmless faults of a header
        return _survey(path, list_files(path, limits), limits)


def survey_files(path: Path, files: Sequence[Path], limits: Limits = DEFAULT_LIMITS) -> Survey:
    """As ``survey``, but of these files alone: those of a study or series that share a folder with others.

    :param path: what is said of where they are
    """
    entries = [Entry(file.name, file, file.stat().st_size) for file in files]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _survey(path, Listing(entries, Counter(), "folder"), limits)


def _survey(path: Path, listing: Listing, limits: Limits) -> Survey:
    found = Survey(path, [], skipped=listing.skipped, container=listing.container)
    series: defaultdict[str, list[Header]] = defaultdict(list)
    pending = list(reversed(listing.entries))
    while pending:
        entry = pending.pop()
        if volume_format(entry.name) is not None:
            found.volumes.append(entry)
            continue
        try:
            header = read_header(entry, limits)
        except ScanError as problem:
            found.problems.append(problem)
            continue
        if header is None:
            found.skipped[_kind_of_file(entry.name)] += 1
        elif header.sop_class == DICOMDIR:
            if entry.path == path and entry.archive is None:  # asked for by name, so the files it refers to are meant
                referenced = dicomdir.list_referenced(path, limits)
                found.container = referenced.container
                found.skipped.update(referenced.skipped)
                pending.extend(reversed(referenced.entries))
            else:
                found.skipped["DICOMDIR"] += 1
        else:
            series[header.series_uid].append(header)
    found.candidates = [candidate for uid in sorted(series) for candidate in _candidates(uid, series[uid])]
    found.candidates.sort(key=_rank)
    return found


def _kind_of_file(name: str) -> str:
    """What a file that is no scan is called where such files are counted."""
    if name.lower().endswith(ARCHIVE_SUFFIXES):
        return "zip, not opened"
    return "not DICOM" if picture_format(name) is None else "picture"


def build(candidate: Candidate, where: object, limits: Limits = DEFAULT_LIMITS, *, allow_gaps: bool = False) -> Stack:
    """The candidate's frames in order, after everything that its headers can tell has been checked.

    :raises ScanError: a file is damaged, a syntax cannot be decoded, or the slices form no volume
    """
    if candidate.damaged:
        first = candidate.damaged[0]
        more = f" and {len(candidate.damaged) - 1} more" if len(candidate.damaged) > 1 else ""
        raise type(first)(first.what, where=f"{first.where}{more}", do=first.do or "copy the series again")
    for syntax in sorted({frame.pixels.syntax for frame in candidate.frames}):
        check_syntax(syntax, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames, notes = with_series_rescale(candidate.frames, where)
        stacked = stack(frames, where, limits, allow_gaps=allow_gaps)
        return replace(stacked, notes=(*notes, *stacked.notes))


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
    """The stacks of one series: frames of one kind, size, orientation and spacing, and of one acquisition."""
    stacks = frame_groups(headers)
    damaged = tuple(header.problem for header in headers if header.problem is not None)
    if not stacks:
        return [Candidate(uid, headers[0], (), score(headers[0], ()), damaged)]
    scored = []
    for header, frames in stacks:
        whole = score(header, frames)
        for why, some in (parts(frames) if whole.impossible is None else []) or [("", frames)]:
            scored.append((header, some, score(header, some, why)))
    scored.sort(key=lambda group: (group[2].impossible is not None, -len(group[1])))
    return [
        Candidate(uid if k == 0 else f"{uid}#{k + 1}", header, tuple(frames), verdict, damaged)
        for k, (header, frames, verdict) in enumerate(scored)
    ]
