"""The tables of a benchmark: Tables 2 and 3 of the paper, intervals, classes, thresholds, comparisons, strata.

Methods stand in the order of ``catalog.METHODS``. Textbook definitions lead, with the positive class as the target or
as means over the classes; the columns that the paper's tables really hold stand beside them under the paper's headings
(see ``metrics.paper_columns``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from triplenet import catalog
from triplenet.evaluation.comparisons import LOWER_IS_BETTER, Comparison
from triplenet.evaluation.fold_spread import over_folds
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.metrics import Floats
from triplenet.evaluation.outside_paper import comparator_title, is_comparator
from triplenet.evaluation.predictions import OutOfFoldPredictions, counted_as_zero, run_values
from triplenet.evaluation.strata import Stratum
from triplenet.evaluation.tables import ZERO_MARK, Cell, Column, Mark, Row, Table

PAPER = "as the paper computed them"
NO_RUN: Floats = np.full(1, np.nan)
TITLES = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "npv": "NPV",
    "f1": "F",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier score",
}
_PAPER_COLUMNS = tuple(
    Column(f"paper_{name}", TITLES[name], group=PAPER) for name in ("precision", "sensitivity", "specificity", "f1")
)
TABLE2 = (
    *(
        Column(name, TITLES[name], group="positive as the target")
        for name in ("accuracy", "auc", "sensitivity", "specificity", "precision", "npv", "f1")
    ),
    *_PAPER_COLUMNS,
)
TABLE3 = (
    Column("accuracy", "accuracy"),
    Column("auc", "AUC, one against the rest"),
    *(
        Column(name, title, group="macro")
        for name, title in (
            ("sensitivity", "recall"),
            ("precision", "precision"),
            ("specificity", "specificity"),
            ("f1", "F"),
        )
    ),
    *(
        Column(f"weighted_{name}", title, group="weighted")
        for name, title in (
            ("sensitivity", "recall"),
            ("precision", "precision"),
            ("specificity", "specificity"),
            ("f1", "F"),
        )
    ),
    *_PAPER_COLUMNS,
)


def in_order(methods: Mapping[str, object]) -> list[str]:
    """Methods in the catalog's order; what is none of it, a variant, stays behind the one that it follows.

    What follows none comes last.
    """
    order = list(catalog.METHODS)
    places: dict[str, tuple[int, int]] = {}
    before = len(order)
    for number, name in enumerate(methods):
        before = order.index(name) if name in catalog.METHODS else before
        places[name] = (before, -1 if name in catalog.METHODS else number)
    return sorted(places, key=places.__getitem__)


def title_of(method: str) -> str:
    """As tables and figures call it: a variant by its name as it was given, a comparator marked as one."""
    if method in catalog.METHODS:
        return catalog.METHODS[method].title
    return comparator_title(method, title_of) if is_comparator(method) else method


def results_table(
    predictions: Mapping[str, OutOfFoldPredictions],
    positive: int | None,
    *,
    comparisons: Sequence[Comparison] = (),
    name: str | None = None,
    title: str | None = None,
) -> Table:
    """Table 2 (a binary task) or Table 3 (``positive`` None): mean and population spread over the folds.

    :param predictions: of ``predictions.join``
    :param comparisons: of ``comparisons.compare``: their verdicts are marked
    """
    columns = TABLE3 if positive is None else TABLE2
    verdicts = {(one.method, one.metric): one.verdict() for one in comparisons}
    rows = []
    for method in in_order(predictions):
        cells = _spread_cells(predictions[method], positive, [column.name for column in columns])
        cells = {name: replace(cell, mark=verdicts.get((method, name))) for name, cell in cells.items()}
        rows.append(_method_row(method, predictions[method], cells))
    notes = [spread_note(predictions)]
    if positive is None:
        notes.append("Macro: mean over the classes that have patients; weighted: by their patients.")
    if comparisons:
        notes.append(significance_note(comparisons[0].reference))
    notes += _cell_notes(rows)
    return Table(
        name or ("table3" if positive is None else "table2"),
        title or ("Classification into several classes" if positive is None else "Binary classification"),
        "method",
        columns,
        tuple(rows),
        tuple(notes),
    )


def seeds_table(
    predictions: Mapping[str, OutOfFoldPredictions],
    positive: int | None,
    metrics: Sequence[str] = ("accuracy", "auc", "f1"),
) -> Table:
    """How far runs that differ in nothing but their seed lie from each other, beside the spread over folds."""
    columns = [
        Column(f"{name}_{part}", heading, better=None, group=TITLES.get(name, name))
        for name in metrics
        for part, heading in (("folds", "over folds"), ("seeds", "over seeds"))
    ]
    rows = []
    for method in in_order(predictions):
        values = run_values(predictions[method], positive)
        cells: dict[str, Cell] = {}
        for name in metrics:
            over = over_folds(values.get(name, NO_RUN))
            cells |= {f"{name}_folds": Cell(over.spread), f"{name}_seeds": Cell(over.seed_spread)}
        rows.append(_method_row(method, predictions[method], cells))
    note = "Population spreads: of the folds' means, and root mean square over the folds of that of a fold's seeds."
    return Table("seeds", "Spread over folds and over seeds", "method", tuple(columns), tuple(rows), (note,))


def intervals_table(
    estimates: Mapping[str, Mapping[str, Estimate]],
    metrics: Sequence[str],
    *,
    predictions: Mapping[str, OutOfFoldPredictions] | None = None,
    positive: int | None = None,
    comparisons: Sequence[Comparison] = (),
    name: str = "intervals",
    title: str = "Means over the folds with 95 % intervals over patients",
) -> Table:
    """Methods with their metrics' intervals.

    :param estimates: method -> ``estimation.estimates``; empty if all its runs failed
    :param predictions: of which they are: to tell in how many folds a metric is defined
    """
    columns = tuple(_result_column(metric) for metric in metrics)
    verdicts = {(one.method, one.metric): one.verdict() for one in comparisons}
    rows = []
    for method in in_order(estimates):
        found = estimates[method]
        cells = {} if predictions is None else _spread_cells(predictions[method], positive, metrics)
        for metric in metrics:
            cells[metric] = replace(
                cells.get(metric, Cell()),
                value=found[metric].value if metric in found else np.nan,
                spread=None,
                low=found[metric].low if metric in found else None,
                high=found[metric].high if metric in found else None,
                mark=verdicts.get((method, metric)),
            )
        rows.append(Row(method, title_of(method), cells, "" if found else "failed"))
    notes = (
        NETWORKS_HELD,
        *((significance_note(comparisons[0].reference),) if comparisons else ()),
        *_cell_notes(rows),
    )
    return Table(name, title, "method", columns, tuple(rows), notes)


def class_table(
    predictions: Mapping[str, OutOfFoldPredictions],
    classes: Sequence[str],
    estimates: Mapping[str, Sequence[Mapping[str, Estimate]]] | None = None,
) -> Table:
    """Each class against the rest, a row a method and class: mean, spread over the folds, interval over patients.

    :param estimates: method -> class -> ``estimation.estimates`` with that class as the target
    """
    names = ("sensitivity", "specificity", "precision", "npv", "f1", "auc")
    columns = (
        Column("patients", "patients", unit="", scale=1, digits=0, better=None),
        *(Column(name, TITLES[name], better=None) for name in names),
    )
    rows = []
    for method in in_order(predictions):
        for c, class_name in enumerate(classes):
            between = estimates[method][c] if estimates else {}
            cells = {"patients": Cell(float((predictions[method].labels == c).sum()))}
            of_class = _spread_cells(predictions[method], c, names)
            cells |= {name: _with_interval(cell, between.get(name)) for name, cell in of_class.items()}
            rows.append(
                Row(f"{method}/{class_name}", f"{title_of(method)}, {class_name}", cells, _missing(predictions[method]))
            )
    notes = (spread_note(predictions), *((NETWORKS_HELD,) if estimates else ()), *_cell_notes(rows))
    return Table("classes", "Each class against the rest", "method and class", columns, tuple(rows), notes)


def thresholds_table(
    predictions: Mapping[str, Mapping[str, OutOfFoldPredictions]],
    positive: int,
    estimates: Mapping[str, Mapping[str, Mapping[str, Estimate]]] | None = None,
) -> Table:
    """Operating points, a row a method and rule.

    :param predictions: the rule's title -> method -> ``validation.with_thresholds``
    :param estimates: the rule's title -> method -> ``estimation.estimates`` of them
    """
    names = ("accuracy", "sensitivity", "specificity", "precision", "npv", "f1")
    columns = tuple(Column(name, TITLES[name], better=None) for name in names)
    methods = {method: found for each in predictions.values() for method, found in each.items()}
    rows = []
    for method in in_order(methods):
        for rule, each in predictions.items():
            if method not in each:
                continue
            between = estimates[rule][method] if estimates else {}
            of_rule = _spread_cells(each[method], positive, names)
            cells = {name: _with_interval(cell, between.get(name)) for name, cell in of_rule.items()}
            rows.append(Row(f"{method}/{rule}", f"{title_of(method)}, {rule}", cells, _missing(each[method])))
    notes = (
        "Thresholds are chosen by each run on its validation patients and applied to its test patients.",
        spread_note(methods),
        *((NETWORKS_HELD,) if estimates else ()),
        *_cell_notes(rows),
    )
    return Table("thresholds", "Thresholds", "method and threshold", columns, tuple(rows), notes)


def comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    """Every comparison with its difference, interval, test, p and p after Holm."""
    columns = (
        Column("difference", "difference", unit="points", better=None),
        Column("p", "p", unit="", scale=1, digits=4, better=None),
        Column("adjusted", "p after Holm", unit="", scale=1, digits=4, better=None),
        Column("test", "test", unit="", better=None),
        Column("patients", "patients", unit="", scale=1, digits=0, better=None),
    )
    rows = []
    for one in comparisons:
        cells = {
            "difference": Cell(
                one.difference.value, low=one.difference.low, high=one.difference.high, mark=one.verdict()
            ),
            "p": Cell(one.difference.p),
            "adjusted": Cell(one.adjusted),
            "test": Cell(text=one.test),
            "patients": Cell(float(one.patients)),
        }
        title = f"{title_of(one.method)} against {title_of(one.reference)}, {TITLES.get(one.metric, one.metric)}"
        rows.append(Row(f"{one.method}/{one.metric}", title, cells))
    notes = (significance_note(comparisons[0].reference),) if comparisons else ()
    return Table(
        "comparisons", "Differences with 95 % intervals over patients", "comparison", columns, tuple(rows), notes
    )


def gains_table(
    gains: Sequence[Comparison], estimates: Mapping[str, Mapping[str, Estimate]], variants: Mapping[str, str]
) -> Table:
    """What each step of a row of variants brings: a row against the row before it, on the same patients.

    :param gains: of ``comparisons.compare_pairs``, the steps in order
    :param estimates: row -> ``estimation.estimates``
    :param variants: row -> what it is, in words
    """
    metrics = list(dict.fromkeys(one.metric for one in gains))
    of_step = {(one.method, one.metric): one for one in gains}
    columns: list[Column] = []
    for metric in metrics:
        group = TITLES.get(metric, metric)
        columns += [
            Column(metric, "mean", group=group, better=None),
            Column(f"{metric}_gain", "gain over the row before", group=group, unit="points", better=None),
            Column(f"{metric}_p", "p", unit="", scale=1, digits=4, better=None, group=group),
            Column(f"{metric}_adjusted", "p after Holm", unit="", scale=1, digits=4, better=None, group=group),
        ]
    rows = []
    for name in dict.fromkeys(name for one in gains for name in (one.reference, one.method)):
        cells = {}
        for metric in metrics:
            if metric in estimates[name]:
                cells[metric] = interval_cell(estimates[name][metric])
            step = of_step.get((name, metric))
            if step is not None:
                change = step.difference
                cells[f"{metric}_gain"] = Cell(change.value, low=change.low, high=change.high, mark=step.verdict())
                cells[f"{metric}_p"], cells[f"{metric}_adjusted"] = Cell(change.p), Cell(step.adjusted)
        rows.append(Row(name, title_of(name), cells))
    notes = (
        "Gain: the row minus the row before it, paired on the test patients of the folds that both have all runs of, "
        "with 95 % intervals; a binary AUC by DeLong's test, accuracy by McNemar's with one seed and patients that "
        "stand alone (its interval is the bootstrap's), everything else by the paired bootstrap. ⁺ better, ⁻ worse "
        "with p < 0.05 after Holm's correction over the gains, for each metric by itself.",
        "; ".join(f"{name}: {variants[name]}" for name in (row.name for row in rows) if name in variants) + ".",
    )
    return Table("gains", "Gain over the row before", "method", tuple(columns), tuple(rows), notes)


def strata_table(each: Mapping[str, Sequence[Stratum]], column: str, metrics: Sequence[str]) -> Table:
    """Metrics by the values of a cohort's column: a row a value and method, the methods of a value together.

    :param each: method -> its strata
    """
    columns = (
        Column("patients", "patients", unit="", scale=1, digits=0, better=None),
        *(replace(_result_column(metric), better=None) for metric in metrics),
    )
    methods = in_order(each)
    rows = []
    for value in dict.fromkeys(stratum.value for method in methods for stratum in each[method]):
        shown = "not given" if value is None else value
        for method in methods:
            for one in each[method]:
                if one.value != value:
                    continue
                cells = {"patients": Cell(float(one.patients))}
                cells |= {metric: interval_cell(one.metrics[metric]) for metric in metrics}
                title = f"{shown}, {title_of(method)}"
                rows.append(Row(f"{method}/{shown}", title, cells, "few patients" if one.small else ""))
    note = (
        "All folds' test patients together, each with the mean probability of its seeds; 95 % intervals. AUC compares "
        "probabilities of different runs."
    )
    return Table(f"strata-{column}", f"By {column}", f"{column} and method", columns, tuple(rows), (note,))


def spread_note(predictions: Mapping[str, OutOfFoldPredictions]) -> str:
    """What stands behind the ±."""
    folds = max((len(one.fold_numbers) for one in predictions.values()), default=0)
    seeds = max((len(one.seeds) for one in predictions.values()), default=0)
    within = f", {seeds} seeds averaged within each fold" if seeds > 1 else ""
    if folds == 1:
        return f"Of one test fold{within}."
    return f"Mean ± population spread (ddof 0) over {folds} test folds{within}."


NETWORKS_HELD = (
    "95 % intervals over patients: proportions after Wilson, a binary AUC after DeLong, everything else by the "
    "bootstrap within test folds; the trained networks are held fixed and the choice of a threshold with them."
)


def significance_note(reference: str) -> str:
    """What the marks mean."""
    return (
        f"⁺ better, ⁻ worse than {title_of(reference)} with p < 0.05 after Holm's correction over the methods, for "
        "each metric by itself."
    )


def _method_row(method: str, predictions: OutOfFoldPredictions, cells: Mapping[str, Cell]) -> Row:
    remark = _missing(predictions)
    return Row(method, title_of(method), cells, remark, rated=not remark)


def _missing(predictions: OutOfFoldPredictions) -> str:
    runs = len(predictions.fold_numbers) * len(predictions.seeds)
    failed = len(predictions.failed)
    if not failed:
        return ""
    return "failed" if failed == runs else f"{failed} of {runs} runs failed"


def interval_cell(estimate: Estimate, mark: Mark | None = None) -> Cell:
    """A value with its interval."""
    return Cell(estimate.value, low=estimate.low, high=estimate.high, mark=mark)


def _spread_cells(predictions: OutOfFoldPredictions, positive: int | None, names: Sequence[str]) -> dict[str, Cell]:
    """Mean and spread over the folds of each metric, and what is to be said of it.

    :param positive: the target; None: means over the classes
    """
    values, zero = run_values(predictions, positive), counted_as_zero(predictions, positive)
    cells = {}
    for name in names:
        over = over_folds(values.get(name, NO_RUN))
        part = ""
        if over.runs and over.missing > len(predictions.failed):
            folds = len(predictions.fold_numbers)
            part = (
                f"{over.folds} of {folds} folds"
                if over.folds < folds
                else f"{over.runs} of {over.runs + over.missing} runs"
            )
        cells[name] = Cell(over.mean, over.spread, part=part, never_predicted=name in zero)
    return cells


def _cell_notes(rows: Sequence[Row]) -> list[str]:
    cells = [cell for row in rows for cell in row.cells.values()]
    notes = []
    if any(cell.never_predicted for cell in cells):
        notes.append(f"{ZERO_MARK} in some run nobody is called so although somebody should be: that counts as 0.")
    if any(cell.part for cell in cells):
        notes.append("In brackets: where a number is defined at all (somebody is so); such a number is not rated.")
    return notes


def _with_interval(cell: Cell, estimate: Estimate | None) -> Cell:
    return cell if estimate is None else replace(cell, low=estimate.low, high=estimate.high)


def _result_column(metric: str) -> Column:
    title = TITLES.get(metric, metric)
    if metric in LOWER_IS_BETTER:
        return Column(metric, title, unit="", scale=1, digits=4, better="low")
    return Column(metric, title)
