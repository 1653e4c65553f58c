"""The formats of a result, each one entry: its files, what writes them, and what a result must hold for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from operator import or_
from pathlib import Path

from triplenet.errors import UnknownName
from triplenet.explanation.drawing import write_png
from triplenet.files import write_csv, write_json
from triplenet.inference import Keep
from triplenet.inference.result import Result
from triplenet.inference.seen import NOTHING
from triplenet.outputs import nifti_volumes
from triplenet.outputs.dicom_objects import import_highdicom
from triplenet.outputs.overlay_png import sheet
from triplenet.outputs.summary import Summary

RESULT, LINE, OVERLAY = "result.json", "result.csv", "overlay.png"
_SEGMENTS, _INSTANCES, _SHOWN = Keep(segments=True), Keep(instances=True), Keep(shown=True)


@dataclass(frozen=True)
class OutputFormat:
    """One format of a result."""

    name: str
    """As it is asked for"""
    title: str
    """What it is, a few words"""
    files: tuple[str, ...]
    """That it may write into a result's folder"""
    write: Callable[[Result, Path], None]
    """Puts its files into a new folder"""
    keep: Keep = NOTHING
    """What the result must hold"""

    @property
    def is_dicom(self) -> bool:
        """Whether it is an object that refers to the scan's DICOM instances."""
        return self.keep.instances


def _write_json(result: Result, folder: Path) -> None:
    write_json(folder / RESULT, result.record.model_dump(mode="json"))


def _write_csv(result: Result, folder: Path) -> None:
    row = Summary.of_record(result.record).row()
    write_csv(folder / LINE, [{name: cell for name, cell in row.items() if name not in ("status", "code", "reason")}])


def _write_png(result: Result, folder: Path) -> None:
    write_png(folder / OVERLAY, sheet(result))


def _by(writer: str) -> Callable[[Result, Path], None]:
    """A writer of this package, ``module.function``, imported when it writes: pydicom's codes take half a second."""
    module, _, function = writer.partition(".")

    def write(result: Result, folder: Path) -> None:
        getattr(import_module(f"triplenet.outputs.{module}"), function)(result, folder)

    return write


FORMATS: Mapping[str, OutputFormat] = {
    one.name: one
    for one in (
        OutputFormat("json", "the record", (RESULT,), _write_json),
        OutputFormat("csv", "the record in short, as a line of a table", (LINE,), _write_csv),
        OutputFormat("png", "the slice and its heat map as a picture", (OVERLAY,), _write_png),
        OutputFormat(
            "html",
            "answer, slice, maps and the whole record as one HTML page",
            ("result.html",),
            _by("result_page.write_result_page"),
        ),
        OutputFormat(
            "nifti",
            "infection, lung and the map of the slice that is shown as NIfTI",
            nifti_volumes.FILES,
            nifti_volumes.write_volumes,
            _SEGMENTS,
        ),
        OutputFormat(
            "seg",
            "infection and lung as a DICOM Segmentation",
            ("segmentation.dcm",),
            _by("dicom_segmentation.write_segmentation"),
            _SEGMENTS | _INSTANCES,
        ),
        OutputFormat(
            "pm",
            "where the model looked as DICOM Parametric Maps",
            ("explanation.dcm", "class_evidence.dcm"),
            _by("parametric_map.write_parametric_maps"),
            _INSTANCES,
        ),
        OutputFormat(
            "sc",
            "the slices with where the model looked as DICOM Secondary Captures",
            ("secondary_capture.dcm", "class_evidence_capture.dcm"),
            _by("secondary_capture.write_secondary_captures"),
            _SEGMENTS | _INSTANCES | _SHOWN,
        ),
        OutputFormat(
            "gsps",
            "the infection's outline over the scan's slices as a DICOM Presentation State",
            ("presentation_state.dcm",),
            _by("presentation_state.write_presentation_state"),
            _SEGMENTS | _INSTANCES | _SHOWN,
        ),
        OutputFormat(
            "sr",
            "class, probabilities and volumes as a DICOM Structured Report",
            ("structured_report.dcm",),
            _by("structured_report.write_structured_report"),
            _SEGMENTS | _INSTANCES,
        ),
        OutputFormat(
            "kos",
            "a DICOM Key Object Selection that names the other objects",
            ("key_objects.dcm",),
            _by("key_object_selection.write_key_object_selection"),
            _SEGMENTS | _INSTANCES,
        ),
    )
}
"""In the order in which they are written: what names other objects comes after them"""
DEFAULT = ("json", "png")


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats, each once.

    :raises UnknownName: there is none, or one that does not exist
    :raises MissingExtra: one needs a package that is not installed
    """
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("unknown output", where=repr(name), do=f"choose from {', '.join(FORMATS)}")
    if not formats:
        raise UnknownName("no output is asked for", do=f"choose from {', '.join(FORMATS)}")
    if any(FORMATS[name].is_dicom for name in formats):
        import_highdicom()
    return tuple(dict.fromkeys(formats))


def needed_by(formats: Sequence[str]) -> Keep:
    """What a result must hold for these formats: ``predict(..., keep=needed_by(["seg"]))``.

    :raises UnknownName, MissingExtra: as for ``check_formats``
    """
    return reduce(or_, (FORMATS[name].keep for name in check_formats(formats)), NOTHING)
