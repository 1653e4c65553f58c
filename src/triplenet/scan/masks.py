"""Masks: label volumes beside a scan, put onto the scan's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import BadMask, MaskMismatch, PathMissing
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.orientation import reorientation
from triplenet.scan.volume import Geometry, MaskArray

_NO_GEOMETRY = np.eye(4)


def read_mask(
    path: Path | str, like: Geometry | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[MaskArray, Geometry]:
    """A mask's label values as they are in the file, (Z, Y, X) uint8, and where they lie.

    NIfTI, NRRD, MetaImage, PNG (one slice) and, with highdicom, DICOM Segmentation.

    :param like: the scan's geometry. A mask on the same voxels in another order (flipped, other axes) is
        returned in the scan's order with the scan's geometry; a PNG takes its place from it. A mask on
        another grid is returned as it is: compare with ``Geometry.same_grid``, then ``resample_mask``.
    :raises BadMask: values that are no whole numbers in 0..255
    :raises MaskMismatch: a picture that has not the size of the one slice it belongs to
    """
    path = Path(path)
    if not path.exists():
        raise PathMissing("no such mask", where=path)
    stored, geometry = _stored(path, like, limits)
    mask = _labels(stored, path)
    if like is None or geometry.same_grid(like):
        return mask, geometry if like is None else like
    return _reordered(mask, geometry, like)


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


def _reordered(mask: MaskArray, geometry: Geometry, like: Geometry) -> tuple[MaskArray, Geometry]:
    ours, theirs = reorientation(geometry), reorientation(like)
    if like.positions is not None or not ours.apply_geometry(geometry).same_grid(theirs.apply_geometry(like)):
        return mask, geometry
    return np.ascontiguousarray(theirs.undo(ours.apply(mask))), like


def _stored(path: Path, like: Geometry | None, limits: Limits) -> tuple[npt.NDArray[Any], Geometry]:
    from triplenet.scan import itk_image, picture

    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        from triplenet.scan.hounsfield import Rescale
        from triplenet.scan.nifti import NiftiHeader

        header = NiftiHeader(path, limits)
        stored: npt.NDArray[Any] = header.load()
        if header.rescale != Rescale():
            stored = stored * header.rescale.slope + header.rescale.intercept
        return stored, header.geometry
    if path.suffix.lower() in itk_image.FORMATS:
        itk = itk_image.ItkHeader(path, limits)
        return itk.load(), itk.geometry
    if path.suffix.lower() in picture.SUFFIXES:
        drawn = picture.read_image(path, limits)[None]
        if like is None:
            return drawn, Geometry(drawn.shape, _NO_GEOMETRY)
        if drawn.shape != like.shape:
            raise MaskMismatch(f"a mask of {drawn.shape[1:]} pixels for a scan of {like.shape}", where=path)
        return drawn, like
    raise BadMask("not a mask in a known format", where=path, do="give NIfTI, NRRD, MetaImage or PNG")


def _labels(stored: npt.NDArray[Any], path: Path) -> MaskArray:
    if stored.dtype == np.uint8:
        return np.ascontiguousarray(stored)
    if stored.size and not (stored.min() >= 0 and stored.max() <= 255):
        raise BadMask("mask values must lie in 0..255", where=path)  # NaN ends here too
    labels = stored.astype(np.uint8)
    if stored.dtype.kind == "f" and not np.array_equal(labels, stored):
        raise BadMask("mask values must be whole numbers", where=path)
    return np.ascontiguousarray(labels)
