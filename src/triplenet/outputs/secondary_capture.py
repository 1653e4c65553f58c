"""Slices with where the model looked as DICOM Secondary Capture: pictures for any viewer, that lie where the scan does.

What is said stands above and below the slice and its scale beside it, so that nothing hides the anatomy. Of a method
whose map is the same whatever class, the evidence for the class is a second series, on the same planes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pydicom import Dataset

from triplenet.errors import NotDicom
from triplenet.explanation.caption import class_evidence
from triplenet.explanation.case_picture import draw_case, outline_note
from triplenet.explanation.colour import Colours
from triplenet.explanation.drawing import DARK, draw_colour_bar, wrapped, write_line
from triplenet.explanation.overlay import Heat, Mask
from triplenet.inference.result import Record, Result
from triplenet.inference.shown_slices import ShownSlice, ShownSlices
from triplenet.outputs.dicom_objects import (
    RESEARCH,
    ObjectKind,
    Plane,
    arguments,
    finish,
    import_highdicom,
    instances_of,
    plane_of,
    producer,
    source_position,
    source_reference,
    thickness_mm,
    write_object,
)
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.own_grid import own_geometry
from triplenet.outputs.source_modules import put

SC = ObjectKind("sc", 3, "Where the model looked")
EVIDENCE_SC = ObjectKind("sc evidence", 7, "Evidence for the class")
FILE, EVIDENCE_FILE = FORMATS["sc"].files
READABLE = 448
"""A slice of fewer pixels on its longer side is enlarged by a whole number, so that the words fit"""
LARGE, TEXT, SMALL = 22, 14, 12
MARGIN, BAR, SCALE = 10, 14, 64
"""Pixels: around words, of the colour bar's width, and of the room beside the slice"""


@dataclass(frozen=True)
class CapturedMap:
    """One of the maps of a slice, with its words."""

    kind: ObjectKind
    file: str
    """Of the chosen slice"""
    heat: Heat
    """(Y, X) in 0..1, in canonical orientation"""
    title: str
    quantity: str
    note: str
    """How to read it"""


@dataclass(frozen=True)
class Capture:
    """One picture, and where it lies."""

    picture: Colours
    """(H, W, 3): the slice with what stands around it"""
    corner: tuple[int, int]
    """Row and column of the slice's first pixel in the picture"""
    enlarged: int
    """Pixels of the picture to one of the slice, along each side"""


def write_secondary_captures(result: Result, folder: Path) -> None:
    """Write the chosen slice, and the others beside it under their number from the feet."""
    for file, made in secondary_captures(result):
        write_object(made, folder / file)


def secondary_captures(result: Result) -> Iterator[tuple[str, Any]]:
    """The objects with the name of their file, from the feet; those of a slice follow each other.

    :raises NotDicom: the result is of no DICOM scan, or holds no slices to be shown
    :raises MissingExtra: highdicom is not installed
    """
    hd = import_highdicom()
    instances_of(result)
    numbers: Counter[str] = Counter()
    for z in shown_of(result).slices:
        shown = shown_of(result)[z]
        for one in captured_maps(result, shown):
            numbers[one.kind.name] += 1
            chosen = z == result.record.slice.from_feet
            file = one.file if chosen else one.file.replace(".dcm", f"_{z:04d}.dcm")
            yield file, _object(hd, result, shown, one, numbers[one.kind.name])


def captured_maps(result: Result, shown: ShownSlice) -> Iterator[CapturedMap]:
    """The map of a slice, and what speaks for the slice's class where the map is the same whatever class."""
    told, record = result.record.explanation, result.record
    yield CapturedMap(SC, FILE, shown.heat, told.title, told.quantity, told.note)
    if record.class_evidence is None or shown.class_heat is None:
        return
    target = record.classes[shown.class_heat.target].name
    words = class_evidence(target)
    title = words.title if target == record.predicted else f"{words.title}, the likeliest of this slice"
    yield CapturedMap(EVIDENCE_SC, EVIDENCE_FILE, shown.class_heat.heat, title, words.quantity, words.note)


