"""NIfTI-1 and NIfTI-2, plain or gzipped: read slice by slice where the file allows it.

NIfTI arrays are (X, Y, Z) in RAS millimetres; here they become (Z, Y, X) in LPS.

The header's fields and its affine are nibabel's work. The voxels are not: nibabel maps a plain file, so that one which
is cut meanwhile ends the process, and unpacks a gzipped one without a limit, scaled values as floats of eight bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from triplenet.errors import BadGeometry, NotAVolume, UnreadableFile
from triplenet.scan.hounsfield import Rescale
from triplenet.scan.inflate import unpacked
from triplenet.scan.limits import DEFAULT_LIMITS, Limits
from triplenet.scan.nifti_output import APPROXIMATE, RAS_LPS
from triplenet.scan.volume import Geometry, check_affine
from triplenet.scan.volume_file import VolumeHeader
from triplenet.scan.voxels import StoredVoxels

_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 540
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # millimetres in a unit: unknown, metre, millimetre, micrometre
_UNIT = {1: "metres", 3: "micrometres"}


class NiftiHeader(VolumeHeader):
    """What a NIfTI header says, checked against the file's size."""

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(path)
        with self._opened() as file:
            self.compressed = file.read(2) == _GZIP
            file.seek(0)
            if self.compressed:
                block = b"".join(unpacked(file, "gzip", _HEADER_BYTES, limits, path))
            else:
                block = file.read(_HEADER_BYTES)
        header = _parse(block, path)
        self._header = header
        self.shape = self._volume_shape()
        offset = float(header["vox_offset"])
        if not (np.isfinite(offset) and 0 <= offset <= limits.header_bytes):
            raise UnreadableFile("the NIfTI header says the data start at an impossible place", where=path)
        start = max(int(offset), int(header.sizeof_hdr))
        x, y, z = self.shape
        if self.compressed:
            self.voxels = StoredVoxels(path, path, 0, (z, y, x), self._data_type(), "gzip", limits, skip=start)
        else:
            self.voxels = StoredVoxels(path, path, start, (z, y, x), self._data_type(), "plain", limits)
        self.rescale = self._rescale()
        self.geometry = self._geometry()
        if APPROXIMATE in bytes(header["descrip"].tobytes()).split(b"\0")[0].decode("latin-1"):
            self.notes.append("the values are approximate HU, calibrated from a picture")

    @property
    def technical(self) -> dict[str, Any]:
        """What ``Source.header`` tells of it."""
        return super().technical | {"compressed": self.compressed}

    def _volume_shape(self) -> tuple[int, int, int]:
        dim = [int(n) for n in self._header["dim"]]
        ndim = dim[0]
        if not 1 <= ndim <= 7 or any(n < 1 for n in dim[1 : ndim + 1]):
            raise UnreadableFile(f"impossible NIfTI dimensions {dim}", where=self.path)
        x, y, z, *more = ([*dim[1 : ndim + 1], 1, 1])[: max(ndim, 3)]
        if any(n > 1 for n in more):
            raise NotAVolume(
                f"{' x '.join(map(str, dim[1 : ndim + 1]))} voxels is not one volume",
                where=self.path,
                do="give one volume a file",
            )
        return x, y, z

    def _data_type(self) -> np.dtype[Any]:
        try:
            dtype = self._header.get_data_dtype()
        except (HeaderDataError, KeyError):
            dtype = np.dtype("V")
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise NotAVolume(f"NIfTI data of type {dtype} are not a grey volume", where=self.path)
        grey: np.dtype[Any] = np.dtype(dtype)
        return grey

    def _rescale(self) -> Rescale:
        slope, intercept = float(self._header["scl_slope"]), float(self._header["scl_inter"])
        if not np.isfinite(slope) or slope == 0.0:  # the standard's way to say that there is no scaling
            return Rescale()
        if not np.isfinite(intercept):
            raise UnreadableFile("the NIfTI intercept is not a number", where=self.path)
        return Rescale(slope, intercept)

    def _geometry(self) -> Geometry:
        header = self._header
        unit = int(header["xyzt_units"]) & 7
        if unit not in _MM:
            raise BadGeometry(f"unknown NIfTI unit of length {unit}", where=self.path)
        try:
            ras = np.array(header.get_best_affine(), np.float64)
        except (HeaderDataError, ValueError) as error:
            raise BadGeometry(f"no usable NIfTI orientation ({error})", where=self.path) from None
        if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
            self.notes.append("the NIfTI file states no orientation: rows, columns and sides are assumed")
        elif int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0 and self._disagree(ras):
            self.notes.append("the NIfTI file states two orientations that disagree: the sform is used")
        if unit in _UNIT:
            self.notes.append(f"lengths were given in {_UNIT[unit]} and are taken as such")
        with np.errstate(all="ignore"):  # what is not finite is refused below
            ras[:3] *= _MM[unit]
            affine = (RAS_LPS @ ras)[:, [2, 1, 0, 3]]
        check_affine(affine, self.path)
        return Geometry((self.shape[2], self.shape[1], self.shape[0]), affine)

    def _disagree(self, sform: npt.NDArray[np.float64]) -> bool:
        """Whether the qform puts a corner of the volume a voxel or more away from where the sform does."""
        try:
            qform = np.array(self._header.get_qform(), np.float64)
        except (HeaderDataError, ValueError):
            return True
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], [1], indexing="ij")).reshape(4, -1)
        off = np.linalg.norm(((qform - sform) @ corners)[:3], axis=0).max()
        return not off < np.linalg.norm(sform[:3, :3], axis=0).min()


def _parse(block: bytes, path: Path) -> Any:
    """The nibabel header in the first bytes of a file."""
    kinds: Any = ((nib.Nifti1Header, 344), (nib.Nifti2Header, 4))
    for kind, at in kinds:
        magic = block[at : at + 3]
        if magic not in (b"n+1", b"n+2"):
            if magic in (b"ni1", b"ni2"):
                raise UnreadableFile(
                    "a NIfTI pair (.hdr and .img) is not read", where=path, do="convert it to one .nii file"
                )
            continue
        size = 348 if kind is nib.Nifti1Header else 540
        try:
            return kind(block[:size], check=False)
        except (WrapStructError, HeaderDataError, ValueError, struct.error) as error:
            raise UnreadableFile(f"damaged NIfTI header ({error})", where=path) from None
    raise UnreadableFile("not a NIfTI file", where=path)
