"""A result as one picture: the slice, the slice with its heat maps, the answer above, how to read it below.

A map of the infection has the evidence for the class beside it.

Everything on it is in the record too, and nothing on it tells whose scan it is.
"""

from __future__ import annotations

from PIL import Image, ImageDraw

from triplenet import catalog
from triplenet.explanation.case_picture import CasePicture, draw_case, outline_note
from triplenet.explanation.drawing import (
    DARK,
    Colour,
    Theme,
    draw_colour_bar,
    font,
    printable,
    text_width,
    wrapped,
    write_line,
)
from triplenet.explanation.overlay import ABSOLUTE, Style
from triplenet.inference.result import ClassProbability, Record, Result

SIDE = 640
"""Pixels of a picture's side"""
MARGIN, GAP, BAR = 48, 32, 30
TITLE, TEXT, SMALL = 46, 22, 18
SCALE_MM = 50.0
GIVEN = "the infection mask given"
ACCENT: Colour = (240, 160, 90)


def width_of(pictures: int) -> int:
    """Pixels of the sheet's width with so many pictures beside each other."""
    return MARGIN + pictures * SIDE + (pictures - 1) * GAP + 28 + BAR + 58 + MARGIN


WIDTH = width_of(2)
"""Of a sheet with one heat map"""


def sheet(result: Result, *, style: Style = ABSOLUTE, theme: Theme = DARK) -> Image.Image:
    """The picture of a result."""
    record = result.record
    shown = picture_of(result, style)
    pictures = [(_position(record), shown.outlined), (record.explanation.title, shown.hot)]
    if shown.class_hot is not None and record.class_evidence is not None:
        pictures.append((record.class_evidence.title, shown.class_hot))
    width = width_of(len(pictures))
    notes = _notes(record, shown.has_outline)
    lines = [(line, important) for text, important in notes for line in wrapped(text, SMALL, width - 2 * MARGIN)]
    classes = sorted(record.classes, key=lambda one: -one.probability)[:4]
    head = MARGIN + max(TITLE + 2 * TEXT + 36, len(classes) * 34 + 8)
    top = head + 34 + TEXT + 12
    below = top + SIDE + 30
    step = round(1.5 * SMALL)
    canvas = Image.new("RGB", (width, below + step * len(lines) + MARGIN - 8), theme.page)
    draw = ImageDraw.Draw(canvas)
    _answer(draw, record, theme)
    _bars(draw, classes, theme, width)
    draw.line((MARGIN, head + 6, width - MARGIN, head + 6), fill=theme.rule, width=1)
    for number, (title, picture) in enumerate(pictures):
        x = MARGIN + number * (SIDE + GAP)
        write_line(draw, (x, top - TEXT - 14), title, TEXT, theme.ink)
        canvas.paste(Image.fromarray(picture), (x, top))
    _orientation(draw, (MARGIN, top))
    _scale(draw, (MARGIN, top), record, result.image.shape)
    bar = width - MARGIN - 58 - BAR
    draw_colour_bar(canvas, (bar, top, bar + BAR, top + SIDE), theme, style=style, size=TEXT)
    for number, (line, important) in enumerate(lines):
        y = below + number * step
        if important:
            draw.rectangle((MARGIN - 16, y + 3, MARGIN - 11, y + SMALL + 1), fill=ACCENT)
        write_line(draw, (MARGIN, y), line, SMALL, theme.ink if important else theme.quiet)
    return canvas


def _answer(draw: ImageDraw.ImageDraw, record: Record, theme: Theme) -> None:
    write_line(draw, (MARGIN, MARGIN - 6), "predicted class", TEXT, theme.quiet)
    write_line(draw, (MARGIN, MARGIN + TEXT + 4), record.predicted, TITLE, theme.ink)
    half = WIDTH // 2 - MARGIN
    task = wrapped(f"{catalog.method(record.model.method).title} · {record.model.title}", TEXT, half)[0]
    write_line(draw, (MARGIN, MARGIN + TEXT + TITLE + 18), task, TEXT, theme.quiet)


