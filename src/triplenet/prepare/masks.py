"""The masks beside a scan, on its canonical grid: files, or arrays in the scan's own order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.catalog import BACKGROUND, INFECTION, LUNG, UNLABELLED
from triplenet.errors import BadMask, MaskMismatch, TripleNetError
from triplenet.scan.orientation import Reorientation
from triplenet.scan.volume import Geometry, MaskArray

Bool = npt.NDArray[np.bool_]
MaskInput = Path | str | MaskArray
WHOLE_LUNG = 0.9
"""Of a lung: an infection mask whose meaning was guessed and that covers more is a lung mask"""
_GUESSED = ("were joined", "which its name does not say")


class MaskFault(Exception):
    """A mask that does not belong to its scan: which one it is (``mask``, ``infection``, ``lung``), and why."""

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
) -> Masks:
    """Masks as the columns of a cohort table have them; another resolution of the same space is resampled and noted.

    :param grid: the scan's geometry in canonical orientation
    :param how: from the scan's own order to the canonical one
    :param mask: 0 background, 1 lung, 2 infection, 255 unlabelled
    :param infection: binary
    :param lung: binary
    :raises MaskFault: a mask cannot be read, does not lie on the scan, or holds a value that means nothing
    """
    inside: Region | None = None
    infected: Region | None = None
    unlabelled: Region | None = None
    notes: list[str] = []
    if mask is not None:
        labels = _on_grid("mask", mask, grid, how, notes)
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
        infected = Region((_on_grid("infection", infection, grid, how, notes), ()))
    if lung is not None:
        inside = Region((_on_grid("lung", lung, grid, how, notes), ()))
        if infected is not None:
            # A reader's lung mask may leave out the consolidation that the infection mask holds.
            inside |= infected
    guessed = any(note.startswith("infection mask: ") and note.endswith(_GUESSED) for note in notes)
    return Masks(infected, inside, unlabelled, guessed, tuple(notes))


def check_infection(masks: Masks, infection: Bool | None, lung: Bool | None) -> None:
    """Refuse an infection mask of joined labels that is nearly the whole lung of a slice: it is a lung mask.

    :param infection: (Y, X)
    :param lung: (Y, X), given or derived
    :raises MaskFault: of the column ``infection``
    """
    if not masks.guessed or infection is None or lung is None or not lung.any():
        return
    share = np.count_nonzero(infection & lung) / np.count_nonzero(lung)
    if share > WHOLE_LUNG:
        error = BadMask(
            f"its joined labels cover {share:.0%} of the lung",
            do="give a mask of the infection alone, or the column mask",
        )
        raise MaskFault("infection", error)


def _on_grid(column: str, mask: MaskInput, grid: Geometry, how: Reorientation, notes: list[str]) -> MaskArray:
    if isinstance(mask, np.ndarray):
        labels = how.apply(mask) if mask.ndim == 3 else mask
        if labels.shape != grid.shape:
            text = f"a mask of {_by(mask.shape)} voxels for a scan of {_by(grid.shape)}"
            raise MaskFault(column, MaskMismatch(text))
        return labels
    try:
        asked: scan.Column | None = "infection" if column == "infection" else "lung" if column == "lung" else None
        found = scan.open_mask(mask, like=grid, column=asked)
        notes += [f"{column} mask: {note}" for note in found.notes]
        if asked is not None:
            notes += _joined(column, found.labels)
        if found.geometry.same_grid(grid):
            return found.labels
        if not _same_space(found.geometry, grid):
            raise MaskMismatch(
                f"the mask of {_by(found.geometry.shape)} voxels does not lie on its scan of {_by(grid.shape)}",
                where=mask,
                do="give the mask that was drawn on this scan",
            )
        notes.append(f"{column} mask resampled to the scan's grid")
        return scan.resample_mask(found.labels, found.geometry, grid)
    except TripleNetError as error:
        raise MaskFault(column, error) from error


def _joined(column: str, labels: MaskArray) -> list[str]:
    """A note where a binary mask has several labels."""
    if labels.max(initial=0) <= 1:
        return []
    there = np.zeros(256, dtype=np.bool_)
    for plane in labels:  # np.unique would sort a hundred million voxels
        there[plane] = True
    values = [str(value) for value in np.flatnonzero(there).tolist() if value]
    return [f"{column} mask: the labels {', '.join(values)} were joined"] if len(values) > 1 else []


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
