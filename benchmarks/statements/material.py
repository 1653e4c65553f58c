"""The objects that the statements are about: one small scan and others that differ from it in one thing each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.statements.attribute_origins import Circumstance, Writings
from pydicom import Dataset
from pydicom.datadict import dictionary_VM, dictionary_VR

from outputs.dicom_results import DICOM, HEADER, enhanced_source, result_of, source
from outputs.dicom_sources import marked
from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet.inference.result import Result
from triplenet.outputs import write
from triplenet.outputs.source_modules import MODULES, TYPE_2

TIME, MODEL, OPTIONS, MASKS = "the time of writing", "the model", "the options", "masks that are given"
#: Time zones whose clocks are a day and an hour apart, at any time.
NOW, LATER = "AAA-13", "BBB+12:13:17"
#: Two values of each representation that no other attribute has.
_OF_VR: Mapping[str, tuple[Any, Any]] = {
    "DA": ("20200304", "20210506"),
    "TM": ("101112", "131415"),
    "DT": ("20200304101112", "20210506131415"),
    "AS": ("050Y", "061Y"),
    "DS": ("61.5", "72.25"),
    "FD": (1.5, 2.25),
    "US": (3, 4),
    "IS": (3, 4),
    "UI": ("1.2.3.4.5.6.1", "1.2.3.4.5.6.2"),
    "PN": ("First^Name", "Second^Name"),
    "CS": ("FIRST", "SECOND"),
}
_ENUMERATED = {
    "PatientSex": ("F", "M"),
    "PatientIdentityRemoved": ("YES", "NO"),
    "QualityControlSubject": ("NO", "YES"),
    "SpecificCharacterSet": ("ISO_IR 100", "ISO_IR 192"),
    "StudyInstanceUID": ("1.2.826.0.1.3680043.8.498.9", "1.2.826.0.1.3680043.8.498.10"),
}
_EQUIPMENT = (
    "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName",
    "InstitutionName", "InstitutionalDepartmentName",
)  # fmt: skip


def writings(folder: Path) -> Writings:
    """Of a scan whose header has every attribute of the modules that are copied, and of what differs from it.

    :param folder: an empty one, for scans and objects
    """
    hu = marked(0, 2, 5)
    plain = source(folder / "plain", hu, spacing=(3.8, 3.8), slope=0.5, intercept=-1000.0, **_header(0))
    other = [
        enhanced_source(
            folder / "other",
            marked(1, 3, size=(90, 88), depth=5),
            across=(-1, 0, 0),
            down=(0, -1, 0),
            gap_mm=5.0,
            **_header(1) | {"SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2", "origin": (181.0, 176.5, -250.5)},
        )
    ]
    unknown = source(folder / "unknown", marked(0, 2, 5), **_nothing_known())
    result = result_of(folder / "plain", model=_model())
    kept = folder / "written"
    with _zone(LATER):
        later = _written(result, plain, kept / "later")
    with _zone(NOW):
        return Writings(
            _written(result, plain, kept / "plain"),
            _written(result_of(folder / "other", model=_model()), other, kept / "other"),
            {
                TIME: later,
                MODEL: _written(result_of(folder / "plain", model=_model(other=True)), plain, kept / "model"),
                OPTIONS: _written(
                    result_of(folder / "plain", model=_model(), slice_from_feet=2, every_slice=True),
                    plain,
                    kept / "options",
                ),
                MASKS: _written(
                    result_of(folder / "plain", model=_model(), infection=hu == MARKED_HU, lung=chest()[1] > 0),
                    plain,
                    kept / "masks",
                ),
            },
            _written(result_of(folder / "unknown", model=_model()), unknown, kept / "unknown"),
        )


def without_finding(folder: Path) -> Circumstance:
    """Of a scan with nothing to be found, and so without a Segmentation of it."""
    paths = source(folder / "healthy", marked())
    return _written(result_of(folder / "healthy", model=_model()), paths, folder / "written")


def _written(result: Result, sources: list[Path], folder: Path) -> Circumstance:
    write(result, folder, DICOM)
    return Circumstance.read(sources, folder)


def _model(*, other: bool = False) -> Any:
    """A model, or another one of another method, task and hash."""
    one = marker(evidence=True, **{"task": "severity", "method": "triple-wsdl"} if other else {})
    return replace(one, card=one.card.model_copy(update={"tensors_sha256": "f" * 64})) if other else one


def _header(which: int) -> dict[str, Any]:
    keywords = [*(one for module in MODULES.values() for one in module), *_EQUIPMENT]
    told = {keyword: _value(keyword, which) for keyword in keywords}
    return HEADER | told | {
        "SpecificCharacterSet": _ENUMERATED["SpecificCharacterSet"][which],
        "FrameOfReferenceUID": f"1.2.826.0.1.3680043.8.498.7{which}",
        "PositionReferenceIndicator": ("SN", "XY")[which],
        "BodyPartExamined": ("LUNG", "THORAX")[which],
        "SeriesNumber": (4, 7)[which],
        "SeriesDescription": ("First series", "Second series")[which],
        "Laterality": ("L", "R")[which],
        "PatientPosition": ("HFS", "HFP")[which],
    }  # fmt: skip


def _nothing_known() -> dict[str, Any]:
    keywords = [*(one for module in MODULES.values() for one in module), *_EQUIPMENT, *HEADER, "BodyPartExamined"]
    needed = ("StudyInstanceUID", "FrameOfReferenceUID")
    return dict.fromkeys(one for one in (*keywords, *TYPE_2) if one not in needed)


def _value(keyword: str, which: int) -> Any:
    if keyword in _ENUMERATED:
        return _ENUMERATED[keyword][which]
    kind = dictionary_VR(keyword)
    word = ("first", "second")[which]
    if kind == "SQ":
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = f"{keyword[:12]}{which}", "99LOCAL", word
        return [item]
    value = _OF_VR[kind][which] if kind in _OF_VR else f"{word} {keyword}"[:16]
    return [value] if dictionary_VM(keyword) not in ("1", "1-n") and kind == "DA" else value


@contextmanager
def _zone(name: str) -> Iterator[None]:
    """The clock of another time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()
