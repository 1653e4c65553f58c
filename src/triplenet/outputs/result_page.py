"""A result as one HTML page that needs nothing but a browser, and as a section of another page.

The answer stands first, then the slice with its maps, then what was measured and how, and last every entry of the
record. Nothing on it tells whose scan it is, unless the record does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from triplenet import catalog
from triplenet.explanation.map_scores import THRESHOLD
from triplenet.explanation.panel import Tile
from triplenet.files import write_text
from triplenet.inference.result import Record, Result
from triplenet.outputs.output_formats import FORMATS
from triplenet.outputs.overlay_png import GIVEN, picture_of
from triplenet.pages.components import (
    decimal,
    heat_scale,
    outline_key,
    pairs,
    paragraph,
    percent,
    probability_bars,
    table,
    tile_figure,
)
from triplenet.pages.markup import Markup, element, join
from triplenet.pages.page import Section, page, section

(FILE,) = FORMATS["html"].files
SEEN_FROM = "seen from the feet: the patient's right is on the left, the front above"


def write_result_page(result: Result, folder: Path) -> None:
    """Write the page."""
    write_text(folder / FILE, result_page(result))


def result_page(result: Result) -> str:
    """The whole document."""
    record = result.record
    here = record.slice
    probability = next(one.probability for one in record.classes if one.name == record.predicted)
    chosen = "" if here.rule == "only slice" else f", chosen by: {here.rule}"
    return page(
        f"{record.predicted} {decimal(probability)}",
        [
            section("answer", "Answer", _answer(record, None), *_warnings(record)),
            section("maps", "Where the model looked", _maps(result)),
            section("numbers", "About this result", _about(record)),
            section("record", "The whole record", _whole(record)),
        ],
        eyebrow="triplenet: what a model says of one scan",
        lead=[f"By {_method(record)}, {record.model.title}. Shown is slice {_position(record)}{chosen}."],
        notice=record.intended_use,
    )


def result_body(result: Result, *, truth: str | None = None) -> Markup:
    """The answer, the slice and its maps, the numbers and the warnings.

    :param truth: the class the patient is known to have
    """
    record = result.record
    return join(
        _answer(record, truth),
        _warnings(record),
        _maps(result),
        _about(record),
    )


def new_scan(result: Result, *, finding: str | None = None, truth: str | None = None) -> Section:
    """A scan of none of a page's patients, as a section of that page.

    :param finding: that it was made with, and the class that this is
    """
    record = result.record
    what = "" if finding is None else f" It was made as {finding}, which the model was not told."
    intro = paragraph(
        f"A scan of none of the patients above, given to the {_method(record)} model with triplenet predict; the slice "
        f"was chosen by: {record.slice.rule}.{what}"
    )
    return section("new-scan", "A new scan", intro, result_body(result, truth=truth))


def _maps(result: Result) -> Markup:
    """The slice, the slice with its maps, and how these are read."""
    record, shown = result.record, picture_of(result)
    evidence = record.class_evidence
    maps = [(record.explanation.title, shown.hot)]
    if shown.class_hot is not None and evidence is not None:
        maps.append((evidence.title, shown.class_hot))
    notes = [record.explanation.note, *([] if evidence is None else [evidence.note])]
    return join(
        heat_scale([join(" ".join(notes), " ", outline_key(GIVEN) if shown.has_outline else None)]),
        element(
            "div",
            tile_figure(
                Tile(shown.outlined, (SEEN_FROM,), "Input slice"),
                f"Slice {_position(record)}, windowed as the model reads it",
            ),
            *(
                tile_figure(Tile(picture, title=title), f"The same slice with its heat map: {title}")
                for title, picture in maps
            ),
            class_="looks large",
        ),
    )


def _warnings(record: Record) -> list[Markup]:
    return [element("div", element("p", text), class_="notice", role="note") for text in record.warnings]


def _method(record: Record) -> str:
    return catalog.method(record.model.method).title


def _answer(record: Record, truth: str | None) -> Markup:
    likeliest = sorted(record.classes, key=lambda one: -one.probability)
    known = f" The scan is truly {truth}." if truth is not None else ""
    return join(
        paragraph("Predicted class: ", element("strong", record.predicted), f".{known}"),
        probability_bars({one.name: one.probability for one in likeliest}),
    )


def _about(record: Record) -> Markup:
    return join(pairs(_numbers(record), "About this result"), _best_slices(record))


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
        **_lung(record),
        "Heat map": f"highest {decimal(facts.max)}"
        + ("" if facts.mean_in_lung is None else f", mean in the lung {decimal(facts.mean_in_lung)}")
        + f", {decimal(facts.area_above_half_mm2 / 100, 1)} cm² at or above {THRESHOLD:g}",
    }
    if record.class_evidence is not None:
        evidence = record.class_evidence
        values[f"Evidence for {evidence.target}"] = f"highest {decimal(evidence.max)}" + (
            "" if evidence.mean_in_lung is None else f", mean in the lung {decimal(evidence.mean_in_lung)}"
        )
    against = facts.overlap
    if against is not None and against.mass_inside is not None:
        values["Inside the infection mask"] = f"{percent(against.mass_inside)} of the heat map's sum"
    values |= _decided(record) | _measured(record)
    if scan.notes:
        values["Notes"] = "; ".join(scan.notes)
    identity = record.model.file_sha256 or record.model.tensors_sha256 or ""
    values["Model"] = f"{_method(record)}, fold {record.model.fold}, SHA-256 {identity[:16]}…"
    values["Made with"] = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return values


def _lung(record: Record) -> dict[str, str]:
    """The lung that is drawn and measured in the slice, and that of the scan, which says whether it is a chest."""
    here, chest = record.slice, record.chest
    text = "derived by thresholds, not drawn by a reader" if here.lung_derived else "as in the mask given"
    if here.lung_mm2 is not None:
        text += f", {decimal(here.lung_mm2 / 100, 1)} cm² in this slice with its infection"
    found = {"Lung": text}
    if chest is not None:
        right, left = (decimal(ml / 1000) for ml in (chest.right_lung_ml, chest.left_lung_ml))
        largest = decimal(chest.largest_lung_mm2 / 100, 1)
        found["Lungs of the scan"] = f"{right} l right, {left} l left, at most {largest} cm² in a slice, by {chest.by}"
    return found


def _decided(record: Record) -> dict[str, str]:
    """How the scan's probabilities follow from those of its best slices."""
    told = record.decision
    if told is None or told.positive_range is None or told.positive_sd is None:
        return {}
    low, high = told.positive_range
    how = {
        "best": "as the best of them says",
        "mean": "their mean",
        "noisy-or": "their noisy-or",
        "weighted": "their mean, weighted by infection",
    }[told.aggregate]
    return {
        "Decided by": f"the {len(told.slices)} best slices, {how}; the probability of disease is {decimal(low)} to "
        f"{decimal(high)} in them, standard deviation {decimal(told.positive_sd)}"
    }


