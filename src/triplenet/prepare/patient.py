"""One patient of a cohort -> the sample that goes into the prepared set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.catalog import BACKGROUND, INFECTION, LUNG, UNLABELLED, WINDOWS, FrameSampling
from triplenet.cohort.table import Patient
from triplenet.errors import NoMask
from triplenet.prepare.chest import examine, examine_slice, header_remarks, require_chest
from triplenet.prepare.found_lungs import FoundLungs, LungBy
from triplenet.prepare.frames import frame_lungs, frame_positions, read_frames
from triplenet.prepare.mask_check import refuse_lung_as_infection
from triplenet.prepare.masks import Bool, Masks, Region, read_masks, read_second_infection
from triplenet.prepare.notes import SEPARATOR
from triplenet.prepare.opacity_share import opacity_share
from triplenet.prepare.sample import Bytes, network_slice
from triplenet.prepare.selection import Chosen, choose_by_lungs, choose_by_masks, choose_slice
from triplenet.prepare.store import Labelled, Rule, pack
from triplenet.prepare.technique import Contrast, Technique, technique
from triplenet.scan import NO_NAMES, HuArray, SegmentNames, Series

_ARRAYS = ("images", "masks", "second", "frames", "frame_lungs")


@dataclass(frozen=True)
class Options:
    """What decides a sample."""

    window_hu: tuple[float, float] = WINDOWS["paper"]
    size: int = 256
    frames: int = 0
    """Of the 3D store; 0 writes none, the paper has 64."""
    frame_size: int = 224
    frame_sampling: FrameSampling = "nearest"
    """Whole slices, or mixed from the two that are next to a frame."""
    frame_lungs: bool = False
    """Write the lung mask of the frames too, for 3D methods that read one."""
    derive_lung: bool = False
    """Where no lung mask is given, make one by thresholds."""
    lung_by: LungBy = "thresholds"
    """What makes that mask: thresholds, or the package ``lungmask``."""
    any_body_part: bool = False
    """Go on with a scan that was searched for lungs and does not look like a chest; see ``prepare.chest``."""
    allow_gaps: bool = False
    """Accept series with missing or unevenly spaced slices, with a note."""
    segments: SegmentNames = NO_NAMES
    """A site's own names for the segments of DICOM Segmentations."""


@dataclass(frozen=True)
class Sample:
    """What ``prepare_patient`` makes; the fields are those of ``PreparedPatient``."""

    images: Bytes
    """(size, size)"""
    masks: Bytes
    """(size, size)"""
    second: Bytes | None
    """(size, size): 1 where another reader sees infection, else 0; None where no one tells"""
    frames: Bytes | None
    """(T, frame_size, frame_size)"""
    frame_lungs: Bytes | None
    """(T, frame_size, frame_size / 8): the lung as bits, see ``store.pack``"""
    slice: int
    rule: Rule
    infection_pixels: int | None
    lung_pixels: int | None
    opacity: float | None
    labelled: Labelled
    derived: bool
    series_choice: str
    notes: str
    slice_mm: float | None
    pixel_mm: float | None
    slice_thickness_mm: float | None
    kernel: str
    contrast: Contrast
    slices: int

    def arrays(self) -> dict[str, npt.NDArray[np.uint8]]:
        """The arrays by the stem of their file in the prepared set."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return {name: array for name, array in arrays.items() if array is not None}

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays."""
        return {name: value for name, value in vars(self).items() if name not in _ARRAYS}


def prepare_patient(patient: Patient, options: Options) -> Sample:
    """Choose the slice and make the sample; decodes only the slices that are needed.

    :raises ScanError: the scan cannot be used; SeriesUnknown where the table names a series that is not there
    :raises MaskFault: a mask does not belong to the scan
    """
    return scan.with_fallback(
        patient.scan,
        lambda series: _sample(series, patient, options),
        patient.series,
        allow_gaps=options.allow_gaps,
    )


