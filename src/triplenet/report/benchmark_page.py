"""The page of a benchmark: what was run on what, what came out, what it is worth, every patient, how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
from PIL import Image

from triplenet.benchmark.benchmark_results import BenchmarkResults
from triplenet.benchmark.benchmark_tables import AT_TEMPERATURE, parts
from triplenet.benchmark.cautions import TABLE as CAUTIONS
from triplenet.benchmark.cautions import caution_table, leading, run_cautions, scan_cautions
from triplenet.benchmark.execution import Benchmark
from triplenet.benchmark.plan import Plan
from triplenet.catalog import INTENDED_USE, Explanation, Method
from triplenet.cohort.folds import numerical
from triplenet.evaluation.figures import Drawn
from triplenet.evaluation.map_tables import OF_MAPS
from triplenet.evaluation.map_tables import SCORES as MAP_SCORES
from triplenet.evaluation.method_tables import TITLES, title_of
from triplenet.evaluation.tables import Table
from triplenet.explanation.caption import caption
from triplenet.explanation.overlay import ABSOLUTE, OWN_MAXIMUM
from triplenet.explanation.panel import Tile
from triplenet.pages.components import (
    Fact,
    decimal,
    facts,
    heat_scale,
    paragraph,
    table,
    tile_figure,
)
from triplenet.pages.html_tables import narrower, results_markup
from triplenet.pages.markup import Markup, element, join, picture
from triplenet.pages.page import SORTING, Section, page, section
from triplenet.report.benchmark_making import making_section, runs_section

#: Of heat maps -> how it is drawn, what it is called, how to read it.
SCALES = {
    "absolute": (
        ABSOLUTE,
        "one scale for all maps, 0 to 1",
        "All heat maps have this scale, whatever an image's own maximum: a dark map found little.",
    ),
    "own-maximum": (OWN_MAXIMUM, "each map to its own maximum", OWN_MAXIMUM.note),
}

#: Tables that stand open; the others unfold.
OPEN = ("table2", "table3", "intervals", "gains")
#: Columns of a map table that have room beside each other.
MOST = 7


def benchmark_page(
    found: Benchmark,
    results: BenchmarkResults | None,
    tables: Sequence[Table] = (),
    figures: Sequence[Drawn] = (),
    *,
    command: str = "",
    identifiers: bool = False,
    seconds: float | None = None,
    eyebrow: str = "triplenet benchmark",
    notice: str = INTENDED_USE,
    more: Sequence[Section] = (),
) -> str:
    """One self-contained HTML document.

    :param results: None where every run failed
    :param command: that made it, to copy; several a line each
    :param identifiers: the patients' pseudonyms instead of their numbers in the prepared set
    :param eyebrow: what made the page, a few words
    :param notice: what must not be overlooked
    :param more: sections of their own before those that tell how it was made
    """
    sections = [_overview(found, results), *_cautions(found, results)]
    if results is not None:
        sections.append(_tables([one for one in tables if not one.name.startswith(OF_MAPS)]))
        sections += _maps([one for one in tables if one.name.startswith(OF_MAPS)])
        if figures:
            explained = [name for name in results.finished if name in found.plan.recipes]
            sections.append(_figures(figures, [(name, found.plan.catalog_method(name)) for name in explained]))
        sections.append(_patients(results, identifiers))
    sections += [*more, runs_section(found)]
    sections.append(making_section(found, command, seconds))
    return page(
        _title(found.plan),
        sections,
        eyebrow=f"{eyebrow} · {found.plan.task.title}",
        lead=_lead(found, results, figures),
        notice=notice,
        script=SORTING,
    )


def _title(plan: Plan) -> str:
    if not plan.recipes:
        return "Comparators on one cohort"
    return f"{len(plan.recipes)} methods on one cohort" if len(plan.recipes) > 1 else "One method"


def _lead(found: Benchmark, results: BenchmarkResults | None, figures: Sequence[Drawn]) -> list[str]:
    if results is None:
        return ["No run finished: there is nothing to compare."]
    best = _best(results)
    if best is None:
        lines = ["No method has an AUC in every fold."]
    else:
        lines = [_best_auc(results, best), _calibration(results, best)]
    if results.tempered:
        lines.append(AT_TEMPERATURE)
    # Accuracy and F hang on a threshold and on how many are ill: they stand in the tables, not here.
    lines += [_against(results, metric) for metric in ("auc", "brier") if results.comparisons]
    lines += [drawn.answer for drawn in figures if drawn.answer]
    if found.failures:
        lines.append(f"{len(found.failures)} of {len(found.failures) + len(found.runs)} runs failed.")
    return lines


def _best(results: BenchmarkResults) -> str | None:
    """The method of the highest mean AUC, of those whose every run finished."""
    lacking = {job.method for job in results.benchmark.failures}
    values = {
        name: found["auc"].value
        for name, found in results.estimates.items()
        if name not in lacking and "auc" in found and not np.isnan(found["auc"].value)
    }
    return max(values, key=values.__getitem__) if values else None


def _best_auc(results: BenchmarkResults, name: str) -> str:
    top = results.estimates[name]["auc"]
    return (
        f"The highest mean AUC over the test folds is {title_of(name)}'s, {decimal(top.value, 3)} "
        f"(95 % interval over patients {decimal(top.low, 3)} to {decimal(top.high, 3)})."
    )


def _calibration(results: BenchmarkResults, name: str) -> str:
    """Whether the best method's probabilities can be believed, as the networks say them."""
    found = results.calibration[name]
    slope = found.slope
    between = "" if np.isnan(slope.low) else f" (95 % interval {decimal(slope.low)} to {decimal(slope.high)})"
    line = "" if np.isnan(slope.value) else f", calibration slope {decimal(slope.value)}{between}, 1 being perfect"
    return (
        f"Its probabilities, as the networks say them: expected calibration error {decimal(found.error, 3)}, where "
        f"perfect ones stay below {decimal(found.error_by_chance, 3)} with 95 % chance{line}."
    )


