"""The infection's outline over the scan's own slices, as a Grayscale Softcopy Presentation State."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset

from triplenet.inference.result import Result
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    arguments,
    finish,
    import_highdicom,
    instances_of,
    references,
    source_reference,
    write_object,
)
from triplenet.outputs.mask_outlines import outlines
from triplenet.outputs.own_grid import own_geometry
from triplenet.outputs.secondary_capture import infection_of, shown_of

GSPS = ObjectKind("gsps", 4, "Infection outlined")
FILE = "presentation_state.dcm"
_LAYER, _COLOUR = "INFECTION", (0, 229, 255)


def write_presentation_state(result: Result, folder: Path) -> None:
    """Write it; nothing where none of the slices shows any infection."""
    made = presentation_state(result)
    if made is not None:
        write_object(made, folder / FILE)


def presentation_state(result: Result) -> Any:
    """The object; None where there is nothing to outline, or the slices that are shown lie across the scan's own.

    :raises NotDicom: the result is of no DICOM scan, or holds no slices to be shown
    :raises MissingExtra: highdicom is not installed
    """
    hd = import_highdicom()
    instances_of(result)
    drawn = dict(_lines(result))
    if not drawn:
        return None
    sources = references(result)
    headers = [sources[z if len(sources) > 1 else 0] for z in drawn]
    layer = hd.pr.GraphicLayer(
        _LAYER, order=1, description=f"{_word(result)}. {RESEARCH}",
        display_color=hd.color.CIELabColor.from_rgb(*_COLOUR),
    )  # fmt: skip
    made = hd.pr.GrayscaleSoftcopyPresentationState(
        list({one.SOPInstanceUID: one for one in headers}.values()),
        content_label="INFECTION",
        content_description=f"{_word(result)}. {RESEARCH}",
        graphic_layers=[layer],
        graphic_annotations=[
            hd.pr.GraphicAnnotation(
                [header],
                layer,
                referenced_frame_number=source_reference(result, z).get("ReferencedFrameNumber"),
                graphic_objects=[hd.pr.GraphicObject("POLYLINE", line, units="PIXEL") for line in lines],
            )
            for (z, lines), header in zip(drawn.items(), headers, strict=True)
        ],
        **arguments(result, GSPS),
    )
    made.InstanceNumber = 1
    made.pop("SoftcopyVOILUTSequence", None)  # it would take the place of the reader's own window
    _only_drawn_frames(made, result, list(drawn))
    finish(made, result, GSPS)
    return made


def _lines(result: Result) -> Iterator[tuple[int, list[Any]]]:
    """The outlines on each slice of the scan's own order, among those that are shown."""
    how, depth = result.reorientation, own_geometry(result).shape[0]
    if not how.keeps_slices:
        return
    for from_feet in shown_of(result).slices:
        infection = infection_of(result, from_feet)
        if infection is not None and infection.any():
            yield how.undo_index(from_feet, depth), outlines(how.undo(infection[None])[0])


def _word(result: Result) -> str:
    assert result.segments is not None
    return f"Infection by {result.segments.by}"


def _only_drawn_frames(made: Dataset, result: Result, slices: list[int]) -> None:
    """Of an object of several frames refer to those that something is drawn on."""
    frames = [source_reference(result, z).get("ReferencedFrameNumber") for z in slices]
    if frames[0] is None:
        return
    areas = [item for area in made.DisplayedAreaSelectionSequence for item in area.ReferencedImageSequence]
    series = [item for one in made.ReferencedSeriesSequence for item in one.ReferencedImageSequence]
    for item in (*areas, *series):
        item.ReferencedFrameNumber = [int(frame) for frame in frames]
