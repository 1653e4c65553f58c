"""What inference says of one scan, as part of a page."""

from __future__ import annotations

from triplenet import catalog
from triplenet.explanation.map_scores import THRESHOLD
from triplenet.explanation.panel import Tile
from triplenet.inference import Record, Result
from triplenet.outputs.overlay_png import GIVEN, picture_of
from triplenet.report.components import (
    decimal,
    heat_scale,
    outline_key,
    pairs,
    paragraph,
    percent,
    probability_bars,
    tile_figure,
)
from triplenet.report.markup import Markup, element, join
from triplenet.report.page import Section, section


def result_body(result: Result, *, truth: str | None = None) -> Markup:
    """The answer, the two pictures, the numbers and the warnings.

    :param truth: the class the patient is known to have
    """
    record = result.record
    shown = picture_of(result)
    return join(
        _answer(record, truth),
        [element("div", element("p", text), class_="notice", role="note") for text in record.warnings],
        heat_scale([join(record.explanation.note, " ", outline_key(GIVEN) if shown.has_outline else None)]),
        element(
            "div",
            tile_figure(
                Tile(shown.outlined, title="Input slice"), f"Slice {_position(record)}, windowed as the model reads it"
            ),
            tile_figure(
                Tile(shown.hot, title=record.explanation.title),
                f"The same slice with its heat map: {record.explanation.title}",
            ),
            class_="looks large",
        ),
        pairs(_numbers(record), "About this result"),
    )


def new_scan(result: Result, *, finding: str | None = None, truth: str | None = None) -> Section:
    """A scan of none of a page's patients, as a section of that page.

    :param finding: that it was made with, and the class that this is
    """
    record = result.record
    method = catalog.method(record.model.method).title
    what = "" if finding is None else f" It was made as {finding}, which the model was not told."
    intro = paragraph(
        f"A scan of none of the patients above, given to the {method} model with triplenet predict; the slice was "
        f"chosen by: {record.slice.rule}.{what}"
    )
    return section("new-scan", "A new scan", intro, result_body(result, truth=truth))


def _answer(record: Record, truth: str | None) -> Markup:
    likeliest = sorted(record.classes, key=lambda one: -one.probability)
    known = f" The scan is truly {truth}." if truth is not None else ""
    return join(
        paragraph("Predicted class: ", element("strong", record.predicted), f".{known}"),
        probability_bars({one.name: one.probability for one in likeliest}),
    )


def _position(record: Record) -> str:
    here = record.slice
    return f"{here.from_feet} (0 at the feet, {here.of - 1} at the head)"


def _numbers(record: Record) -> dict[str, str]:
    here, facts, scan = record.slice, record.explanation, record.scan
    slices, rows, columns = scan.shape
    z_mm, y_mm, x_mm = scan.spacing_mm
    values = {
        "Slice": f"{_position(record)}, z = {decimal(here.z_mm, 1)} mm",
        "Chosen by": here.rule,
        "Scan": f"{scan.format}, {slices} slices of {rows} × {columns}, {z_mm:.2f} × {y_mm:.2f} × {x_mm:.2f} mm",
        "Series": scan.choice or "the only volume there is",
        "Lung": "derived by thresholds, not drawn by a reader" if here.lung_derived else "as in the mask given",
        "Heat map": f"highest {decimal(facts.max)}"
        + ("" if facts.mean_in_lung is None else f", mean in the lung {decimal(facts.mean_in_lung)}")
        + f", {decimal(facts.area_above_half_mm2 / 100, 1)} cm² at or above {THRESHOLD:g}",
    }
    against = facts.overlap
    if against is not None and against.mass_inside is not None:
        values["Inside the infection mask"] = f"{percent(against.mass_inside)} of the heat map's sum"
    if scan.notes:
        values["Notes"] = "; ".join(scan.notes)
    identity = record.model.file_sha256 or record.model.tensors_sha256 or ""
    values["Model"] = f"{catalog.method(record.model.method).title}, SHA-256 {identity[:16]}…"
    return values
