"""The formats that are read, each once: its name, how its files' names end, and how its header is opened.

Survey, reading, masks, inspection, kept samples and importers ask here, so that what one of them takes all do. DICOM is
known by its content, whatever a file is called: its suffix matters only where nothing is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from triplenet.scan.limits import Limits
from triplenet.scan.volume_file import VolumeHeader


@dataclass(frozen=True)
class VolumeFormat:
    """A format whose files hold one volume each, with its place.

    :param name: as in ``Source.format``
    :param suffixes: in small letters
    :param open_header: reads and checks it; the parser's own libraries are loaded only then
    :param data_suffixes: how a file is usually called that a header leads to; none where there is no such thing
    """

    name: str
    suffixes: tuple[str, ...]
    open_header: Callable[[Path, Limits], VolumeHeader]
    data_suffixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureFormat:
    """A format of single slices without a place, in grey levels.

    :param suffixes: in small letters
    :param lossy: values come back changed, next to edges most
    """

    suffixes: tuple[str, ...]
    lossy: bool = False


def _nifti(path: Path, limits: Limits) -> VolumeHeader:
    from triplenet.scan.nifti import NiftiHeader

    return NiftiHeader(path, limits)


def _nrrd(path: Path, limits: Limits) -> VolumeHeader:
    from triplenet.scan.nrrd import NrrdHeader

    return NrrdHeader(path, limits)


def _metaimage(path: Path, limits: Limits) -> VolumeHeader:
    from triplenet.scan.metaimage import MetaImageHeader

    return MetaImageHeader(path, limits)


VOLUMES = (
    VolumeFormat("nifti", (".nii.gz", ".nii"), _nifti),
    VolumeFormat("nrrd", (".nrrd", ".nhdr"), _nrrd, data_suffixes=(".raw", ".raw.gz")),
    VolumeFormat("metaimage", (".mha", ".mhd"), _metaimage, data_suffixes=(".raw", ".zraw")),
)
PICTURES = (PictureFormat((".png",)), PictureFormat((".jpg", ".jpeg"), lossy=True))

VOLUME_SUFFIXES = tuple(suffix for kind in VOLUMES for suffix in kind.suffixes)
PICTURE_SUFFIXES = tuple(suffix for kind in PICTURES for suffix in kind.suffixes)
DICOM_SUFFIXES, ARCHIVE_SUFFIXES = (".dcm",), (".zip",)


def volume_format(name: str) -> VolumeFormat | None:
    """The volume format of a file of this name."""
    return next((kind for kind in VOLUMES if name.lower().endswith(kind.suffixes)), None)


def picture_format(name: str) -> PictureFormat | None:
    """The picture format of a file of this name."""
    return next((kind for kind in PICTURES if name.lower().endswith(kind.suffixes)), None)


def without_suffix(name: str, suffixes: tuple[str, ...]) -> str | None:
    """A file's name without the longest of these suffixes that it ends with; None where it ends with none."""
    ends = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    return name[: -len(max(ends, key=len))] if ends else None
