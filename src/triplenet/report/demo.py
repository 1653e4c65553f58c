"""The page that ``triplenet demo`` ends with: two methods, compared on patients they have not seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from triplenet import catalog
from triplenet.catalog import Task
from triplenet.explanation.caption import caption
from triplenet.explanation.colour import Colours
from triplenet.explanation.map_scores import overlap
from triplenet.explanation.overlay import Grey, Mask, enlarged, enlarged_mask, grey, outlined, overlay
from triplenet.report.charts import line_chart
from triplenet.report.components import (
    Estimate,
    Fact,
    commands,
    confusion_table,
    decimal,
    estimate_cell,
    facts,
    figure,
    heat_scale,
    interval,
    outline_key,
    pairs,
    paragraph,
    percent,
    side_by_side,
    table,
    verdict,
)
from triplenet.report.markup import Markup, element, join, picture
from triplenet.report.outcome import METRICS, Case, Demo, Look, MethodOutcome
from triplenet.report.page import NOT_A_DEVICE, Section, page, section
from triplenet.report.result_page import result_body

SIDE = 384
"""Pixels of a patient's picture"""


def demo_page(demo: Demo) -> str:
    """One self-contained HTML document."""
    sections = [_brief(demo), _metrics(demo), *_curves(demo), *_cases(demo), *_new_scan(demo), _making(demo)]
    return page(
        "Does it look where the disease is?",
        sections,
        eyebrow="triplenet demo: " + " and ".join(one.title for one in demo.methods) + " on synthetic patients",
        lead=_lead(demo),
        notice=f"{NOT_A_DEVICE} Every scan on this page is synthetic: it shows that the software works, and says "
        "nothing about patients.",
    )


def _lead(demo: Demo) -> list[str]:
    tested = demo.methods[0].tested
    first, *others = demo.methods
    counts = [f"{first.title} put {first.right} into the right class", *(f"{one.title} {one.right}" for one in others)]
    answer = f"Of {tested} synthetic patients that no method had seen, {', '.join(counts)}."
    looked = [
        f"{percent(one.inside.value)} of {one.title}'s {caption(catalog.method(one.name).explanation).name}"
        for one in demo.methods
        if one.inside is not None and one.inside.value is not None
    ]
    where = f"Inside the true lesions lay, on average, {' and '.join(looked)}." if looked else ""
    return [answer, *([where] if where else []), _caution(demo)]


def _caution(demo: Demo) -> str:
    """How much the comparison can bear, from the intervals themselves."""
    once = "One small cohort, one fold and one random seed cannot rank two methods."
    ranges = [
        (estimate.low, estimate.high)
        for one in demo.methods
        if (estimate := one.metrics.get("accuracy")) and estimate.low is not None and estimate.high is not None
    ]
    if len(ranges) < 2:
        return once
    overlapping = max(low for low, _ in ranges) <= min(high for _, high in ranges)
    return (
        f"The intervals of the accuracies overlap, so the difference may be chance. {once}"
        if overlapping
        else f"The intervals of the accuracies do not overlap. Even so: {once[0].lower()}{once[1:]}"
    )


def _brief(demo: Demo) -> Section:
    cards = []
    for one in demo.methods:
        accuracy = one.metrics.get("accuracy", Estimate(None))
        between = interval(accuracy)
        note = f"{one.right} of {one.tested} patients" + (f", interval {between}" if between else "")
        cards.append(Fact(f"Accuracy, {one.title}", decimal(accuracy.value), note))
    for one in demo.methods:
        if one.inside is not None:
            name = caption(catalog.method(one.name).explanation).name
            hits = "" if one.pointing is None else f"hottest pixel in a lesion: {one.pointing[0]} of {one.pointing[1]}"
            cards.append(Fact(f"Inside the lesions, {one.title}", percent(one.inside.value), hits or name))
    return section("summary", "In brief", facts(cards), paragraph(_cohort(demo), class_="quiet"))


def _cohort(demo: Demo) -> str:
    made_of = ", ".join(f"{count} {name}" for name, count in demo.findings.items())
    parts = ", ".join(f"{count} for {name}" for name, count in demo.partition.items())
    took = "" if demo.seconds is None else f" The whole demo took {_duration(demo.seconds)}."
    return f"Cohort: {sum(demo.findings.values())} synthetic patients ({made_of}); {parts}.{took}"


def _metrics(demo: Demo) -> Section:
    binary = len(demo.task.classes) == 2
    target = f" The target is the class {demo.task.classes[-1]}." if binary else ""
    rows = [
        (join(name, element("small", meaning)), [estimate_cell(one.metrics.get(key)) for one in demo.methods])
        for key, name, meaning in METRICS
        if any(key in one.metrics for one in demo.methods)
    ]
    return section(
        "metrics",
        "Classification",
        table(
            ["", *(one.title for one in demo.methods)],
            rows,
            label="Metrics on the test patients",
            caption=f"Test patients, textbook definitions.{target} Under each value: {demo.intervals}.",
        ),
        side_by_side(*(confusion_table(one.confusion, demo.task.classes, one.title) for one in demo.methods)),
    )