def _against(results: BenchmarkResults, metric: str) -> str:
    rows = [one for one in results.comparisons if one.metric == metric]
    better = [title_of(one.method) for one in rows if one.verdict() == "better"]
    worse = [title_of(one.method) for one in rows if one.verdict() == "worse"]
    reference, name = title_of(results.reference), "the Brier score" if metric == "brier" else TITLES[metric]
    if not better and not worse:
        return f"In {name} no method differs significantly from {reference}, after Holm's correction."
    parts = [
        f"{_and(names)} {'is' if len(names) == 1 else 'are'} {word}"
        for names, word in ((better, "significantly better"), (worse, "significantly worse"))
        if names
    ]
    return f"In {name} {' and '.join(parts)} than {reference}, after Holm's correction."


def _overview(found: Benchmark, results: BenchmarkResults | None) -> Section:
    plan = found.plan
    labels = plan.prepared.labels(plan.task)
    tested = sum(len(plan.prepared.fold(number).test) for number in plan.folds)
    cards = [
        Fact(
            "Patients",
            str(len(plan.prepared)),
            f"{tested} of them tested, each by networks that never saw them; a fold of the paper's scheme tests two "
            "ninths, three together two thirds",
        ),
        Fact("Methods", str(len(plan.recipes)), _beside(plan)),
        Fact(
            "Runs",
            str(len(found.runs)),
            f"{_count(len(plan.folds), 'fold')} × {_count(len(plan.seeds), 'seed')} a method"
            + (f", {len(found.failures)} failed" if found.failures else ""),
        ),
    ]
    if results is not None:
        cards.append(Fact("Compared with", title_of(results.reference), "the reference of every test"))
    header = ["class", *(f"fold {number} {part}" for number in plan.folds for part in ("train", "val.", "test"))]
    rows = []
    for c, name in [*enumerate(plan.task.classes), (-1, "no finding")]:
        counts = [
            int((labels[plan.prepared.rows(getattr(plan.prepared.fold(number), part))] == c).sum())
            for number in plan.folds
            for part in ("train", "validation", "test")
        ]
        if c >= 0 or any(counts):
            rows.append((name, [element("td", str(count), class_="number") for count in counts]))
    return section(
        "overview",
        "What was run on what",
        facts(cards),
        table(header, rows, label="Patients by class, fold and partition", caption=_findings(found)),
    )


def _beside(plan: Plan) -> str:
    """What stands beside the methods that were trained."""
    said = [f"{_count(len(plan.comparators), 'comparator')} outside the paper beside them"] * bool(plan.comparators)
    said += [f"{len(plan.not_run)} more could not run"] * bool(plan.not_run)
    return "; ".join(said)


def _findings(found: Benchmark) -> str:
    task = found.plan.task
    made = "; ".join(
        f"{name}: {', '.join(finding for finding, c in task.findings.items() if c == name)}" for name in task.classes
    )
    target = f" Positive is {_and(list(task.positive))}." if task.positive else ""
    return f"Patients. Classes are made of the findings {made}.{target}"


