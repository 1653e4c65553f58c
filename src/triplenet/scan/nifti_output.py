"""NIfTI files as they are written here: (Z, Y, X) in LPS becomes (X, Y, Z) in RAS millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triplenet.errors import SeriesGap
from triplenet.files import whole_file
from triplenet.scan.volume import Geometry

APPROXIMATE = "approximate HU"
"""Written into the description of a NIfTI whose values were calibrated from a picture."""

_HEADER_BYTES = 352
"""Of a single file without extensions: the header, and four bytes that say so."""

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""(4, 4): from RAS to LPS, and back"""


def write_nifti(
    path: Path | str, array: npt.NDArray[Any], geometry: Geometry, description: str = "", *, slope: float = 1.0
) -> None:
    """Write an array (Z, Y, X) and its geometry as ``.nii`` or ``.nii.gz``, whole or not at all.

    :param description: up to 79 characters, shown by viewers; put ``APPROXIMATE`` in it where that is true
    :param slope: what a reader multiplies the stored values by
    :raises SeriesGap: the slices are not evenly spaced, which NIfTI cannot say
    """
    import nibabel as nib  # slow to load

    path = Path(path)
    if array.shape != geometry.shape:
        raise ValueError(f"array {array.shape} does not fit its geometry {geometry.shape}")
    if geometry.positions is not None:
        raise SeriesGap("NIfTI cannot hold unevenly spaced slices", where=path)
    ras = RAS_LPS @ geometry.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.ascontiguousarray(array).transpose(2, 1, 0), ras)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("latin-1", "replace")[:79]
    image.set_sform(ras, code=1)
    image.set_qform(ras if geometry.is_rectangular else None, code=1 if geometry.is_rectangular else 0)
    with whole_file(path) as part:
        if slope == 1.0:
            nib.save(image, part)
        else:
            _save_scaled(image.header, array, part, slope)


def _save_scaled(header: Any, array: npt.NDArray[Any], path: Path, slope: float) -> None:
    """As nibabel saves, but the array is what is stored: it would divide the values by the slope."""
    from nibabel.openers import ImageOpener

    header["vox_offset"] = _HEADER_BYTES
    header.set_slope_inter(slope, 0)
    with ImageOpener(str(path), "wb") as stream:
        header.write_to(stream)
        # The mark that no extension follows, which some versions of nibabel write with the header.
        stream.write(bytes(_HEADER_BYTES - stream.tell()))
        for slice_ in array:
            stream.write(np.ascontiguousarray(slice_).tobytes())
