"""From a path to a scan: the formats told apart, the series chosen, the volume read."""

from __future__ import annotations

from pathlib import Path

from triplenet.errors import EmptyFolder, NoCtSeries, NotHu, PathMissing, ScanError, SeriesUnknown
from triplenet.scan import picture
from triplenet.scan.dicom_series import DicomSeries
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.series import Series
from triplenet.scan.survey import Candidate, Survey, build, survey
from triplenet.scan.volume import Scan, Source


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
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        from triplenet.scan.nifti import open_nifti

        return open_nifti(path, limits)
    if path.suffix.lower() in (".nrrd", ".nhdr", ".mha", ".mhd"):
        from triplenet.scan.itk_image import open_itk

        return open_itk(path, limits)
    if path.suffix.lower() in picture.SUFFIXES and path.is_file():
        raise NotHu("a picture has grey levels, not Hounsfield units", where=path, do="import it as a slice cohort")
    found = survey(path, limits)
    chosen = choose(found, series)
    stacked = build(chosen, limits, allow_gaps=allow_gaps)
    return DicomSeries(stacked, _source(found, chosen, stacked.notes, series), limits)


def read(
    path: Path | str, series: str | None = None, limits: Limits = DEFAULT_LIMITS, allow_gaps: bool = False
) -> Scan:
    """A whole scan in HU. Parameters and errors as for ``open``."""
    return open(path, series, limits, allow_gaps).read()


def choose(found: Survey, series: str | None = None) -> Candidate:
    """The series to use: the one asked for, or the best.

    :raises SeriesUnknown: the one asked for is not there
    :raises NoCtSeries: there is none that can be used
    """
    if series is not None:
        for candidate in found.candidates:
            if candidate.key == series:
                if candidate.score.impossible is not None:
                    raise NoCtSeries(f"the series asked for is no CT volume: {candidate.score.impossible}")
                return candidate
        raise SeriesUnknown("the series asked for is not there", where=found.path, do="list them with `inspect`")
    usable = [candidate for candidate in found.candidates if candidate.score.excluded is None]
    if usable:
        return usable[0]
    if found.candidates:
        reasons = sorted({str(candidate.score.excluded) for candidate in found.candidates})
        raise NoCtSeries(f"no CT series that can be used ({'; '.join(reasons)})", where=found.path)
    if found.problems:
        worst = found.problems[0]
        raise _in_place(worst, found)
    raise EmptyFolder("no DICOM file", where=found.path)


def _in_place(problem: ScanError, found: Survey) -> ScanError:
    if found.path.is_file() and len(found.problems) == 1:
        return type(problem)(problem.what, where=found.path, do=problem.do)
    return problem


def _source(found: Survey, chosen: Candidate, notes: tuple[str, ...], series: str | None) -> Source:
    header, first = chosen.header, chosen.frames[0]
    others = len(found.candidates) - 1
    why = "asked for" if series is not None else ", ".join(chosen.score.reasons)
    told = list(notes)
    if others:
        told.insert(0, f"series {header.series_number} of {others + 1} chosen: {why}")
    if found.problems:
        told.append(f"{len(found.problems)} damaged file(s) left out")
    if first.pixels.photometric == "MONOCHROME1":
        told.append("MONOCHROME1: shown inverted by viewers, the values are HU all the same")
    if first.rescale is None:
        told.append("no rescale slope and intercept in the header: values taken as they are")
    technical = {
        "series": chosen.key,
        "kernel": first.kernel,
        "slice_thickness_mm": first.thickness_mm,
        "transfer_syntax": first.pixels.syntax,
        "image_type": list(first.image_type),
        "manufacturer": header.manufacturer,
        "model": header.model,
        "patient_position": header.patient_position,
        "score": chosen.score.points,
        "reasons": list(chosen.score.reasons),
    }
    return Source("dicom", str(found.path), tuple(told), technical)
