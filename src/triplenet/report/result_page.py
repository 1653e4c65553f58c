"""What inference says of one scan, as part of a page."""

from __future__ import annotations

import numpy as np

from triplenet import catalog
from triplenet.explanation.colour import Colours
from triplenet.explanation.map_scores import THRESHOLD
from triplenet.inference import Record, Result
from triplenet.outputs.overlay_png import pictures
from triplenet.report.components import (
    decimal,
    figure,
    heat_scale,
    outline_key,
    pairs,
    paragraph,
    percent,
    probability_bars,
)
from triplenet.report.markup import Markup, element, join, picture
from triplenet.report.page import page, section


def result_body(result: Result, *, truth: str | None = None) -> Markup:
    """The answer, the two pictures, the numbers and the warnings.

    :param truth: the class the patient is known to have
    """
    record = result.record
    plain, hot = pictures(result)
    outlined = result.infection is not None and bool(result.infection.any())
    return join(
        _answer(record, truth),
        [element("div", element("p", text), class_="notice", role="note") for text in record.warnings],
        heat_scale([join(record.explanation.note, " ", outline_key("the infection mask given") if outlined else None)]),
        element(
            "div",
            _shown(plain, "Input slice", f"Slice {_position(record)}, windowed as the model reads it"),
            _shown(hot, record.explanation.title, f"The same slice with its heat map: {record.explanation.title}"),
            class_="looks large",
        ),
        pairs(_numbers(record), "About this result"),
    )


def result_page(result: Result, *, title: str = "One scan") -> str:
    """A page of its own for one result; the title must not tell whose scan it is."""
    record = result.record
    method = catalog.method(record.model.method).title
    return page(
        title,
        [section("result", "Result", result_body(result))],
        eyebrow=f"{method} · {record.model.title}",
    )


def _answer(record: Record, truth: str | None) -> Markup:
    likeliest = sorted(record.classes, key=lambda one: -one.probability)
    known = f" The scan is truly {truth}." if truth is not None else ""
    return join(
        paragraph("Predicted class: ", element("strong", record.predicted), f".{known}"),
        probability_bars({one.name: one.probability for one in likeliest}),
    )


def _shown(pixels: Colours, name: str, alt: str) -> Markup:
    return figure(picture(np.ascontiguousarray(pixels), alt), element("strong", name))


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
