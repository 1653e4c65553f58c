"""The infection's outline over the scan's own slices, as a Grayscale Softcopy Presentation State."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset

from triplenet.explanation.overlay import OUTLINE
from triplenet.inference.result import Result
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    arguments,
    finish,
    import_highdicom,
    instances_of,
    levels_of,
    plane_of,
    references,
    source_reference,
    write_object,
)
from triplenet.outputs.long_string import long_string
from triplenet.outputs.mask_outlines import outlines
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.own_grid import own_geometry
from triplenet.outputs.secondary_capture import infection_of, shown_of
from triplenet.outputs.source_modules import put

GSPS = ObjectKind("gsps", 4, "Infection outlined")
(FILE,) = FORMATS["gsps"].files
_LAYER = "INFECTION"
_DISPLAY = (
    "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
)  # fmt: skip
_Rescale = tuple[float | None, float | None, str | None]


def write_presentation_state(result: Result, folder: Path) -> None:
    """Write it; nothing where none of the slices shows any infection."""
    for number, made in enumerate(presentation_states(result), start=1):
        write_object(made, folder / (FILE if number == 1 else f"presentation_state_{number}.dcm"))


def presentation_states(result: Result) -> Iterator[Any]:
    """The objects: one, or one for the slices of each rescale, since a state has a single one.

    There is none where there is nothing to outline, or where the slices that are shown lie across the scan's own.

    :raises NotDicom: the result is of no DICOM scan, or holds no slices to be shown
    :raises MissingExtra: highdicom is not installed
    """
    hd = import_highdicom()
    instances_of(result)
    by_rescale: dict[_Rescale, dict[int, list[Any]]] = {}
    for z, lines in _lines(result):
        by_rescale.setdefault(_rescale(result, z), {})[z] = lines
    for number, (rescale, drawn) in enumerate(by_rescale.items(), start=1):
        yield _object(hd, result, number, rescale, drawn)


def _object(hd: Any, result: Result, number: int, rescale: _Rescale, drawn: dict[int, list[Any]]) -> Any:
    sources = [_without_display(one) for one in references(result)]
    headers = [sources[z if len(sources) > 1 else 0] for z in drawn]
    by = "" if result.segments is None else result.segments.by
    words = long_string(by, before="Infection by ", after=f". {RESEARCH}") if by else RESEARCH
    layer = hd.pr.GraphicLayer(
        _LAYER, order=1, description=words, display_color=hd.color.CIELabColor.from_rgb(*OUTLINE)
    )
    slope, intercept, units = rescale
    made = hd.pr.GrayscaleSoftcopyPresentationState(
        list({one.SOPInstanceUID: one for one in headers}.values()),
        content_label="INFECTION",
        content_description=words,
        modality_lut_transformation=None
        if slope is None or intercept is None
        else hd.ModalityLUTTransformation(intercept, slope, units or "US"),
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
        **arguments(result, GSPS, number),
    )
    _name_frames(made, result, list(drawn))
    for area in made.DisplayedAreaSelectionSequence:  # highdicom takes all pixels to be square
        area.PresentationPixelSpacing = list(plane_of(own_geometry(result), 0).spacing_mm)
        del area.PresentationPixelAspectRatio
    finish(made, result, GSPS)
    return made


def _without_display(header: Dataset) -> Dataset:
    """A header without windows and rescale: highdicom would copy those windows, and a reader's own would not stay."""
    plain = Dataset()
    plain.update(header)
    for keyword in _DISPLAY:
        plain.pop(keyword, None)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if keyword in plain:
            put(plain, keyword, [Dataset() for _ in plain[keyword].value])
    return plain


def _rescale(result: Result, z: int) -> _Rescale:
    """Slope, intercept and what they lead to, of a slice of the scan's own order."""
    levels = levels_of(result, z, "PixelValueTransformationSequence")
    told = next((one for one in levels if one.get("RescaleSlope") is not None), Dataset())
    slope, intercept = (
        None if told.get(name) is None else float(told[name].value) for name in ("RescaleSlope", "RescaleIntercept")
    )
    return slope, intercept, told.get("RescaleType") or None


def _lines(result: Result) -> Iterator[tuple[int, list[Any]]]:
    """The outlines on each slice of the scan's own order, among those that are shown."""
    how, depth = result.reorientation, own_geometry(result).shape[0]
    if not how.keeps_slices:
        return
    for from_feet in shown_of(result).slices:
        infection = infection_of(result, from_feet)
        if infection is not None and infection.any():
            yield how.undo_index(from_feet, depth), outlines(how.undo(infection[None])[0])


def _name_frames(made: Dataset, result: Result, slices: list[int]) -> None:
    """Of an object of several frames refer to those that something is drawn on."""
    frames = [source_reference(result, z).get("ReferencedFrameNumber") for z in slices]
    if frames[0] is not None:
        for series in made.ReferencedSeriesSequence:
            for item in series.ReferencedImageSequence:
                item.ReferencedFrameNumber = [int(frame) for frame in frames]
