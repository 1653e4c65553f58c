"""Single slices saved as 8-bit pictures -> one-slice NIfTI files in approximate HU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from triplenet import scan
from triplenet.cohort.table import write_cohort
from triplenet.datasets.grey_to_hu import calibrate, calibrate_crop
from triplenet.datasets.passed_over import PassedOver
from triplenet.errors import BadDataset, BadMask, ScanError
from triplenet.files import whole_folder
from triplenet.processes import Failed, attempts
from triplenet.scan.formats import picture_format
from triplenet.scan.volume import Geometry

Pixel = TypeVar("Pixel", bound=np.generic)

#: Nobody recorded the pixel size. A picture of 512 pixels shows about 360 mm of an adult's chest.
ASSUMED_FIELD_MM = 360.0


@dataclass(frozen=True)
class Picture:
    """A slice and its masks as they lie on the disk, and where they go."""

    image: Path
    scan: Path
    """NIfTI to write"""
    infection: tuple[Path, Path] | None = None
    """mask picture, NIfTI to write"""
    lung: tuple[Path, Path] | None = None
    quarter_turns: int = 0
    """Counter-clockwise, that bring the patient upright"""
    cropped: bool = False
    """The picture shows no air around the patient, or in a window that nobody knows; the lung mask ties it to HU"""
    labels: Labels | None = None
    """What the values of the mask pictures mean; None: whatever is not 0 is marked"""


@dataclass(frozen=True)
class Labels:
    """The values of mask pictures that have several.

    :param known: every value that may occur
    """

    known: frozenset[int]
    infection: frozenset[int]
    lung: frozenset[int]
    """The infection in it included"""


def picture_geometry(shape: tuple[int, int]) -> Geometry:
    """(1, Y, X) grid of a picture with the assumed field of view; rows to the back, columns to the left."""
    pixel = ASSUMED_FIELD_MM / max(shape)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 1.0, pixel, pixel, 1.0
    return Geometry((1, *shape), affine)


def convert(picture: Picture) -> float:
    """Write one slice's NIfTI files; returns HU a grey level, which says how coarse the values are.

    :raises NotHu: the grey levels cannot be tied to HU
    """
    grey = _upright(scan.read_image(picture.image), picture)
    masks: dict[Path, npt.NDArray[np.uint8]] = {}
    for pair, wanted in ((picture.infection, "infection"), (picture.lung, "lung")):
        if pair is not None:
            labels = picture.labels
            drawn = (
                read_drawn(pair[0]) if labels is None else read_labelled(pair[0], labels.known, getattr(labels, wanted))
            )
            masks[pair[1]] = _fit(_upright(drawn, picture), grey.shape)
    if picture.cropped and picture.lung:
        lung = masks[picture.lung[1]] > 0
        infection = masks[picture.infection[1]] > 0 if picture.infection else np.zeros_like(lung)
        calibration = calibrate_crop(grey, lung & ~infection, where=picture.image)
    else:
        calibration = calibrate(grey, where=picture.image)
    geometry = picture_geometry((grey.shape[0], grey.shape[1]))
    for path in (picture.scan, *masks):
        path.parent.mkdir(parents=True, exist_ok=True)
    scan.write_nifti(picture.scan, calibration.hu(grey)[None], geometry, description=scan.APPROXIMATE)
    for path, mask in masks.items():
        scan.write_nifti(path, mask[None], geometry)
    return calibration.slope


def read_drawn(path: Path) -> npt.NDArray[np.bool_]:
    """(Y, X) bool: what a mask picture shows; of a lossy one, what is brighter than half its brightest."""
    grey = scan.read_image(path)
    kind = picture_format(path.name)
    return grey > (int(grey.max(initial=0)) // 2 if kind is not None and kind.lossy else 0)


def read_labelled(path: Path, known: frozenset[int], wanted: frozenset[int]) -> npt.NDArray[np.bool_]:
    """(Y, X) bool: where a mask picture has one of the wanted values.

    :raises BadMask: it has a value that is not known, as one that was saved with loss or in colours has
    """
    values = scan.read_image(path)
    strange = sorted(set(np.unique(values).tolist()) - known)
    if strange:
        raise BadMask(
            f"the value {strange[0]} in a mask of {min(known)} to {max(known)}", where=path, do="get the masks again"
        )
    return np.isin(values, list(wanted))


def _upright(pixels: npt.NDArray[Pixel], picture: Picture) -> npt.NDArray[Pixel]:
    return np.ascontiguousarray(np.rot90(pixels, picture.quarter_turns))


def _convert_or_refuse(picture: Picture) -> float | ScanError:
    try:
        return convert(picture)
    except ScanError as error:
        return error


def _fit(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A mask drawn at another resolution on the picture's pixels, nearest."""
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * m / n, m - 1).astype(int) for n, m in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)].astype(np.uint8)


def write_slice_cohort(
    out: Path,
    rows: Sequence[tuple[Mapping[str, str], Picture]],
    jobs: int | None,
    on_progress: Callable[[int, int], None],
    left: PassedOver,
) -> Path:
    """Convert pictures into ``out`` and write ``out/cohort.csv``, whole or not at all.

    Pictures that are damaged, end their reader or cannot be tied to HU are left out and listed in ``out/rejected.csv``.

    :param rows: cells of the table beside scan and masks, and the picture with paths inside ``out``
    :param left: what else the data set holds
    :raises BadDataset: no picture at all can be used
    """
    with whole_folder(out) as folder, ExitStack() as stack:
        pictures = [_moved(picture, out, folder) for _, picture in rows]
        table: list[Mapping[str, str]] = []
        rejected: list[Mapping[str, str]] = []
        results = stack.enter_context(closing(attempts(_convert_or_refuse, pictures, jobs)))
        for done, ((cells, picture), attempt) in enumerate(zip(rows, results, strict=True), start=1):
            on_progress(done, len(rows))
            result = attempt.error if isinstance(attempt, Failed) else attempt
            if isinstance(result, ScanError):
                file = "" if result.where is None else f": {Path(result.where).name}"
                rejected.append({"patient": cells["patient"], "code": result.code, "reason": f"{result.what}{file}"})
                continue
            paths = {"scan": picture.scan.relative_to(out).as_posix()}
            for column, pair in (("infection", picture.infection), ("lung", picture.lung)):
                if pair is not None:
                    paths[column] = pair[1].relative_to(out).as_posix()
            table.append({**paths, **cells, "hu_per_grey_level": f"{result:.1f}"})
        if not table:
            raise BadDataset(
                f"no picture can be used, the first: {rejected[0]['code']}: {rejected[0]['reason']}", where=out
            )
        write_cohort(folder / "cohort.csv", table)
        if rejected:
            write_cohort(folder / "rejected.csv", rejected)
        left.write(folder)
    return out / "cohort.csv"


def _moved(picture: Picture, old: Path, new: Path) -> Picture:
    """The same picture with what is written under another folder."""

    def moved(pair: tuple[Path, Path] | None) -> tuple[Path, Path] | None:
        return None if pair is None else (pair[0], new / pair[1].relative_to(old))

    return replace(
        picture,
        scan=new / picture.scan.relative_to(old),
        infection=moved(picture.infection),
        lung=moved(picture.lung),
    )
