"""Masks: label volumes beside a scan, put onto the scan's grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadMask, MaskMismatch, PathMissing
from triplenet.scan.dicom_header import Header, read_header
from triplenet.scan.formats import picture_format, volume_format
from triplenet.scan.grid_match import lay_on
from triplenet.scan.hounsfield import Rescale
from triplenet.scan.input_files import Entry, is_zip, list_files
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.mask import Mask
from triplenet.scan.picture import read_image
from triplenet.scan.segment_meaning import Column
from triplenet.scan.segment_names import NO_NAMES, SegmentNames
from triplenet.scan.segmentation import SEGMENTATION_CLASSES, read_segmentation
from triplenet.scan.slicer_segments import taken_for
from triplenet.scan.volume import Geometry, MaskArray

_NO_GEOMETRY = np.eye(4)
_WHOLE = 1e-3  # how far a scaled value may lie from the label that was meant


def read_mask(
    path: Path | str, like: Geometry | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[MaskArray, Geometry]:
    """Labels and geometry of ``open_mask``, for whom its notes do not matter."""
    found = open_mask(path, like, limits)
    return found.labels, found.geometry


def open_mask(
    path: Path | str,
    like: Geometry | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    column: Column | None = None,
    names: SegmentNames = NO_NAMES,
) -> Mask:
    """A mask's label values as they are in the file, (Z, Y, X) uint8, and where they lie.

    NIfTI, NRRD, MetaImage, PNG (one slice) and DICOM Segmentation; also the folder or zip that holds the segmentation,
    and the folder that holds the volume file, if it is the only one there.

    :param like: the scan's geometry. A mask on the same voxels in another order (flipped, other axes), cut out of them
        or rounded by less than half a voxel is returned in the scan's order with the scan's geometry; a PNG takes its
        place from it. A mask on another grid is returned as it is: compare with ``Geometry.same_grid``, then
        ``resample_mask``.
    :param column: what is asked for, as a cohort table says it: of a segmentation the segments that are this
    :param names: a site's own names of segments
    :raises BadMask: values that are no whole numbers in 0..255, or segments that are nothing of the kind
    :raises MaskMismatch: a picture that has not the size of the one slice it belongs to, or another patient's
    """
    path = Path(path)
    if not path.exists():
        raise PathMissing("no such mask", where=path)
    file = _only_file(path, limits)
    if isinstance(file, tuple):
        found = read_segmentation(*file, path, like, limits, column=column, names=names)
    else:
        slices, geometry, pairs = _stored(file, like, limits)
        found = Mask(_labels(slices, geometry.shape, file), geometry)
        if column is not None:
            found = taken_for(found, pairs, column, names, path)
    if like is None or found.geometry is like:
        return found
    if found.geometry.same_grid(like):
        return replace(found, geometry=like)
    laid = lay_on(found.labels, found.geometry, like)
    return found if laid is None else replace(found, labels=laid[0], geometry=like, notes=(*found.notes, *laid[1]))


def resample_mask(mask: MaskArray, geometry: Geometry, like: Geometry) -> MaskArray:
    """The label of the nearest mask voxel at every voxel of ``like``; outside the mask 0.

    :raises MaskMismatch: the two grids lie apart, so the mask belongs to another scan
    """
    inverse = np.linalg.inv(geometry.affine)
    out = np.zeros(like.shape, np.uint8)
    rows, columns = np.indices(like.shape[1:], dtype=np.float64)
    hit = False
    for z in range(like.shape[0]):  # slice by slice: three float coordinates of a whole volume are gigabytes
        index = np.stack([np.full(rows.shape, float(z)), rows, columns], axis=-1)
        world = like.world(index)
        nearest = np.floor(world @ inverse[:3, :3].T + inverse[:3, 3] + 0.5).astype(np.int64)
        inside = ((nearest >= 0) & (nearest < geometry.shape)).all(axis=-1)
        hit = hit or bool(inside.any())
        k, j, i = nearest[inside].T
        out[z][inside] = mask[k, j, i]
    if not hit:
        raise MaskMismatch("the mask lies outside the scan")
    return out


def _only_file(path: Path, limits: Limits) -> Path | tuple[Entry, Header]:
    """What a path means: a volume file or picture, or a DICOM file; of a folder or zip the only one that it can be."""
    if path.is_file() and (volume_format(path.name) or picture_format(path.name)):
        return path
    entries = list_files(path, limits).entries
    if path.is_file() and not is_zip(path):
        header = read_header(entries[0], limits, keep=SEGMENTATION_CLASSES)
        return path if header is None else (entries[0], header)
    volumes = [entry for entry in entries if volume_format(entry.name) is not None]
    files = 0
    segmentations: list[tuple[Entry, Header]] = []
    for entry in entries:
        if volume_format(entry.name) is not None:
            continue
        header = read_header(entry, limits, keep=frozenset() if segmentations else SEGMENTATION_CLASSES)
        files += header is not None
        if header is not None and header.sop_class in SEGMENTATION_CLASSES:
            segmentations.append((entry, header))
    if len(segmentations) == 1:
        return segmentations[0]
    if not segmentations and len(volumes) == 1 and volumes[0].archive is None:
        return volumes[0].path
    none = f"no DICOM Segmentation ({files} DICOM files)"
    what = f"{len(segmentations)} segmentations" if segmentations else none
    raise BadMask(f"a folder or zip with {what}", where=path, do="name the file of the mask")


def _stored(
    path: Path, like: Geometry | None, limits: Limits
) -> tuple[Iterable[npt.NDArray[Any]], Geometry, Mapping[str, str]]:
    """The slices of a volume file or picture, where they lie, and what a NRRD's header says besides."""
    kind = volume_format(path.name)
    if kind is not None:
        header = kind.open_header(path, limits)
        slices = header.voxels.slices()
        if header.rescale != Rescale():
            slices = (_scaled(stored, header.rescale) for stored in slices)
        return slices, header.geometry, header.key_values
    if picture_format(path.name) is not None:
        drawn = read_image(path, limits)[None]
        if like is None:
            return drawn, Geometry(drawn.shape, _NO_GEOMETRY), {}
        if drawn.shape != like.shape:
            raise MaskMismatch(f"a mask of {drawn.shape[1:]} pixels for a scan of {like.shape}", where=path)
        return drawn, like, {}
    raise BadMask("not a mask in a known format", where=path, do="give NIfTI, NRRD, MetaImage, PNG or DICOM SEG")


def _scaled(stored: npt.NDArray[Any], rescale: Rescale) -> npt.NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is no label
        return np.asarray(stored * rescale.slope + rescale.intercept)


def _labels(slices: Iterable[npt.NDArray[Any]], shape: tuple[int, int, int], path: Path) -> MaskArray:
    labels = np.empty(shape, np.uint8)
    for stored, out in zip(slices, labels, strict=True):  # slice by slice: floats of a whole volume are gigabytes
        if stored.dtype == np.uint8:
            out[:] = stored
            continue
        if not (stored.min() >= -_WHOLE and stored.max() <= 255 + _WHOLE):
            raise BadMask("mask values must lie in 0..255", where=path)  # NaN ends here too
        out[:] = np.abs(stored) if stored.dtype.kind == "f" else stored
        if stored.dtype.kind != "f" or np.array_equal(out, stored):
            continue
        out[:] = np.rint(np.abs(stored))  # scaled integers come back as 1.00000006
        if np.abs(stored - out).max(initial=0.0) > _WHOLE:
            raise BadMask("mask values must be whole numbers", where=path)
    return labels
