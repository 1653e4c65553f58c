"""Masks: label volumes beside a scan, put onto the scan's grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadMask, MaskMismatch, PathMissing
from triplenet.scan.dicom_header import read_header
from triplenet.scan.files import Entry, list_files
from triplenet.scan.grid_match import lay_on
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.volume import Geometry, MaskArray

Column = Literal["infection", "lung"]
_NO_GEOMETRY = np.eye(4)
_WHOLE = 1e-3  # how far a scaled value may lie from the label that was meant


@dataclass(frozen=True)
class Mask:
    """A mask as it was read.

    :param labels: (Z, Y, X) uint8
    :param notes: what was noticed: how far off it lies, what it covers, which segments were joined
    """

    labels: MaskArray
    geometry: Geometry
    notes: tuple[str, ...] = ()


def read_mask(
    path: Path | str, like: Geometry | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[MaskArray, Geometry]:
    """Labels and geometry of ``open_mask``, for whom its notes do not matter."""
    found = open_mask(path, like, limits)
    return found.labels, found.geometry


def open_mask(
    path: Path | str, like: Geometry | None = None, limits: Limits = DEFAULT_LIMITS, *, column: Column | None = None
) -> Mask:
    """A mask's label values as they are in the file, (Z, Y, X) uint8, and where they lie.

    NIfTI, NRRD, MetaImage, PNG (one slice) and DICOM Segmentation, the latter also as the folder that holds it.

    :param like: the scan's geometry. A mask on the same voxels in another order (flipped, other axes), cut out of them
        or rounded by less than half a voxel is returned in the scan's order with the scan's geometry; a PNG takes its
        place from it. A mask on another grid is returned as it is: compare with ``Geometry.same_grid``, then
        ``resample_mask``.
    :param column: ``infection`` or ``lung``: of a segmentation the segments that are this (see ``segment_meaning``)
    :raises BadMask: values that are no whole numbers in 0..255, or segments that are nothing of the kind
    :raises MaskMismatch: a picture that has not the size of the one slice it belongs to, or another patient's
    """
    path = Path(path)
    if not path.exists():
        raise PathMissing("no such mask", where=path)
    segmentation = _segmentation(path, limits)
    if segmentation is not None:
        from triplenet.scan.segmentation import read_segmentation

        labels, geometry, notes = read_segmentation(segmentation, like, limits, column=column)
    else:
        stored, geometry = _stored(path, like, limits)
        labels, notes = _labels(stored, path), ()
    if like is None or geometry is like:
        return Mask(labels, geometry, notes)
    if geometry.same_grid(like):
        return Mask(labels, like, notes)
    laid = lay_on(labels, geometry, like)
    return Mask(labels, geometry, notes) if laid is None else Mask(laid[0], like, (*notes, *laid[1]))


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


def _segmentation(path: Path, limits: Limits) -> Path | None:
    """The DICOM file that a path means: itself, with or without preamble, or the only one of a folder."""
    if path.is_file():
        return path if not _has_volume_suffix(path) and read_header(_entry(path), limits) is not None else None
    files = [entry.path for entry in list_files(path, limits).entries if read_header(entry, limits) is not None]
    if len(files) != 1:
        what = "no DICOM Segmentation" if not files else f"{len(files)} DICOM files"
        raise BadMask(f"a folder with {what}", where=path, do="name the file of the mask")
    return files[0]


def _has_volume_suffix(path: Path) -> bool:
    from triplenet.scan import metaimage, nrrd, picture

    return path.name.lower().endswith((".nii", ".nii.gz")) or path.suffix.lower() in {
        *metaimage.SUFFIXES,
        *nrrd.SUFFIXES,
        *picture.SUFFIXES,
    }


def _entry(path: Path) -> Entry:
    return Entry(path.name, path, path.stat().st_size)


def _stored(path: Path, like: Geometry | None, limits: Limits) -> tuple[npt.NDArray[Any], Geometry]:
    from triplenet.scan import metaimage, nrrd, picture

    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        from triplenet.scan.hounsfield import Rescale
        from triplenet.scan.nifti import NiftiHeader

        header = NiftiHeader(path, limits)
        stored: npt.NDArray[Any] = header.load()
        if header.rescale != Rescale():
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is no label
                stored = stored * header.rescale.slope + header.rescale.intercept
        return stored, header.geometry
    if path.suffix.lower() in metaimage.SUFFIXES:
        meta = metaimage.MetaImageHeader(path, limits)
        return meta.load(), meta.geometry
    if path.suffix.lower() in nrrd.SUFFIXES:
        raster = nrrd.NrrdHeader(path, limits)
        return raster.load(), raster.geometry
    if path.suffix.lower() in picture.SUFFIXES:
        drawn = picture.read_image(path, limits)[None]
        if like is None:
            return drawn, Geometry(drawn.shape, _NO_GEOMETRY)
        if drawn.shape != like.shape:
            raise MaskMismatch(f"a mask of {drawn.shape[1:]} pixels for a scan of {like.shape}", where=path)
        return drawn, like
    raise BadMask("not a mask in a known format", where=path, do="give NIfTI, NRRD, MetaImage, PNG or DICOM SEG")


def _labels(stored: npt.NDArray[Any], path: Path) -> MaskArray:
    if stored.dtype == np.uint8:
        return np.ascontiguousarray(stored)
    if stored.size and not (stored.min() >= -_WHOLE and stored.max() <= 255 + _WHOLE):
        raise BadMask("mask values must lie in 0..255", where=path)  # NaN ends here too
    labels = np.rint(stored).astype(np.uint8) if stored.dtype.kind == "f" else stored.astype(np.uint8)
    # Scaled integers come back as 1.00000006.
    if stored.dtype.kind == "f" and np.abs(stored - labels).max(initial=0.0) > _WHOLE:
        raise BadMask("mask values must be whole numbers", where=path)
    return np.ascontiguousarray(labels)