def _cautions(found: Benchmark, results: BenchmarkResults | None) -> list[Section]:
    """What is true of the whole, then single runs as a table, then the scans, folded."""
    said, scans, of_runs = (
        leading(found, run_cautions(found, results)),
        scan_cautions(found),
        caution_table(found, results),
    )
    if not said and not scans and of_runs is None:
        return []
    folded = (
        element("details", element("summary", f"The scans: {len(scans)} notes"), _list(scans)) if scans else Markup("")
    )
    grid = Markup("") if of_runs is None else join(element("h3", of_runs.title), results_markup(of_runs))
    return [section("cautions", "Before you believe it", _list(said), grid, folded)]


def _tables(tables: Sequence[Table]) -> Section:
    shown: list[Markup] = []
    for one in tables:
        if one.name == CAUTIONS:
            continue  # it stands before the first number
        name = {
            "table2": "Results, as Table 2 of the paper",
            "table3": "Results, as Table 3 of the paper",
        }.get(one.name, one.title)
        if one.name in OPEN:
            shown.append(element("h3", name))
            shown += [results_markup(part) for part in parts(one)]
        else:
            shown.append(element("details", element("summary", name), results_markup(one)))
    intro = paragraph(
        "Textbook definitions lead. The columns under “as the paper computed them” hold what the paper's tables "
        "print under these headings, which is something else. The best of a column is bold; a method with failed runs "
        "is not rated."
    )
    return section("tables", "Tables", intro, *shown)


def _maps(tables: Sequence[Table]) -> list[Section]:
    """Against the lesions by the primary measure, which stands open; then all else."""
    shown: list[Markup] = []
    for one in tables:
        if one.name == MAP_SCORES:
            leading = tuple(column for column in one.columns if not column.group)
            others = tuple(column for column in one.columns if column.group)
            shown += [element("h3", one.title), results_markup(replace(one, columns=leading))]
            # What is remarked is about the primary measure.
            rows = tuple(replace(row, remark="") for row in one.rows)
            folded, name = replace(one, columns=others, rows=rows, notes=()), "The same maps by other measures"
        else:
            folded, name = one, one.title
        narrow = [results_markup(part) for part in narrower(folded, MOST)]
        shown.append(element("details", element("summary", name), narrow))
    if not shown:
        return []
    intro = paragraph(
        "How far the test patients' heat maps lie on their lesions, what the networks answer when the map is believed, "
        "and whether the maps depend on what was learned."
    )
    return [section("maps", "Heat maps in numbers", intro, *shown)]


def _figures(figures: Sequence[Drawn], methods: Sequence[tuple[str, Method]]) -> Section:
    shown: list[Markup] = []
    explained = False
    for one in figures:
        if not one.cases:
            words = join(element("strong", f"{one.title}. "), one.caption)
            shown.append(element("figure", _drawn(one), element("figcaption", words), class_="wide"))
            continue
        if not explained:
            shown += [*_scales(), _how_to_read(methods)]
            explained = True
        words = paragraph(one.caption, class_="quiet")
        drawn = [_case(*tiles) for tiles in zip_longest(one.cases, one.own_maximum, fillvalue=())]
        shown.append(element("div", element("h3", one.title), words, drawn))
    where = "Each is in the folder figures as PNG and SVG, with its numbers as CSV."
    if explained:
        where += (
            " Of the heat maps it holds every picture by itself, without the small errors of JPEG that those on this "
            "page have, and all of them once more in the paper's layout and colours."
        )
    return section("figures", "Figures", paragraph(where, class_="quiet"), *shown)


def _drawn(one: Drawn) -> Markup:
    """A figure as it was drawn; on a narrow screen it scrolls rather than shrinks."""
    with Image.open(one.png) as image:
        pixels = image.convert("RGB")
    return element("div", picture(pixels, one.title), class_="scroll", tabindex=0, role="region", aria_label=one.title)


def _scales() -> list[Markup]:
    """A choice between the two scales, which the page's style carries out, and the colour bar of each."""
    shown: list[Markup] = []
    for name, (style, title, _) in SCALES.items():
        identifier = f"heat-{name}"
        first = style.scale == "absolute"
        shown += [
            element("input", type="radio", name="heat-scale", id=identifier, class_="pick", checked=first),
            element("label", title, for_=identifier, class_="pick"),
        ]
    bars = [element("div", heat_scale([note], style), class_=f"by-{name}") for name, (style, _, note) in SCALES.items()]
    return [*shown, *bars]