def _measured(record: Record) -> dict[str, str]:
    """How much of the lung is infected."""
    told = record.measures
    if told is None:
        return {}
    parts = []
    for name in ("both", "right", "left"):
        lung = getattr(told, name)
        text = f"{'' if name == 'both' else f'{name} '}{decimal(lung.infection_ml.estimate, 1)} ml"
        if lung.infected_share is not None:
            text += f", {percent(lung.infected_share.estimate)} of the lung"
        parts.append(text)
    both = told.both
    if both.infection_ml.low < both.infection_ml.high:
        low, high = (decimal(end, 1) for end in (both.infection_ml.low, both.infection_ml.high))
        parts[0] += f" ({low} to {high} ml, {told.slices} of {told.of} slices seen)"
    found = {"Infection": f"{'; '.join(parts)}, by {_by(told.by)}"}
    if both.high_opacity_share is not None:
        share, limit = percent(both.high_opacity_share.estimate), f"{told.high_opacity_hu:g}".replace("-", "\u2212")
        found["High opacity"] = f"{share} of the lung is infection above {limit} HU"
    return found


def _by(name: str) -> str:
    if name in catalog.METHODS:
        return f"the segmentation of {catalog.method(name).title}"
    return {"mask": "the masks given"}.get(name, name)


def _best_slices(record: Record) -> Markup:
    """What is said of each of the slices that the scan is decided by, where there are several."""
    told = record.decision
    if told is None or len(told.slices) < 2:
        return join()
    rows = []
    for one in told.slices:
        area = None if one.area_mm2 is None else one.area_mm2 / 100
        rows.append((str(one.from_feet), [_cell(area, 1), *map(_cell, one.probabilities)]))
    return table(
        ["Slice from the feet", "cm²", *(one.name for one in record.classes)],
        rows,
        label="The slices that decide",
        caption="The slices that decide, the best one first: the area by which it is, and its probabilities.",
    )


def _cell(value: float | None, places: int = 2) -> Markup:
    return element("td", decimal(value, places), class_="number")


def _whole(record: Record) -> Markup:
    """Every entry, folded up on a screen."""
    entries = dict(_entries(record.model_dump(mode="json")))
    return element(
        "details",
        element("summary", f"All {len(entries)} entries, named as in result.json"),
        pairs(entries, "The whole record"),
    )


def _entries(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of all that is no group of entries; a list of numbers or words is one."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _entries(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, one in enumerate(value):
            yield from _entries(one, f"{name}.{number}")
    else:
        several = value if isinstance(value, list) else [value]
        yield name, "; ".join(one if isinstance(one, str) else json.dumps(one) for one in several) or "–"
