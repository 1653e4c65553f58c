"""From a path to a scan: the formats told apart, the series chosen, the volume read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from triplenet.errors import (
    EmptyFolder,
    NoCtSeries,
    NotHu,
    PathMissing,
    ScanError,
    SeriesUnknown,
    UnreadableFile,
)
from triplenet.scan import picture
from triplenet.scan.dicom_series import DicomSeries
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.series import Series
from triplenet.scan.stack import Stack
from triplenet.scan.survey import VOLUME_SUFFIXES, Candidate, Survey, build, survey
from triplenet.scan.volume import Scan, Source


@dataclass(frozen=True)
class Choice:
    """The series that is used, in order, and why it and not another.

    :param passed_over: better scored series that could not be used, each with its error
    """

    candidate: Candidate
    stack: Stack
    passed_over: tuple[tuple[Candidate, ScanError], ...] = ()


def open(  # the scan's counterpart of the built-in
    path: Path | str, series: str | None = None, limits: Limits = DEFAULT_LIMITS, allow_gaps: bool = False
) -> Series:
    """A scan known from its headers; slices are decoded when asked for.

    :param path: DICOM file, folder, zip or DICOMDIR; NIfTI, NRRD or MetaImage file
    :param series: UID of the DICOM series to use instead of the best one
    :param allow_gaps: accept missing or unevenly spaced slices, with a note
    :raises ScanError: the input cannot be used; the code says why
    """
    path = Path(path)
    if not path.exists():
        raise PathMissing("no such file or folder", where=path)
    if path.is_file():
        if path.name.lower().endswith(VOLUME_SUFFIXES):
            return open_volume(path, limits)
        if path.suffix.lower() in picture.SUFFIXES:
            raise NotHu("a picture has grey levels, not Hounsfield units", where=path, do="import it as a slice cohort")
    found = survey(path, limits)
    if series is None and not any(candidate.score.excluded is None for candidate in found.candidates):
        volume = only_volume(found)
        if volume is not None:
            return open_volume(volume, limits)
    return open_choice(found, choose(found, series, limits, allow_gaps=allow_gaps), series, limits)


def read(
    path: Path | str, series: str | None = None, limits: Limits = DEFAULT_LIMITS, allow_gaps: bool = False
) -> Scan:
    """A whole scan in HU. Parameters and errors as for ``open``."""
    return open(path, series, limits, allow_gaps).read()


def open_volume(path: Path, limits: Limits = DEFAULT_LIMITS) -> Series:
    """The scan in a NIfTI, NRRD or MetaImage file."""
    if path.name.lower().endswith((".nii", ".nii.gz")):
        from triplenet.scan.nifti import open_nifti

        return open_nifti(path, limits)
    if path.suffix.lower() in (".mha", ".mhd"):
        from triplenet.scan.metaimage import open_metaimage

        return open_metaimage(path, limits)
    from triplenet.scan.nrrd import open_nrrd

    return open_nrrd(path, limits)


def only_volume(found: Survey) -> Path | None:
    """The one NIfTI, NRRD or MetaImage file of a folder without a usable DICOM series, if it has any.

    :raises NoCtSeries: there are several, or it lies in a zip
    """
    if not found.volumes:
        return None
    if len(found.volumes) > 1:
        names = ", ".join(entry.name for entry in found.volumes[:3])
        raise NoCtSeries(
            f"{len(found.volumes)} volume files ({names}, ...)", where=found.path, do="name the one that is the scan"
        )
    if found.volumes[0].archive is not None:
        raise NoCtSeries(f"{found.volumes[0].name} lies in a zip", where=found.path, do="unpack the zip")
    return found.volumes[0].path


def choose(
    found: Survey, series: str | None = None, limits: Limits = DEFAULT_LIMITS, *, allow_gaps: bool = False
) -> Choice:
    """The series asked for, or the best one whose headers hold what they promise.

    :raises SeriesUnknown: the one asked for is not there
    :raises NoCtSeries: there is none that is a chest CT volume
    :raises ScanError: those that are cannot be used; the error of the best one
    """
    if series is not None:
        candidate = next((candidate for candidate in found.candidates if candidate.key == series), None)
        if candidate is None:
            raise SeriesUnknown("the series asked for is not there", where=found.path, do="list them with `inspect`")
        if candidate.score.impossible is not None and not candidate.damaged:
            raise NoCtSeries(f"the series asked for is no CT volume ({candidate.score.impossible})", where=found.path)
        return Choice(candidate, build(candidate, found.place(candidate), limits, allow_gaps=allow_gaps))
    volumes = [candidate for candidate in found.candidates if candidate.score.impossible is None]
    if found.problems and len(volumes) == 1 and not allow_gaps:
        problem = found.problems[0]  # whose series is unknown, so it may well be a slice of the only one
        raise type(problem)(
            problem.what, where=problem.where, do="remove the file, or choose the series by its UID (--series)"
        )
    failed: list[tuple[Candidate, ScanError]] = []
    for candidate in found.candidates:
        if candidate.score.excluded is not None and not (candidate.damaged and not candidate.frames):
            continue
        try:
            return Choice(
                candidate, build(candidate, found.place(candidate), limits, allow_gaps=allow_gaps), tuple(failed)
            )
        except ScanError as problem:
            failed.append((candidate, problem))
    if failed:
        raise failed[0][1]
    if found.candidates:
        reasons = sorted({str(candidate.score.excluded) for candidate in found.candidates})
        raise NoCtSeries(f"no CT series that can be used ({'; '.join(reasons)})", where=found.path)
    if found.problems:
        raise _located(found.problems[0], found)
    if found.path.is_file():
        raise UnreadableFile(
            "not a scan in a known format", where=found.path, do="give DICOM, NIfTI, NRRD or MetaImage"
        )
    zips, pictures = found.skipped["zip, not opened"], found.skipped["picture"]
    do = f"name one of its {zips} zip files" if zips else "import pictures as a slice cohort" if pictures else None
    raise EmptyFolder("no DICOM file", where=found.path, do=do)


def open_choice(
    found: Survey, choice: Choice, series: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> DicomSeries:
    """The chosen series as a volume to read from."""
    candidate = choice.candidate
    header, first = candidate.header, choice.stack.frames[0]
    notes = [*_choice_notes(found, choice, series), *choice.stack.notes]
    alone = candidate.key.split("#")[0]
    left = sum(len(c.frames) for c in found.candidates if c.key.split("#")[0] == alone and c is not candidate)
    if left:
        notes.append(f"slices of the series with another size, direction or kind left out: {left}")
    if found.problems:
        notes.append(f"damaged files left out, series unknown: {len(found.problems)}")
    if first.pixels.photometric == "MONOCHROME1":
        notes.append("MONOCHROME1: viewers show it inverted, the values are HU all the same")
    if first.rescale is None:
        notes.append("no rescale slope and intercept in the header: values taken as they are")
    if first.pixels.bits_stored <= 8:
        notes.append("stored with 8 bits: the values are approximate HU")
    if first.lossy:
        notes.append("compressed with loss: the values are approximate HU")
    technical = {
        "series_number": header.series_number,
        "kernel": first.kernel,
        "slice_thickness_mm": first.thickness_mm,
        "transfer_syntax": first.pixels.syntax,
        "image_type": list(first.image_type),
        "manufacturer": header.manufacturer,
        "model": header.model,
        "patient_position": header.patient_position,
        "score": candidate.score.points,
        "reasons": list(candidate.score.reasons),
    }
    source = Source("dicom", str(found.path), tuple(notes), technical)
    return DicomSeries(choice.stack, source, candidate.key, limits)


def _choice_notes(found: Survey, choice: Choice, series: str | None) -> list[str]:
    candidate = choice.candidate
    notes = []
    if series is not None:
        notes.append("series asked for by its UID")
        if candidate.score.excluded is not None:
            notes.append(f"used although it is a {candidate.score.excluded}")
    elif len(found.candidates) > 1:
        notes.append(f"chosen of {len(found.candidates)} series: {', '.join(candidate.score.reasons)}")
    for other, problem in choice.passed_over:
        notes.append(f"series {other.header.series_number} scored {other.score.points} but: {problem.code}")
    return notes


def _located(problem: ScanError, found: Survey) -> ScanError:
    """The problem with the path as the user gave it, where it is the input's only file."""
    if found.path.is_file():
        return type(problem)(problem.what, where=found.path, do=problem.do)
    return problem
