"""The masks beside a scan, on its canonical grid: files, or arrays in the scan's own order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.catalog import BACKGROUND, INFECTION, LUNG, UNLABELLED
from triplenet.errors import BadMask, MaskMismatch, TripleNetError
from triplenet.scan.orientation import Reorientation
from triplenet.scan.segment_names import NO_NAMES, SegmentNames
from triplenet.scan.volume import Geometry, MaskArray

Bool = npt.NDArray[np.bool_]
MaskInput = Path | str | MaskArray
TILTED_DEGREES = 0.5
"""Gantry tilt from which a mask of another grid is taken for that of a converted image"""
_Column = scan.Column | Literal["second_infection"]


class MaskFault(Exception):
    """A mask that does not belong to its scan: which one it is, as the cohort table calls it, and why."""

    def __init__(self, column: str, error: TripleNetError) -> None:
        super().__init__(column, error)
        self.column = column
        self.error = error


class Region:
    """Some voxels of a scan, told slice by slice: booleans of a whole volume take longer to make than it to read.

    :param parts: label volumes (Z, Y, X) uint8, each with the values that belong to the region (none named: all but
        0); the region is where any of them says so
    """

    def __init__(self, *parts: tuple[MaskArray, tuple[int, ...]]) -> None:
        self._parts = parts

    def __getitem__(self, z: int) -> Bool:
        """(Y, X) bool: one slice."""
        found: list[Bool] = []
        for labels, values in self._parts:
            found += [labels[z] == value for value in values] if values else [labels[z] != 0]
        inside: Bool = np.logical_or.reduce(found) if len(found) > 1 else found[0]
        return inside

    @cached_property
    def areas(self) -> npt.NDArray[np.int64]:
        """(Z,) voxels of each slice."""
        slices = len(self._parts[0][0])
        return np.array([np.count_nonzero(self[z]) for z in range(slices)], dtype=np.int64)

    def any(self) -> bool:
        """Whether it has any voxel."""
        return bool(self.areas.max() > 0)

    def __or__(self, other: Region) -> Region:
        return Region(*self._parts, *other._parts)


@dataclass(frozen=True)
class Masks:
    """What is known of a scan, in canonical orientation; None is unknown."""

    infection: Region | None = None
    lung: Region | None = None
    """Infection included"""
    unlabelled: Region | None = None
    """Where a labelled mask says that it does not know"""
    guessed: bool = False
    """Several labels of a binary mask, or segments that do not say what they are, were taken for infection"""
    notes: tuple[str, ...] = ()


def read_masks(
    grid: Geometry,
    how: Reorientation,
    *,
    mask: MaskInput | None = None,
    infection: MaskInput | None = None,
    lung: MaskInput | None = None,
    names: SegmentNames = NO_NAMES,
) -> Masks:
    """Masks as the columns of a cohort table have them; another resolution of the same space is resampled and noted.

    :param grid: the scan's geometry in canonical orientation
    :param how: from the scan's own order to the canonical one
    :param mask: 0 background, 1 lung, 2 infection, 255 unlabelled
    :param infection: binary
    :param lung: binary
    :param names: a site's own names of segments
    :raises MaskFault: a mask cannot be read, does not lie on the scan, or holds a value that means nothing
    """
    inside: Region | None = None
    infected: Region | None = None
    unlabelled: Region | None = None
    guessed = False
    notes: list[str] = []
    if mask is not None:
        labels = _on_grid("mask", mask, grid, how, names, notes)[0]
        if labels.max(initial=0) > INFECTION:
            strange = sorted(set(np.unique(labels).tolist()) - {BACKGROUND, LUNG, INFECTION, UNLABELLED})
            if strange:
                place = None if isinstance(mask, np.ndarray) else mask
                raise MaskFault(
                    "mask", BadMask(f"the value {strange[0]} means nothing", where=place, do="use 0, 1, 2 or 255")
                )
            unlabelled = Region((labels, (UNLABELLED,)))
        infected = Region((labels, (INFECTION,)))
        inside = Region((labels, (LUNG, INFECTION)))
    if infection is not None:
        drawn, guessed = _on_grid("infection", infection, grid, how, names, notes)
        infected = Region((drawn, ()))
    if lung is not None:
        inside = Region((_on_grid("lung", lung, grid, how, names, notes)[0], ()))
        if infected is not None:
            # A reader's lung mask may leave out the consolidation that the infection mask holds.
            inside |= infected
    return Masks(infected, inside, unlabelled, guessed, tuple(notes))


def read_second_infection(
    grid: Geometry, how: Reorientation, mask: MaskInput | None, lung: Region | None, *, names: SegmentNames = NO_NAMES
) -> Masks:
    """The infection as another reader drew it, read and checked as ``read_masks`` does the first one's.

    :param mask: binary; None: no other reader drew one, and nothing is known
    :param lung: the one that is known of the scan, if any
    :returns: that infection, and the lung with it
    :raises MaskFault: the mask cannot be read, or does not lie on the scan
    """
    if mask is None:
        return Masks()
    notes: list[str] = []
    drawn, guessed = _on_grid("second_infection", mask, grid, how, names, notes)
    infected = Region((drawn, ()))
    return Masks(infected, None if lung is None else lung | infected, guessed=guessed, notes=tuple(notes))


def _on_grid(
    column: _Column, mask: MaskInput, grid: Geometry, how: Reorientation, names: SegmentNames, notes: list[str]
) -> tuple[MaskArray, bool]:
    """Labels on the scan's grid, and whether it was guessed that they are what the column says."""
    if isinstance(mask, np.ndarray):
        labels = how.apply(mask) if mask.ndim == 3 else mask
        if labels.shape != grid.shape:
            text = f"a mask of {_by(mask.shape)} voxels for a scan of {_by(grid.shape)}"
            raise MaskFault(column, MaskMismatch(text))
        return labels, False
    try:
        meant = "infection" if column == "second_infection" else column
        found = scan.open_mask(mask, like=grid, column=meant, names=names)
        notes += [f"{called(column)}: {note}" for note in found.notes]
        joined = [] if column == "mask" else _joined(column, found.labels)
        notes += joined
        guessed = found.guessed or bool(joined)
        if found.geometry.same_grid(grid):
            return found.labels, guessed
        if not _same_space(found.geometry, grid):
            raise _elsewhere(found.geometry, grid, mask)
        notes.append(f"{called(column)} resampled to the scan's grid")
        return scan.resample_mask(found.labels, found.geometry, grid), guessed
    except TripleNetError as error:
        raise MaskFault(column, error) from error


