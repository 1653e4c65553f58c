"""The annotations that MD.ai exports: one JSON of label groups and data sets, known by its content, whatever its name.

``labelGroups`` say what the labels are called and how they are drawn; ``datasets`` hold the annotations: a label of a
study, or a drawing on an image, named by SOPInstanceUID. A drawing is ``{"vertices": [[x, y], ...]}`` of the modes
``freeform`` and ``polygon``, or of the mode ``mask`` ``{"foreground": [contour, ...], "background": [contour, ...]}``,
whose background is cut out, as MD.ai's own library (``mdai.visualize``) reads them. Its ``data`` may be null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from triplenet.datasets.contours import Vertices
from triplenet.errors import BadDataset

LARGEST = 2 << 30
"""Bytes of an export; one of 31,000 contours has some hundred million"""
_OUTLINES = ("freeform", "polygon")
_MASK = "mask"
_NOBODY = "unknown"


@dataclass(frozen=True)
class Drawing:
    """Closed contours on an image: areas, and what is cut out of them."""

    areas: tuple[Vertices, ...]
    holes: tuple[Vertices, ...] = ()


@dataclass(frozen=True)
class Annotation:
    """One label that one reader gave."""

    id: str
    label: str
    """Its name"""
    reader: str
    study: str
    """StudyInstanceUID"""
    image: str
    """SOPInstanceUID; empty for a label of the study"""
    drawing: Drawing | None
    """None: a label of the study, or an image's whose contour is not there"""
    size: tuple[int, int] | None
    """Rows and columns of the image that was drawn on, where they are said"""


class _Label(BaseModel):
    id: str
    name: str
    mode: str | None = Field(None, alias="annotationMode")


class _LabelGroup(BaseModel):
    labels: tuple[_Label, ...]


class _Annotation(BaseModel):
    id: str
    label: str = Field(alias="labelId")
    study: str = Field(alias="StudyInstanceUID")
    image: str | None = Field(None, alias="SOPInstanceUID")
    reader: str | None = Field(None, alias="createdById")
    height: int | None = None
    width: int | None = None
    data: dict[str, Any] | None = None


class _Dataset(BaseModel):
    annotations: tuple[_Annotation, ...]


class _Export(BaseModel):
    groups: tuple[_LabelGroup, ...] = Field(alias="labelGroups")
    datasets: tuple[_Dataset, ...]


def is_export(path: Path) -> bool:
    """Whether a file is such an export, by its content: JSON whose outermost object has both of its parts."""
    try:
        with path.open("rb") as file:
            if not file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
                return False
        return path.stat().st_size <= LARGEST and {"labelGroups", "datasets"} <= _loaded(path).keys()
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def read_export(path: Path) -> list[Annotation]:
    """Every annotation of an export, in its order.

    :raises BadDataset: it is damaged, a label is not among its own, or a drawing is none that is known here
    """
    try:
        export = _Export.model_validate(_loaded(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadDataset(f"not MD.ai's annotations ({place}: {first['msg']})", where=path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataset(f"not a JSON file ({type(error).__name__})", where=path) from None
    labels = {label.id: label for group in export.groups for label in group.labels}
    found: list[Annotation] = []
    for one in (one for dataset in export.datasets for one in dataset.annotations):
        if one.label not in labels:
            raise BadDataset(
                f"the annotation {one.id} has the label {one.label!r}, which no label group names", where=path
            )
        found.append(_annotation(one, labels[one.label], path))
    return found


def _loaded(path: Path) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(path.read_bytes())
    return loaded


def _annotation(one: _Annotation, label: _Label, path: Path) -> Annotation:
    """:raises BadDataset: drawn on no image, in another way than by contours, or damaged"""
    what = f"the annotation {one.id} ({label.name})"
    drawing = None
    if one.data is not None:
        if not one.image:
            raise BadDataset(f"{what} is drawn on no image", where=path)
        if label.mode not in (*_OUTLINES, _MASK):
            raise BadDataset(f"{what} is drawn as {label.mode!r}, which is no contour", where=path)
        try:
            drawing = _drawing(one.data, label.mode)
        except (KeyError, TypeError, ValueError):
            raise BadDataset(f"{what} has a damaged contour on the image {one.image}", where=path) from None
    size = None if one.height is None or one.width is None else (one.height, one.width)
    return Annotation(one.id, label.name, one.reader or _NOBODY, one.study, one.image or "", drawing, size)


def _drawing(data: Mapping[str, Any], mode: str | None) -> Drawing | None:
    """None where it encloses nothing; otherwise raises what a damaged one is stumbled over by."""
    if mode == _MASK:
        drawing = Drawing(_contours(data["foreground"] or ()), _contours(data.get("background") or ()))
    else:
        drawing = Drawing(_contours([data["vertices"]]))
    return drawing if drawing.areas else None


def _contours(vertices: Any) -> tuple[Vertices, ...]:
    """:raises ValueError: coordinates that are no finite numbers, two for each vertex"""
    found = []
    for one in vertices:
        contour = np.asarray(one, np.float64)
        if contour.size == 0:
            continue
        if contour.ndim != 2 or contour.shape[1] != 2 or not np.isfinite(contour).all():
            raise ValueError("not a contour")
        found.append(contour)
    return tuple(found)
