"""What is judged: the objects of a result of every kind of source, and what is true of that source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from outputs.dicom_results import Array, points_of, result_of, source_pixels
from outputs.dicom_sources import HEADERS, SOURCES, axial, marked
from toy_model import MARKED_HU, marker
from triplenet.inference import Result
from triplenet.outputs import FORMATS, write

#: Slices, from the feet, that have a lesion; the higher, the larger.
LESIONS = (0, 2, 5)
#: What the toy model takes for lung, HU.
LUNG_HU = (-950, -800)


@dataclass(frozen=True)
class Kind:
    """A kind of source, and how it is asked about."""

    write: Any
    lesions: tuple[int, ...] = LESIONS
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the prediction"""
    header: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the source"""
    without: tuple[str, ...] = ()
    """Formats that cannot be written of it"""


KINDS: dict[str, Kind] = {
    **{name: Kind(one, options=options) for name, (one, options) in SOURCES.items()},
    **{f"header: {name}": Kind(axial, header=header) for name, header in HEADERS.items() if name != "plain"},
    "every slice": Kind(axial, options={"every_slice": True}),
    **{
        f"every slice, {name}": Kind(SOURCES[name][0], options={**SOURCES[name][1], "every_slice": True})
        for name in ("prone", "feet first", "tilted", "oblique", "sagittal", "enhanced")
    },
    "evidence for the class": Kind(axial, options={"model": marker(evidence=True)}),
    "finding on the first slice": Kind(axial, (0,)),
    "finding on the last slice": Kind(axial, (5,)),
    "no finding": Kind(axial, ()),
}
KINDS["uneven"] = Kind(SOURCES["uneven"][0], options=SOURCES["uneven"][1], without=("nifti",))


@dataclass(frozen=True)
class Plane:
    """A frame of the source."""

    position: Array
    """mm: of the first pixel's middle"""
    header: Any
    """With orientation and spacing"""
    hu: Array
    """(Y, X)"""

    @property
    def lesion(self) -> Array:
        """(Y, X) of what the toy model takes for infection."""
        return self.hu == MARKED_HU

    @property
    def lung(self) -> Array:
        """(Y, X) of what it takes for lung, and of the infection."""
        return (self.hu > LUNG_HU[0]) & (self.hu < LUNG_HU[1]) | self.lesion

    def points(self, mask: Array) -> Array:
        """(n, 3) mm of the pixels of a mask (Y, X)."""
        return points_of(mask, self.position, self.header)


@dataclass(frozen=True)
class Subject:
    """A source, what the toy model says of it, and the folder of what was written."""

    kind: str
    source: tuple[Path, ...]
    result: Result
    folder: Path

    @cached_property
    def planes(self) -> dict[tuple[str, int], Plane]:
        """By the instance's UID and the number of the frame."""
        return {
            (str(uid), number): Plane(position, header, hu)
            for uid, number, position, header, hu in source_pixels(self.source)
        }

    @property
    def lesions(self) -> Array:
        """(n, 3) mm of all pixels of a lesion."""
        return np.concatenate([plane.points(plane.lesion) for plane in self.planes.values()])

    @property
    def lungs(self) -> Array:
        """(n, 3) mm of all pixels of the lungs, lesions included."""
        return np.concatenate([plane.points(plane.lung) for plane in self.planes.values()])

    @property
    def largest(self) -> tuple[str, int]:
        """Instance and frame of the plane with the largest lesion."""
        return max(self.planes, key=lambda one: int(self.planes[one].lesion.sum()))

    @property
    def orientation(self) -> str:
        """How the source lies, where its name begins with what is asked of it."""
        return self.kind.removeprefix("every slice, ")

    def files(self, format_: str) -> list[Path]:
        """Those of a format, which may write several; all DICOM objects for ``dicom``."""
        if format_ == "dicom":
            return sorted(self.folder.glob("*.dcm"))
        names = FORMATS[format_].files
        numbered = {path for name in names for path in self.folder.glob(f"{Path(name).stem}_[0-9]*.dcm")}
        return sorted({self.folder / name for name in names if (self.folder / name).is_file()} | numbered)


def subject(name: str, folder: Path) -> Subject:
    """Write a source and everything that can be written of it."""
    kind = KINDS[name]
    paths = kind.write(folder / "scan", marked(*kind.lesions), **kind.header)
    result = result_of(folder / "scan", **{"any_body_part": True, **kind.options})
    write(result, folder / "out", [one for one in FORMATS if one not in kind.without])
    return Subject(name, tuple(paths), result, folder / "out")