def _curves(demo: Demo) -> Iterator[Section]:
    charts = []
    rocs = {_with_auc(one): one.roc for one in demo.methods if one.roc is not None}
    if rocs:
        charts.append(
            figure(
                line_chart(
                    rocs,
                    x_label="1 − specificity",
                    y_label="sensitivity",
                    description="ROC curves of " + " and ".join(rocs),
                    unit_square=True,
                ),
                join(element("strong", "ROC curves"), ", test patients. The dotted diagonal is chance."),
            )
        )
    for name in dict.fromkeys(name for one in demo.methods for name in one.history):
        curves = {one.title: one.history[name] for one in demo.methods if name in one.history}
        chart = line_chart(
            curves, x_label="epoch", y_label=name, description=f"{name} by epoch: {' and '.join(curves)}"
        )
        charts.append(figure(chart, join(element("strong", name[:1].upper() + name[1:]), " by epoch.")))
    if charts:
        yield section("curves", "Curves", side_by_side(*charts, three=len(charts) > 2))


def _with_auc(one: MethodOutcome) -> str:
    auc = one.metrics.get("auc")
    return one.title if auc is None or auc.value is None else f"{one.title} (AUC {decimal(auc.value)})"


def _cases(demo: Demo) -> Iterator[Section]:
    if not demo.cases:
        return
    notes: list[Markup] = []
    for one in demo.methods:
        words = caption(catalog.method(one.name).explanation)
        notes.append(join(element("strong", f"{one.title}: {words.name}."), f" {words.note}"))
    intro = paragraph(
        "Test patients: the slice each method was given, the lesion that is truly there, and what each method looked "
        "at. All heat maps have the same scale, from 0 to 1, whatever an image's own maximum: a dark map found little."
    )
    yield section(
        "looks",
        "Where they looked",
        intro,
        heat_scale(notes),
        paragraph(outline_key("the true lesion"), class_="quiet"),
        *(_case(case, demo.task) for case in demo.cases),
    )


def _case(case: Case, task: Task) -> Markup:
    shape = (SIDE, SIDE * case.image.shape[1] // case.image.shape[0])
    image = np.rint(enlarged(case.image, shape)).clip(0, 255).astype(np.uint8)
    lesion = enlarged_mask(case.infection, shape)
    title = f"{case.name}, {case.finding}"
    has = "" if lesion.any() else " (none)"
    tiles = [
        figure(picture(image, f"Input slice of {title}"), element("strong", "Input slice")),
        figure(
            picture(outlined(grey(image), lesion, width=2), f"Slice of {title} with the true lesion outlined"),
            element("strong", f"True lesion{has}"),
        ),
        *(_look(look, image, lesion, case, task) for look in case.looks),
    ]
    known = case.finding if case.finding == case.truth else f"{case.finding}, so {case.truth}"
    heading = element("h3", case.name, " ", element("span", known))
    return element("div", heading, element("div", tiles, class_="looks"), class_="case")


def _look(look: Look, image: Grey, lesion: Mask, case: Case, task: Task) -> Markup:
    method = catalog.method(look.method)
    words = caption(method.explanation, look.predicted)
    heat = enlarged(look.heat, (image.shape[0], image.shape[1]))
    shown: Colours = outlined(overlay(image, heat), lesion, width=2)
    inside = overlap(look.heat, case.infection).mass_inside
    share = "" if inside is None else f" {percent(inside)} of the map lies in the lesion."
    chance = f"probability of {' or '.join(task.positive)} {decimal(look.probability)}" if task.positive else ""
    return figure(
        picture(shown, f"{method.title}, {words.title}, over the slice of {case.name}"),
        join(
            element("strong", f"{method.title}, {words.name}"),
            element("br"),
            f"predicted {look.predicted} ",
            verdict(look.predicted == case.truth),
            element("br"),
            f"{chance}.{share}" if chance else share,
        ),
    )


def _new_scan(demo: Demo) -> Iterator[Section]:
    if demo.new_scan is None:
        return
    new = demo.new_scan
    what = "" if new.finding is None else f" It was made as {new.finding}, which the model was not told."
    intro = paragraph(
        f"A scan of none of the patients above, given to the {catalog.method(new.result.record.model.method).title} "
        "model as a DICOM folder with triplenet predict; "
        f"the slice was chosen by: {new.result.record.slice.rule}.{what}"
    )
    yield section("new-scan", "A new scan", intro, result_body(new.result, truth=new.truth))


def _making(demo: Demo) -> Section:
    values = dict(demo.settings)
    for one in demo.methods:
        if one.seconds is not None:
            values[f"Training, {one.title}"] = _duration(one.seconds)
    pieces: list[Markup] = []
    if values:
        pieces.append(pairs(values, "Settings of the demo"))
    if demo.commands:
        pieces += [paragraph("The same by hand:"), commands(demo.commands)]
    return section("making", "How it was made", *pieces)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
