"""The objects of a result as a Key Object Selection: one thing to open, that names the rest and the chosen slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.sr.coding import Code

from triplenet.inference.result import Result
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    finish,
    import_highdicom,
    references,
    write_object,
)
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.own_grid import own_geometry
from triplenet.outputs.source_modules import without_modules
from triplenet.outputs.structured_report import device_context
from triplenet.outputs.written_objects import Objects, arguments_beside, written_objects

KOS = ObjectKind("kos", 5, "Key objects")
(FILE,) = FORMATS["kos"].files
TITLE = Code("113009", "DCM", "For Research")


def write_key_object_selection(result: Result, folder: Path) -> None:
    """Write it; it names the objects that lie in the folder already."""
    write_object(key_object_selection(result, written_objects(folder)), folder / FILE)


def key_object_selection(result: Result, others: Objects | None = None) -> Any:
    """The object.

    :param others: of the same result, that it names
    :raises NotDicom: the result is of no DICOM scan
    :raises MissingExtra: highdicom is not installed
    """
    hd = import_highdicom()
    told = others or {}
    named = [_chosen(result), *(without_modules(one) for one in told.values())]
    record = result.record
    probability = next(one.probability for one in record.classes if one.name == record.predicted)
    selection = hd.ko.KeyObjectSelection(
        TITLE,
        named,
        observer_device_context=device_context(hd, result),
        description=f"{record.predicted} {probability:.2f} by {record.model.method}. {RESEARCH}.",
    )
    made = hd.ko.KeyObjectSelectionDocument(named, selection, **arguments_beside(result, KOS, told))
    for item in made.ContentSequence:
        if "ReferencedSOPSequence" in item:
            del item.ConceptNameCodeSequence  # the template (TID 2010) gives a reference no purpose
    finish(made, result, KOS)
    return made


def _chosen(result: Result) -> Any:
    """The header of the chosen slice, or of the first one where that lies across the scan's own."""
    sources, how = references(result), result.reorientation
    if len(sources) == 1 or not how.keeps_slices:
        return sources[0]
    return sources[how.undo_index(result.record.slice.from_feet, own_geometry(result).shape[0])]