def _case(absolute: Sequence[Tile], own_maximum: Sequence[Tile] = ()) -> Markup:
    """One patient: the slice, and each method's map on one scale or the other."""
    slice_, *maps = absolute
    who = slice_.lines[0] if slice_.lines else ""
    shown = [tile_figure(slice_, f"{slice_.title}, of {who}", jpeg=True)]
    for name, tiles in (("absolute", maps), ("own-maximum", own_maximum[1:])):
        # Without a second picture, the only one stands whatever is chosen.
        class_ = f"by-{name}" if own_maximum else None
        told = ", divided by its own maximum" if name == "own-maximum" else ""
        shown += [tile_figure(tile, f"{tile.title}{told}, of {who}", class_=class_, jpeg=True) for tile in tiles]
    return element("div", shown, class_="looks case")


def _how_to_read(methods: Sequence[tuple[str, Method]]) -> Markup:
    """What each kind of map shows, once."""
    of: dict[Explanation, list[str]] = {}
    for name, method in methods:
        of.setdefault(method.explanation, []).append(title_of(name))
    notes = [
        element("p", element("strong", f"{_and(titles)}: {caption(kind).name}."), f" {caption(kind).note}")
        for kind, titles in of.items()
    ]
    return element("details", element("summary", "How to read each kind of map"), notes)


def _patients(results: BenchmarkResults, identifiers: bool) -> Section:
    prepared = results.benchmark.plan.prepared
    number_of = {patient.patient: number for number, patient in enumerate(prepared.patients, start=1)}
    finding_of = {patient.patient: patient.finding for patient in prepared.patients}
    names = results.finished
    anyone = results.predictions[names[0]]
    said: dict[str, dict[int, tuple[int, float]]] = {}
    for name in names:
        rows, predicted, probabilities = results.predictions[name].pooled()
        shown = probabilities[:, results.positive] if results.positive is not None else probabilities.max(1)
        said[name] = {int(row): (int(c), float(p)) for row, c, p in zip(rows, predicted, shown, strict=True)}
    order = sorted(range(len(anyone.patients)), key=lambda row: numerical(anyone.patients[row]))
    head = ["patient", "fold", "finding", "class", "wrong", *map(title_of, names)]
    body = []
    for row in order:
        patient, label = anyone.patients[row], int(anyone.labels[row])
        wrong = sum(said[name][row][0] != label for name in names if row in said[name])
        body.append(
            element(
                "tr",
                element("th", patient if identifiers else str(number_of[patient]), scope="row"),
                element("td", str(int(anyone.folds[row])), class_="number"),
                element("td", finding_of[patient] or ""),
                element("td", results.classes[label]),
                element("td", str(wrong), class_="number"),
                [_answer(said[name].get(row), label, results) for name in names],
            )
        )
    what = (
        f"The probability of {results.classes[results.positive]}"
        if results.positive is not None
        else "The predicted class and its probability"
    )
    seeds = ", averaged over the seeds" if len(results.benchmark.plan.seeds) > 1 else ""
    if results.tempered:
        seeds = f" at its run's temperature{seeds}"
    who = "" if identifiers else " Patients are numbered as in the prepared set's table.csv."
    grid = element(
        "table",
        element("thead", element("tr", [element("th", text, scope="col") for text in head])),
        element("tbody", body),
        class_="sortable",
    )
    return section(
        "patients",
        "Every patient",
        paragraph(
            f"{what}{seeds}, by a network that was trained without this patient; ✓ right, ✗ wrong class. “wrong” "
            f"counts the methods that are.{who} A click on a heading sorts. All runs one by one: predictions.csv."
        ),
        element("div", grid, class_="scroll tall", tabindex=0, role="region", aria_label="Every patient's predictions"),
    )


def _answer(said: tuple[int, float] | None, label: int, results: BenchmarkResults) -> Markup:
    if said is None:
        return element("td", "–", class_="number", data_value="-1")
    predicted, probability = said
    sign = "✓" if predicted == label else "✗"
    name = "" if results.positive is not None else f"{results.classes[predicted]} "
    return element("td", f"{name}{decimal(probability)} {sign}", class_="number", data_value=f"{name}{probability:.6f}")


def _list(texts: Sequence[str]) -> Markup:
    return element("ul", [element("li", text) for text in texts], class_="cautions")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
