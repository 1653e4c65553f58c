"""The objects of a result that lie in its folder already: what a report and a selection of key objects refer to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydicom import Dataset, dcmread

from triplenet.inference.result import Result
from triplenet.outputs.dicom_objects import ObjectKind, arguments, object_uid, uid

Objects = Mapping[str, Dataset]
"""Headers by the name of their file"""


def written_objects(folder: Path) -> Objects:
    """Of a result's folder, by series and number."""
    found = [(path.name, dcmread(path, stop_before_pixels=True)) for path in folder.glob("*.dcm")]
    return dict(sorted(found, key=lambda one: (int(one[1].SeriesNumber), int(one[1].InstanceNumber))))


def arguments_beside(result: Result, kind: ObjectKind, others: Objects) -> dict[str, object]:
    """As ``arguments``, of an object that refers to others: beside other ones it is another object."""
    own = object_uid(result, kind)
    return arguments(result, kind) | {"sop_instance_uid": uid(own, *(one.SOPInstanceUID for one in others.values()))}