def shown_of(result: Result) -> ShownSlices:
    """The slices that are shown.

    :raises NotDicom: the result holds none
    """
    if result.shown is None:
        raise NotDicom("the result does not hold the slices to be shown", do="give predict what needed_by says")
    return result.shown


def capture(result: Result, shown: ShownSlice, one: CapturedMap) -> Capture:
    """The picture of a slice and a map of it in the scan's own orientation, where its slices are axial."""
    how = result.reorientation
    image, heat, infection = shown.image, one.heat, infection_of(result, shown.from_feet)
    if how.keeps_slices:
        image, heat = how.undo(image[None])[0], how.undo(heat[None])[0]
        infection = None if infection is None else how.undo(infection[None])[0]
    rows, columns = image.shape
    factor = -(-READABLE // max(rows, columns))
    side = factor * max(rows, columns)
    drawn = draw_case(image, heat, infection, side=side)
    top, left = (side - factor * rows) // 2, (side - factor * columns) // 2
    slice_ = drawn.hot[top : top + factor * rows, left : left + factor * columns]
    return _with_words(result.record, shown.from_feet, one, slice_, factor, _outlined_by(result, infection))


def infection_of(result: Result, from_feet: int) -> Mask | None:
    """(Y, X) of a slice in canonical orientation; None where nothing told infection from lung."""
    return None if result.segments is None else np.asarray(result.segments.infection[from_feet])


def captured_plane(result: Result, from_feet: int, made: Capture) -> Plane:
    """Where a picture lies: its pixels are parts of the slice's, and its first one lies outside of the slice."""
    plane = slice_plane(result, from_feet)
    (down, right), factor = made.corner, made.enlarged
    row_mm, column_mm = (one / factor for one in plane.spacing_mm)
    cosines = np.array(plane.orientation)
    # Half a pixel of the slice up to its edge, half a pixel of the picture back.
    rows_up, columns_left = down + (factor - 1) / 2, right + (factor - 1) / 2
    first = np.array(plane.position) - columns_left * column_mm * cosines[:3] - rows_up * row_mm * cosines[3:]
    x, y, z = (round(float(value), 6) for value in first)
    return Plane((x, y, z), plane.orientation, (round(row_mm, 6), round(column_mm, 6)))


def slice_plane(result: Result, from_feet: int) -> Plane:
    """Where a slice lies: as its own header has it, where the scan's slices are axial."""
    geometry, how = own_geometry(result), result.reorientation
    if how.keeps_slices:
        z = how.undo_index(from_feet, geometry.shape[0])
        plane = plane_of(geometry, z)
        return Plane(source_position(result, z), plane.orientation, plane.spacing_mm)
    return plane_of(how.apply_geometry(geometry), from_feet)


def _object(hd: Any, result: Result, shown: ShownSlice, one: CapturedMap, number: int) -> Any:
    source, made, from_feet = instances_of(result).headers[0], capture(result, shown, one), shown.from_feet
    plane = captured_plane(result, from_feet, made)
    image = hd.sc.SCImage(
        made.picture,
        "RGB",
        8,
        hd.CoordinateSystemNames.PATIENT,
        patient_orientation=_letters(plane),
        pixel_spacing=plane.spacing_mm,
        study_instance_uid=source.StudyInstanceUID,
        **arguments(result, one.kind, number),
    )
    image.ConversionType = "WSD"
    image.BurnedInAnnotation = "YES"
    image.FrameOfReferenceUID = source.FrameOfReferenceUID
    image.PositionReferenceIndicator = source.get("PositionReferenceIndicator")
    image.ImagePositionPatient = list(plane.position)
    image.ImageOrientationPatient = list(plane.orientation)
    image.SliceThickness = thickness_mm(result)
    image.DerivationDescription = f"{one.title}. {RESEARCH}"
    image.SourceImageSequence = _sources(result, from_feet)
    for keyword in ("Laterality", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if source.get(keyword):
            put(image, keyword, source[keyword].value)
    finish(image, result, one.kind)
    return image


def _sources(result: Result, from_feet: int) -> list[Dataset]:
    """What the slice is; a slice across the scan's own is of all of them."""
    depth, how = own_geometry(result).shape[0], result.reorientation
    if how.keeps_slices:
        return [source_reference(result, how.undo_index(from_feet, depth))]
    return [source_reference(result, z) for z in range(depth)]


def _letters(plane: Plane) -> tuple[str, str]:
    """The nearest direction of the patient along a row, and along a column."""
    cosines = np.array(plane.orientation).reshape(2, 3)
    along, down = ("LPH"[at] if row[at] > 0 else "RAF"[at] for row in cosines for at in (np.abs(row).argmax(),))
    return along, down


def _outlined_by(result: Result, infection: Mask | None) -> str:
    if infection is None or not infection.any() or result.segments is None:
        return "No infection is outlined."
    return outline_note(f"infection by {result.segments.by}")


def _with_words(
    record: Record, from_feet: int, one: CapturedMap, picture: Colours, factor: int, outline: str
) -> Capture:
    """The answer above the slice, its scale beside it, and below what it is of, by what and for what."""
    high, wide = picture.shape[:2]
    width = wide + SCALE
    room = width - 2 * MARGIN
    above = [*wrapped(_probabilities(record), TEXT, room), *wrapped(one.title, TEXT, room)]
    below = [line for text in _notes(record, from_feet, one, outline) for line in wrapped(text, SMALL, room)]
    head = 2 * MARGIN + LARGE + 6 + round(1.4 * TEXT) * len(above)
    foot = 2 * MARGIN + round(1.4 * SMALL) * len(below)
    canvas = Image.new("RGB", (width, head + high + foot), DARK.page)
    draw = ImageDraw.Draw(canvas)
    write_line(draw, (MARGIN, MARGIN), f"{record.predicted} {_of(record, record.predicted):.2f}", LARGE, DARK.ink)
    for number, line in enumerate(above):
        write_line(draw, (MARGIN, MARGIN + LARGE + 6 + number * round(1.4 * TEXT)), line, TEXT, DARK.quiet)
    canvas.paste(Image.fromarray(picture), (0, head))
    left = wide + MARGIN
    draw_colour_bar(canvas, (left, head + MARGIN, left + BAR, head + high - MARGIN), DARK, size=TEXT)
    for number, line in enumerate(below):
        write_line(draw, (MARGIN, head + high + MARGIN + number * round(1.4 * SMALL)), line, SMALL, DARK.ink)
    return Capture(np.asarray(canvas), (head, 0), factor)


def _of(record: Record, name: str) -> float:
    return next(one.probability for one in record.classes if one.name == name)


def _probabilities(record: Record) -> str:
    return "of the scan: " + ", ".join(f"{one.name} {one.probability:.2f}" for one in record.classes)


def _notes(record: Record, from_feet: int, one: CapturedMap, outline: str) -> Iterator[str]:
    """Lines below the slice."""
    apart = from_feet - record.slice.from_feet
    where = "chosen" if apart == 0 else f"{abs(apart)} {'above' if apart > 0 else 'below'} the one chosen"
    yield f"Slice {from_feet} (0 at the feet, {record.slice.of - 1} at the head), {where}."
    yield outline  # a line of its own, so that all pictures of a series are of one size
    made_by = producer(record.model)
    model = f"model {made_by.model_name} {made_by.device_serial_number[:12]}"
    yield f"Colours: {one.quantity}, from 0 to 1. {one.note}"
    yield f"triplenet {made_by.software_versions[0]}, {model}."
    yield f"{RESEARCH}. {record.intended_use}"
