"""Which of the series that were found is used, and why it and not another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from triplenet.errors import EmptyFolder, NoCtSeries, ScanError, SeriesUnknown, SeveralPatients, UnreadableFile
from triplenet.scan.dicom_series import DicomSeries
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.stack import Stack
from triplenet.scan.survey import Candidate, Survey, build
from triplenet.scan.volume import Source

Unusable = Mapping[str, ScanError]
"""Series, by their key, whose pixels turned out to be unusable, each with its error."""

_NONE: Unusable = MappingProxyType({})
_STANDS_IN = 0.5  # of the length of the best series: a shorter one is no replacement for it


@dataclass(frozen=True)
class SeriesChoice:
    """The series that is used, in order, and why it and not another.

    :param passed_over: better scored series that could not be used, each with its error
    """

    candidate: Candidate
    stack: Stack
    passed_over: tuple[tuple[Candidate, ScanError], ...] = ()


def choose(
    found: Survey,
    series: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    allow_gaps: bool = False,
    unusable: Unusable = _NONE,
) -> SeriesChoice:
    """The series asked for, or the best one that holds what its headers promise, as far as a few slices tell.

    :param unusable: series that are known to hold unusable pixels
    :raises SeriesUnknown: the one asked for is not there
    :raises SeveralPatients: there are CT volumes of several patients, and none was asked for
    :raises NoCtSeries: there is none that is a chest CT volume
    :raises ScanError: those that are cannot be used; the error of the best one
    """
    if series is not None:
        candidate = next((candidate for candidate in found.candidates if candidate.key == series), None)
        if candidate is None:
            raise SeriesUnknown("the series asked for is not there", where=found.path, do="list them with `inspect`")
        if candidate.score.impossible is not None and not candidate.damaged:
            raise NoCtSeries(f"the series asked for is no CT volume ({candidate.score.impossible})", where=found.path)
        return SeriesChoice(candidate, build(candidate, found.place(candidate), limits, allow_gaps=allow_gaps))
    volumes = [candidate for candidate in found.candidates if candidate.score.impossible is None]
    if found.problems and len(volumes) == 1 and not allow_gaps:
        problem = found.problems[0]  # whose series is unknown, so it may well be a slice of the only one
        raise type(problem)(
            problem.what, where=problem.where, do="remove the file, or choose the series by its UID (--series)"
        )
    eligible = [
        candidate
        for candidate in found.candidates
        if candidate.score.excluded is None or (candidate.damaged and not candidate.frames)
    ]
    patients = {candidate.header.patient for candidate in eligible} - {""}
    if len(patients) > 1:
        raise SeveralPatients(
            f"scans of {len(patients)} patients in one input",
            where=found.path,
            do="give one patient's files, or choose the series by its UID (--series)",
        )
    failed: list[tuple[Candidate, ScanError]] = []
    for candidate in eligible:
        if failed and not _stands_in(candidate, failed[0][0]):
            continue
        try:
            if candidate.key in unusable:
                raise unusable[candidate.key]
            stacked = build(candidate, found.place(candidate), limits, allow_gaps=allow_gaps)
            if len(eligible) > 1:
                _look_at(stacked, candidate, found, limits)
        except ScanError as problem:
            failed.append((candidate, problem))
        else:
            return SeriesChoice(candidate, stacked, tuple(failed))
    if failed:
        raise failed[0][1]
    raise _nothing_found(found)


def _nothing_found(found: Survey) -> ScanError:
    """Why an input holds no series that could be used, and where to look."""
    if found.candidates:
        reasons = sorted({str(candidate.score.excluded) for candidate in found.candidates})
        return NoCtSeries(f"no CT series that can be used ({'; '.join(reasons)})", where=found.path)
    if found.problems:
        return _located(found.problems[0], found)
    missing = found.skipped["named by the DICOMDIR but missing"]
    if missing:
        return UnreadableFile(
            f"{missing} files named by the DICOMDIR are missing",
            where=found.path,
            do="copy the whole disc, or give the folder of the files",
        )
    if not found.container:
        return UnreadableFile(
            "not a scan in a known format", where=found.path, do="give DICOM, NIfTI, NRRD or MetaImage"
        )
    zips, pictures = found.skipped["zip, not opened"], found.skipped["picture"]
    what = "no DICOM file" if found.container == "folder" else f"no DICOM file in the {found.container}"
    do = f"name one of its {zips} zip files" if zips else "import pictures as a slice cohort" if pictures else None
    if zips and found.container == "zip":
        do = f"unpack it and name one of the {zips} zip files in it"
    return EmptyFolder(what, where=found.path, do=do)


def _stands_in(candidate: Candidate, first: Candidate) -> bool:
    """Whether a series may be used in the place of the best one: neither another body part nor much shorter."""
    if candidate.score.elsewhere and not first.score.elsewhere:
        return False
    wanted, length = _length_mm(first), _length_mm(candidate)
    return wanted is None or (length is not None and length >= _STANDS_IN * wanted)


def _length_mm(candidate: Candidate) -> float | None:
    """How far the positions of a series reach; None where they do not tell."""
    positions = [frame.position for frame in candidate.frames if frame.position is not None]
    return float(np.linalg.norm(np.ptp(positions, axis=0))) if positions else None


def _look_at(stacked: Stack, candidate: Candidate, found: Survey, limits: Limits) -> None:
    """Decode a few slices, so that a series that is damaged or no HU gives way to another one."""
    series = DicomSeries(stacked, Source("dicom", found.place(candidate)), candidate.key, limits)
    series.slices(sorted({len(series) // 4, len(series) // 2, 3 * len(series) // 4}))


def explain(found: Survey, choice: SeriesChoice, series: str | None) -> str:
    """Why this series, in words."""
    verdict = choice.candidate.score
    if series is not None:
        how = "asked for by its UID"
        if verdict.excluded is not None:
            how += f", although it is a {verdict.excluded}"
    elif len(found.candidates) == 1:
        how = "the only series"
    else:
        how = f"chosen of {len(found.candidates)} series"
        studies = len({candidate.header.study for candidate in found.candidates} - {""})
        how += f" of {studies} studies" if studies > 1 else ""
        rivals = [
            other for other in found.candidates if other is not choice.candidate and _ties(other, choice.candidate)
        ]
        if rivals:
            named = ", ".join(str(other.header.series_number or other.key) for other in rivals)
            passed_study = any(other.header.study != choice.candidate.header.study for other in rivals)
            how += f", as good as series {named}{' of another study' if passed_study else ''} (settled by UID)"
    passed = [
        f"; series {other.header.series_number} scored {other.score.points} but: {problem.code}"
        for other, problem in choice.passed_over
    ]
    return f"{how}: {verdict.why}{''.join(passed)}"


def _ties(one: Candidate, other: Candidate) -> bool:
    """Whether nothing but their UIDs puts two usable series in order."""
    return (
        one.score.excluded is None
        and one.score.points == other.score.points
        and len(one.frames) == len(other.frames)
        and (one.header.series_number or 0) == (other.header.series_number or 0)
    )


def _located(problem: ScanError, found: Survey) -> ScanError:
    """The problem with the path as the user gave it, where it is the input's only file."""
    if found.path.is_file():
        return type(problem)(problem.what, where=found.path, do=problem.do)
    return problem
