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
_ALIGNED = 0.05  # of a voxel: how far voxels may lie from those of another grid and still be the same


def read_mask(
    path: Path | str, like: Geometry | None = None, limits: Limits = DEFAULT_LIMITS, *, infection_only: bool = False
) -> tuple[MaskArray, Geometry]:
    """A mask's label values as they are in the file, (Z, Y, X) uint8, and where they lie.

    NIfTI, NRRD, MetaImage, PNG (one slice) and DICOM Segmentation.

    :param like: the scan's geometry. A mask on the same voxels in another order (flipped, other axes) is
        returned in the scan's order with the scan's geometry; a PNG takes its place from it. A mask on
        another grid is returned as it is: compare with ``Geometry.same_grid``, then ``resample_mask``.
    :param infection_only: of a segmentation whose segments are named after lung and infection, only the latter
    :raises BadMask: values that are no whole numbers in 0..255
    :raises MaskMismatch: a picture that has not the size of the one slice it belongs to
    """
    path = Path(path)
    if not path.exists():
        raise PathMissing("no such mask", where=path)
    stored, geometry = _stored(path, like, limits, infection_only)
    mask = _labels(stored, path)
    if like is None or geometry.same_grid(like):
        return mask, geometry if like is None else like
    # A segmentation leaves out empty planes; any other mask that covers a part of its scan is cut or a stranger's.
    return _reordered(mask, geometry, like, part_is_whole=_is_dicom(path))


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


def _reordered(
    mask: MaskArray, geometry: Geometry, like: Geometry, *, part_is_whole: bool
) -> tuple[MaskArray, Geometry]:
    if not like.is_even:
        return mask, geometry
    ours, theirs = reorientation(geometry), reorientation(like)
    if ours.apply_geometry(geometry).same_grid(theirs.apply_geometry(like)):
        return np.ascontiguousarray(theirs.undo(ours.apply(mask))), like
    if part_is_whole and _is_part(geometry, like):
        return resample_mask(mask, geometry, like), like
    return mask, geometry


def _is_part(geometry: Geometry, like: Geometry) -> bool:
    """Whether the voxels are some of ``like``'s, none between them: then sampling the nearest is exact."""
    inverse = np.linalg.inv(like.affine)
    ends = np.array(np.meshgrid(*[(0, n - 1, n) for n in geometry.shape], indexing="ij")).reshape(3, -1).T
    index = geometry.world(ends) @ inverse[:3, :3].T + inverse[:3, 3]
    steps = np.abs(inverse[:3, :3] @ geometry.affine[:3, :3])
    inside = index[(ends < geometry.shape).all(axis=1)]
    return bool(
        np.abs(index - np.rint(index)).max() < _ALIGNED
        and np.abs(np.sort(steps, axis=0) - [[0], [0], [1]]).max() < _ALIGNED
        and inside.min() > -0.5
        and (inside.max(axis=0) < np.array(like.shape) - 0.5).all()
    )


def _stored(
    path: Path, like: Geometry | None, limits: Limits, infection_only: bool
) -> tuple[npt.NDArray[Any], Geometry]:
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
    if path.is_file() and _is_dicom(path):
        from triplenet.scan.segmentation import read_segmentation

        return read_segmentation(path, like, limits, infection_only=infection_only)
    raise BadMask("not a mask in a known format", where=path, do="give NIfTI, NRRD, MetaImage, PNG or DICOM SEG")


def _labels(stored: npt.NDArray[Any], path: Path) -> MaskArray:
    if stored.dtype == np.uint8:
        return np.ascontiguousarray(stored)
    if stored.size and not (stored.min() >= 0 and stored.max() <= 255):
        raise BadMask("mask values must lie in 0..255", where=path)  # NaN ends here too
    labels = stored.astype(np.uint8)
    if stored.dtype.kind == "f" and not np.array_equal(labels, stored):
        raise BadMask("mask values must be whole numbers", where=path)
    return np.ascontiguousarray(labels)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
