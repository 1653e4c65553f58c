"""One patient of a cohort -> the sample that goes into the prepared set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.catalog import BACKGROUND, INFECTION, LUNG, UNLABELLED, WINDOWS
from triplenet.cohort.table import Patient
from triplenet.errors import BadMask, MaskMismatch, NoMask, TripleNetError
from triplenet.prepare.lung import lung_areas, lung_mask
from triplenet.prepare.sample import Bytes, network_slice
from triplenet.prepare.selection import choose_slice, frame_indices
from triplenet.prepare.store import Labelled, Rule
from triplenet.scan import Series
from triplenet.scan.volume import Geometry, MaskArray


@dataclass(frozen=True)
class Options:
    """What decides a sample."""

    window_hu: tuple[float, float] = WINDOWS["paper"]
    size: int = 256
    frames: int = 0
    """Of the 3D store; 0 writes none, the paper has 64."""
    frame_size: int = 224
    derive_lung: bool = False
    """Where no lung mask is given, make one by thresholds."""


@dataclass(frozen=True)
class Sample:
    """What ``prepare_patient`` makes; the fields are those of ``PreparedPatient``."""

    images: Bytes
    """(size, size)"""
    masks: Bytes
    """(size, size)"""
    frames: Bytes | None
    """(T, frame_size, frame_size)"""
    slice: int
    rule: Rule
    infection_pixels: int
    lung_pixels: int
    labelled: Labelled
    derived: bool
    notes: str

    def arrays(self) -> dict[str, npt.NDArray[np.uint8]]:
        """The arrays by the stem of their file in the prepared set."""
        arrays = {"images": self.images, "masks": self.masks}
        return arrays if self.frames is None else arrays | {"frames": self.frames}

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays."""
        return {name: value for name, value in vars(self).items() if name not in ("images", "masks", "frames")}


class MaskFault(Exception):
    """A mask that does not belong to its scan: a fault of the cohort table, in this column."""

    def __init__(self, column: str, error: TripleNetError) -> None:
        super().__init__(column, error)
        self.column = column
        self.error = error


@dataclass
class _Masks:
    """What is known of a scan, on its canonical grid; None is unknown."""

    infection: MaskArray | None = None
    """(Z, Y, X) 0 or 1"""
    lung: MaskArray | None = None
    """(Z, Y, X) 0 or 1, infection included"""
    unlabelled: MaskArray | None = None
    """(Z, Y, X) 0 or 1: where a labelled mask says that it does not know"""
    no_infection: bool = False
    notes: tuple[str, ...] = ()


def prepare_patient(patient: Patient, options: Options) -> Sample:
    """Choose the slice and make the sample; decodes only the slices that are needed.

    :raises ScanError: the scan cannot be used
    :raises MaskFault: a mask does not belong to the scan
    """
    series, _ = scan.open(patient.scan).canonical()
    masks = _read_masks(patient, series.geometry)
    notes = [*series.source.notes, *masks.notes]
    index, rule = _choose(series, masks, options)
    hu = series.slice(index)
    derived = masks.lung is None and options.derive_lung
    lung = lung_mask(hu[None], series.spacing_mm)[0] if derived else _slice(masks.lung, index)
    if derived:
        notes.append("lung mask derived by thresholds")
    infection = np.zeros_like(hu, dtype=np.uint8) if masks.no_infection else _slice(masks.infection, index)
    labels = labelled_slice(hu.shape, infection, lung, _slice(masks.unlabelled, index))
    image, transform = network_slice(hu, options.window_hu, options.size)
    return Sample(
        images=image,
        masks=transform.mask(labels),
        frames=_frames(series, options) if options.frames else None,
        slice=index,
        rule=rule,
        infection_pixels=0 if infection is None else int(infection.sum()),
        lung_pixels=0 if lung is None else int(lung.sum()),
        labelled=_labelled(infection, lung),
        derived=derived,
        notes="; ".join(notes),
    )


def labelled_slice(
    shape: tuple[int, ...], infection: MaskArray | None, lung: MaskArray | None, unlabelled: MaskArray | None = None
) -> MaskArray:
    """(Y, X) uint8: 0 background, 1 lung, 2 infection, 255 where the masks at hand do not tell.

    With only a lung mask the inside of the lung may be infected or not; with only an infection mask everything else
    may be lung or not.
    """
    labels = np.full(shape, UNLABELLED, dtype=np.uint8)
    if lung is not None:
        labels[lung == 0] = BACKGROUND
        if infection is not None:
            labels[lung > 0] = LUNG
    if infection is not None:
        labels[infection > 0] = INFECTION
    if unlabelled is not None:
        labels[unlabelled > 0] = UNLABELLED
    return labels