def _elsewhere(own: Geometry, grid: Geometry, mask: Path | str) -> MaskMismatch:
    apart = scan.voxels_apart(own, grid)
    do = "give the mask that was drawn on this scan"
    if grid.tilt_degrees >= TILTED_DEGREES:
        # What dcm2niix makes of such a series lies elsewhere in the patient, by its headers, straightened or not.
        do += (
            f", which has a gantry tilt of {grid.tilt_degrees:.1f} degrees: converters to NIfTI make another grid of it"
        )
    return MaskMismatch(
        f"the mask of {_by(own.shape)} voxels does not lie on its scan of {_by(grid.shape)}"
        + ("" if apart is None else f", up to {apart:.1f} voxels off"),
        where=mask,
        do=do,
    )


def called(column: str) -> str:
    """What a mask of the cohort table is called in notes and messages."""
    return "mask" if column == "mask" else f"{column.replace('_', ' ')} mask"


def _joined(column: str, labels: MaskArray) -> list[str]:
    """A note where a binary mask has several labels."""
    top = labels.max(initial=0)
    if top <= 1 or not any(((plane != 0) & (plane != top)).any() for plane in labels):
        return []
    there = np.zeros(256, dtype=np.bool_)
    for plane in labels:  # np.unique would sort a hundred million voxels
        there[plane] = True
    values = ", ".join(str(value) for value in np.flatnonzero(there).tolist() if value)
    return [f"{called(column)}: the labels {values} were joined"]


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
