"""From a path to a scan: the formats told apart, the series chosen, the volume read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from triplenet.errors import (
    NoCtSeries,
    NotHu,
    PathMissing,
    ScanError,
    SeriesUnknown,
    TooLarge,
    UnreadableFile,
)
from triplenet.scan.dicom_series import DicomSeries
from triplenet.scan.dicom_syntax import syntax_name
from triplenet.scan.formats import picture_format, volume_format
from triplenet.scan.image_kind import unknown_rescale_type
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.picture import read_image
from triplenet.scan.series import Series
from triplenet.scan.series_choice import SeriesChoice, Unusable, choose, explain
from triplenet.scan.survey import Survey, survey
from triplenet.scan.volume import Origin, Scan, Source
from triplenet.scan.volume_file import volume_series

T = TypeVar("T")

PIXEL_FAULTS = (NotHu, UnreadableFile, TooLarge)
"""What a series can turn out to be when its pixels are decoded."""


def open(  # the scan's counterpart of the built-in
    path: Path | str, series: str | None = None, limits: Limits = DEFAULT_LIMITS, allow_gaps: bool = False
) -> Series:
    """A scan known from its headers; slices are decoded when asked for.

    Of several series that could be used the best is tried: a few of its slices are decoded, and where they are damaged
    or no HU the next one is used instead, which ``source.choice`` says. A series asked for is never replaced.

    :param path: DICOM file, folder, zip or DICOMDIR; NIfTI, NRRD or MetaImage file
    :param series: UID of the DICOM series to use instead of the best one
    :param allow_gaps: accept missing or unevenly spaced slices, with a note
    :raises ScanError: the input cannot be used; the code says why
    """
    return open_but(path, series, limits, allow_gaps)


class Watch:
    """What ``open_but`` comes upon on its way; nothing is made of it here."""

    def surveyed(self, found: Survey) -> None:
        """An input of DICOM files, before anything is chosen or refused."""

    def chosen(self, choice: SeriesChoice) -> None:
        """The series that will be used, and what was passed over for it."""


def open_but(
    path: Path | str,
    series: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    allow_gaps: bool = False,
    unusable: Unusable = MappingProxyType({}),
    watch: Watch | None = None,
) -> Series:
    """As ``open``, but for the series of these keys, whose pixels turned out unusable."""
    path, watch = Path(path), watch or Watch()
    if not path.exists():
        raise PathMissing("no such file or folder", where=path)
    if path.is_file() and volume_format(path.name) is not None:
        if series is not None:
            raise SeriesUnknown("a series is asked for in a file without any", where=path, do="leave the UID out")
        return open_volume(path, limits)
    if path.is_file() and picture_format(path.name) is not None:
        height, width = read_image(path, limits).shape
        raise NotHu(
            f"a picture of {width} x {height} grey levels, not Hounsfield units",
            where=path,
            do="import it as a slice cohort",
        )
    found = survey(path, limits)
    watch.surveyed(found)
    if series is None and not any(candidate.score.excluded is None for candidate in found.candidates):
        volume = only_volume(found)
        if volume is not None:
            opened = open_volume(volume, limits)
            why = "the only volume file of the folder, without a usable DICOM series"
            opened.source = replace(opened.source, choice=why)
            return opened
    choice = choose(found, series, limits, allow_gaps=allow_gaps, unusable=unusable)
    watch.chosen(choice)
    return open_choice(found, choice, series, limits)


def read(
    path: Path | str, series: str | None = None, limits: Limits = DEFAULT_LIMITS, allow_gaps: bool = False
) -> Scan:
    """A whole scan in HU. Parameters and errors as for ``open``."""
    return with_fallback(path, Series.read, series, limits, allow_gaps)


def with_fallback(
    path: Path | str,
    use: Callable[[Series], T],
    series: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    allow_gaps: bool = False,
    opener: Callable[[dict[str, ScanError]], Series] | None = None,
) -> T:
    """What ``use`` makes of a scan; where the pixels of the best series turn out unusable, of the next one.

    Other parameters and errors as for ``open``; when no series is left, the error of the first.

    :param opener: opens the scan in another way, but for the series that turned out unusable
    """
    unusable: dict[str, ScanError] = {}
    while True:
        opened = open_but(path, series, limits, allow_gaps, unusable) if opener is None else opener(unusable)
        try:
            return use(opened)
        except PIXEL_FAULTS as problem:
            if series is not None or opened.key is None:
                raise
            unusable[opened.key] = problem


def open_volume(path: Path, limits: Limits = DEFAULT_LIMITS) -> Series:
    """The scan in a NIfTI, NRRD or MetaImage file."""
    kind = volume_format(path.name)
    if kind is None:
        raise UnreadableFile("not a volume file in a known format", where=path)
    header = kind.open_header(path, limits)
    return volume_series(header, Source(kind.name, str(path), tuple(header.notes), header.technical))


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


def open_choice(
    found: Survey, choice: SeriesChoice, series: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> DicomSeries:
    """The chosen series as a volume to read from."""
    candidate = choice.candidate
    header, first = candidate.header, choice.stack.frames[0]
    notes = list(choice.stack.notes)
    alone = candidate.key.split("#")[0]
    left = sum(len(c.frames) for c in found.candidates if c.key.split("#")[0] == alone and c is not candidate)
    if left:
        notes.append(f"slices of the series of another kind, direction or acquisition left out: {left}")
    if found.problems:
        notes.append(f"damaged files left out, series unknown: {len(found.problems)}")
    if first.pixels.photometric == "MONOCHROME1":
        notes.append("MONOCHROME1: viewers show it inverted, the values are HU all the same")
    frames = choice.stack.frames
    for what, some in (
        ("no rescale slope and intercept in the header: values taken as they are", [f.rescale is None for f in frames]),
        ("stored with 8 bits: the values are approximate HU", [f.pixels.bits_stored <= 8 for f in frames]),
        ("compressed with loss: the values are approximate HU", [f.lossy for f in frames]),
    ):
        if any(some):
            notes.append(what if all(some) else f"{sum(some)} of {len(frames)} slices: {what}")
    notes += [
        f"unknown rescale type {word!r}: taken for HU, which the values could be"
        for word in sorted({unknown_rescale_type(frame) for frame in frames} - {""})
    ]
    notes += [
        f"the header says {syntax_name(said)}, the data are {syntax_name(shown)}: read as what they are"
        for said, shown in sorted({(f.pixels.said, f.pixels.syntax) for f in frames if f.pixels.said})
        if said != shown
    ]
    technical = {
        "series_number": header.series_number,
        "kernel": first.kernel,
        "slice_thickness_mm": first.thickness_mm,
        "contrast": header.contrast,
        "transfer_syntax": first.pixels.syntax,
        "image_type": list(first.image_type),
        "manufacturer": header.manufacturer,
        "model": header.model,
        "patient_position": header.patient_position,
        "body_part": header.body_part,
        "score": candidate.score.points,
        "reasons": list(candidate.score.reasons),
    }
    source = Source("dicom", str(found.path), tuple(notes), technical, explain(found, choice, series))
    stacked = replace(
        choice.stack,
        geometry=replace(choice.stack.geometry, origin=Origin(header.patient, header.study, header.frame_of_reference)),
    )
    return DicomSeries(stacked, source, candidate.key, limits)