def _bars(draw: ImageDraw.ImageDraw, classes: list[ClassProbability], theme: Theme, width: int) -> None:
    """The probabilities, highest first, each on the scale from 0 to 1."""
    right, long = width - MARGIN, 300
    value = text_width("0.00", TEXT)
    names = max(text_width(one.name, TEXT) for one in classes)
    for number, one in enumerate(classes):
        y = MARGIN - 2 + number * 34
        start = right - value - 16 - long
        ink = theme.ink if number == 0 else theme.quiet
        # A long name keeps its beginning.
        write_line(draw, (max(start - 16 - names, width // 2), y), one.name, TEXT, ink)
        draw.rectangle((start, y + 5, start + long, y + 19), fill=theme.rule)
        if round(long * one.probability) > 0:
            draw.rectangle((start, y + 5, start + round(long * one.probability), y + 19), fill=ink)
        write_line(draw, (right - value, y), f"{one.probability:.2f}", TEXT, ink)


def _notes(record: Record, outline: bool) -> list[tuple[str, bool]]:
    """Lines below the pictures, and whether each is a warning."""
    here = record.slice
    chosen = {"given": "asked for", "only slice": "the only one"}.get(here.rule, f"chosen by: {here.rule}")
    where = f"Slice at z = {here.z_mm:.1f} mm, {chosen}."
    if outline:
        where += f" {outline_note(GIVEN)}"
    facts = record.explanation
    area = f"{facts.area_above_half_mm2 / 100:.1f} sq cm of the slice at or above 0.5"
    by = " (derived by thresholds)" if here.lung_derived else ""
    lung = "" if facts.mean_in_lung is None else f", mean {facts.mean_in_lung:.2f} in the lung{by}"
    numbers = f"Colours: {facts.quantity}, from 0 to 1. Highest {facts.max:.2f}{lung}, {area}."
    identity = (record.model.file_sha256 or record.model.tensors_sha256 or "")[:12]
    second = []
    if record.class_evidence is not None:
        evidence = record.class_evidence
        lung = "" if evidence.mean_in_lung is None else f", mean {evidence.mean_in_lung:.2f} in the lung"
        second = [f"{evidence.title}: {evidence.quantity}, in the same colours. Highest {evidence.max:.2f}{lung}."]
        second.append(evidence.note)
    made = f"triplenet {record.versions.get('triplenet', '')}, model {identity}. {record.intended_use}"
    warned = [(text, True) for text in record.warnings]
    series = [(f"Series: {record.scan.choice}.", False)] if record.scan.choice else []
    maps = [(text, False) for text in (numbers, facts.note, *second)]
    return [*warned, *maps, (where, False), *series, (made, False)]


def _position(record: Record) -> str:
    here = record.slice
    return f"Slice {here.from_feet} (0 at the feet, {here.of - 1} at the head)"


def picture_of(result: Result, style: Style = ABSOLUTE) -> CasePicture:
    """The slice of a result, proportions in mm kept."""
    _, row_mm, column_mm = result.record.scan.spacing_mm
    return draw_case(
        result.image,
        result.heat,
        result.infection,
        side=SIDE,
        spacing_mm=(row_mm, column_mm),
        style=style,
        class_heat=result.class_heat,
    )


def _orientation(draw: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
    """As in radiology: seen from the feet, the patient's right on the left, the front above."""
    x, y = corner
    half = SIDE // 2
    for letter, at, anchor in (
        ("R", (x + 12, y + half), "lm"),
        ("L", (x + SIDE - 12, y + half), "rm"),
        ("A", (x + half, y + 10), "ma"),
        ("P", (x + half, y + SIDE - 10), "md"),
    ):
        draw.text(at, letter, font=font(TEXT), fill=DARK.ink, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _scale(draw: ImageDraw.ImageDraw, corner: tuple[int, int], record: Record, shape: tuple[int, ...]) -> None:
    """A bar of 50 mm, where it is not longer than the picture."""
    _, row_mm, column_mm = record.scan.spacing_mm
    long = round(SCALE_MM * SIDE / max(shape[0] * row_mm, shape[1] * column_mm))
    if long > SIDE // 2:
        return
    x, y = corner[0] + 16, corner[1] + SIDE - 20
    draw.rectangle((x - 1, y - 2, x + long + 1, y + 4), fill=(0, 0, 0))
    draw.rectangle((x, y - 1, x + long, y + 3), fill=DARK.ink)
    label = printable(f"{SCALE_MM:g} mm")
    draw.text((x, y - 8), label, font=font(SMALL), fill=DARK.ink, anchor="ls", stroke_width=2, stroke_fill=(0, 0, 0))