def _labelled(infection: MaskArray | None, lung: MaskArray | None) -> Labelled:
    if lung is not None:
        return "lung" if infection is None else "all"
    return "none" if infection is None or not infection.any() else "infection"


def _choose(series: Series, masks: _Masks, options: Options) -> tuple[int, Rule]:
    if len(series) == 1:
        return 0, "only"
    infection = None if masks.infection is None else _areas(masks.infection)
    if infection is not None and infection.max() > 0:
        return choose_slice(infection, None)
    if masks.lung is not None:
        return choose_slice(None, _areas(masks.lung))
    if not options.derive_lung:
        what = "the infection mask is empty and there is" if masks.infection is not None else "there is"
        raise NoMask(f"{what} no lung mask to choose a slice by", do="give one, or prepare with --derive-lung")
    return choose_slice(None, lung_areas(series.read().hu, series.spacing_mm))


def _frames(series: Series, options: Options) -> Bytes:
    indices = frame_indices(len(series), options.frames)
    unique, where = np.unique(indices, return_inverse=True)
    images = [network_slice(hu, options.window_hu, options.frame_size)[0] for hu in series.slices(unique.tolist())]
    return np.stack(images)[where]


def _read_masks(patient: Patient, grid: Geometry) -> _Masks:
    masks = _Masks(no_infection=patient.no_infection)
    if patient.mask is not None:
        labels, notes = _read_mask("mask", patient.mask, grid)
        strange = sorted(set(np.unique(labels).tolist()) - {BACKGROUND, LUNG, INFECTION, UNLABELLED})
        if strange:
            raise MaskFault(
                "mask", BadMask(f"the value {strange[0]} means nothing", where=patient.mask, do="use 0, 1, 2 or 255")
            )
        masks.infection = (labels == INFECTION).astype(np.uint8)
        masks.lung = ((labels == LUNG) | (labels == INFECTION)).astype(np.uint8)
        if (labels == UNLABELLED).any():
            masks.unlabelled = (labels == UNLABELLED).astype(np.uint8)
        masks.notes = notes
    if patient.infection is not None:
        labels, notes = _read_mask("infection", patient.infection, grid)
        masks.infection = (labels > 0).astype(np.uint8)
        masks.notes += notes
    if patient.lung is not None:
        labels, notes = _read_mask("lung", patient.lung, grid)
        masks.lung = (labels > 0).astype(np.uint8)
        masks.notes += notes
        if masks.infection is not None:
            # A reader's lung mask may leave out the consolidation that the infection mask holds.
            masks.lung |= masks.infection
    return masks


def _read_mask(column: str, path: Path, grid: Geometry) -> tuple[MaskArray, tuple[str, ...]]:
    try:
        mask, geometry = scan.read_mask(path, like=grid)
        if geometry.same_grid(grid):
            return mask, ()
        if not _same_space(geometry, grid):
            raise MaskMismatch(
                f"the mask of {_by(geometry.shape)} voxels does not lie on its scan of {_by(grid.shape)}", where=path
            )
        return scan.resample_mask(mask, geometry, grid), (f"{column} mask resampled to the scan's grid",)
    except TripleNetError as error:
        raise MaskFault(column, error) from error


def _same_space(one: Geometry, other: Geometry) -> bool:
    """Whether both grids fill the same box of the patient, to within a voxel of the coarser one."""
    if one.shape == other.shape:
        return False  # the same voxels elsewhere: a lost or a wrong header, not another resolution
    boxes = []
    for geometry in (one, other):
        ends = [(-0.5, n - 0.5) for n in geometry.shape]
        corners = geometry.world(np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T)
        boxes.append(np.stack([corners.min(axis=0), corners.max(axis=0)]))
    coarser = max(*one.spacing_mm, *other.spacing_mm)
    return bool(np.abs(boxes[0] - boxes[1]).max() <= coarser)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _areas(mask: MaskArray) -> npt.NDArray[np.int64]:
    return np.asarray(np.count_nonzero(mask, axis=(1, 2)), dtype=np.int64)


def _slice(mask: MaskArray | None, index: int) -> MaskArray | None:
    return None if mask is None else mask[index]