def _sample(own: Series, patient: Patient, options: Options) -> Sample:
    series, how = own.canonical()
    masks = read_masks(
        series.geometry,
        how,
        mask=patient.mask,
        infection=patient.infection,
        lung=patient.lung,
        names=options.segments,
    )
    other = read_second_infection(series.geometry, how, patient.second_infection, masks.lung, names=options.segments)
    notes = [*series.source.notes, *masks.notes, *other.notes]
    chosen = _choose(series, masks, options)
    index, lungs = chosen.index, chosen.lungs
    if lungs is None and options.frames and options.frame_lungs and masks.lung is None and options.derive_lung:
        lungs = _find_lungs(series.read().hu, series, options)
    hu = series.slice(index)
    refuse_lung_as_infection(masks, index, hu, series.spacing_mm)
    refuse_lung_as_infection(other, index, hu, series.spacing_mm, column="second_infection")
    derived = masks.lung is None and options.derive_lung
    lung = _at(masks.lung, index)
    chest: tuple[str, ...] = tuple(header_remarks(series.source))
    if derived and lungs is not None:
        lung, chest = lungs.slice(index), examine(lungs, series.spacing_mm[0], series.source).remarks
    elif derived:
        found = _find_lungs(hu[None], series, options)
        lung, chest = found.slice(0), examine_slice(found, series.source, alone=len(series) == 1).remarks
    if derived:
        notes.append(f"lung mask derived by {options.lung_by}")
    notes += chest
    notes += series.remarks()
    infection = np.zeros(hu.shape, dtype=np.bool_) if patient.no_infection else _at(masks.infection, index)
    second = np.zeros(hu.shape, dtype=np.bool_) if patient.no_second_infection else _at(other.infection, index)
    if second is not None and infection is not None and infection.any() and np.array_equal(second, infection):
        notes.append("the second infection mask is the first one's in this slice")
    labels = labelled_slice(hu.shape, infection, lung, _at(masks.unlabelled, index))
    image, transform = network_slice(hu, options.window_hu, options.size)
    frames, packed = _frames(series, masks, options, lungs)
    return Sample(
        images=image,
        masks=transform.mask(labels),
        second=None if second is None else transform.mask(second.astype(np.uint8)),
        frames=frames,
        frame_lungs=packed,
        slice=index,
        rule=chosen.rule,
        infection_pixels=None if infection is None else int(infection.sum()),
        lung_pixels=None if lung is None else int(lung.sum()),
        opacity=None if lung is None else opacity_share(hu, lung),
        labelled=_labelled(infection, lung),
        derived=derived,
        series_choice=series.source.choice,
        notes=SEPARATOR.join(notes),
        slices=len(series),
        **asdict(_technique(series)),
    )


def _technique(series: Series) -> Technique:
    depth, *in_plane = series.spacing_mm
    # A slice alone has no neighbour; its grid's step is its thickness or nothing at all.
    return technique((depth if len(series) > 1 else 0.0, in_plane[0], in_plane[1]), series.source.header)


def _find_lungs(hu: HuArray, series: Series, options: Options) -> FoundLungs:
    from triplenet.prepare.lung import find_lungs  # scipy is slow to load

    return find_lungs(hu, series.spacing_mm, options.lung_by)


def labelled_slice(
    shape: tuple[int, ...], infection: Bool | None, lung: Bool | None, unlabelled: Bool | None = None
) -> Bytes:
    """(Y, X) uint8: 0 background, 1 lung, 2 infection, 255 where the masks at hand do not tell.

    With only a lung mask the inside of the lung may be infected or not; with only an infection mask everything else
    may be lung or not.
    """
    labels = np.full(shape, UNLABELLED, dtype=np.uint8)
    if lung is not None:
        labels[~lung] = BACKGROUND
        if infection is not None:
            labels[lung] = LUNG
    if infection is not None:
        labels[infection] = INFECTION
    if unlabelled is not None:
        labels[unlabelled] = UNLABELLED
    return labels


def _labelled(infection: Bool | None, lung: Bool | None) -> Labelled:
    if lung is not None:
        return "lung" if infection is None else "all"
    return "none" if infection is None or not infection.any() else "infection"


def _choose(series: Series, masks: Masks, options: Options) -> Chosen:
    chosen = choose_by_masks(series, masks)
    if chosen is not None:
        return chosen
    if masks.lung is not None:
        choose_slice(None, masks.lung.areas)  # raises: it is empty
    if not options.derive_lung:
        what = "the infection mask is empty and there is" if masks.infection is not None else "there is"
        raise NoMask(f"{what} no lung mask to choose a slice by", do="give one, or prepare with --derive-lung")
    chosen = choose_by_lungs(series, options.lung_by)
    if chosen.lungs is not None:
        chest = examine(chosen.lungs, series.spacing_mm[0], series.source)
        require_chest(chest, series.source.reference, any_body_part=options.any_body_part)
    return chosen


def _frames(
    series: Series, masks: Masks, options: Options, lungs: FoundLungs | None
) -> tuple[Bytes | None, Bytes | None]:
    """(T, frame_size, frame_size), and their lungs as bits (T, frame_size, frame_size / 8); each if asked for."""
    if not options.frames:
        return None, None
    positions = frame_positions(len(series), options.frames, options.frame_sampling).tolist()
    frames = read_frames(series, positions, options.window_hu, options.frame_size)
    if not options.frame_lungs:
        return frames, None
    if masks.lung is None and not options.derive_lung:
        raise NoMask("there is no lung mask for the frames", do="give one, or prepare with --derive-lung")
    return frames, pack(frame_lungs(series, masks, positions, options.frame_size, lungs))


def _at(region: Region | None, index: int) -> Bool | None:
    return None if region is None else region[index]
