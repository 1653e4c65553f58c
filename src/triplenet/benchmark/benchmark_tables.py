"""The tables of a benchmark; a run that failed and a method that could not run stand in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from triplenet.benchmark.benchmark_results import BenchmarkResults
from triplenet.benchmark.cautions import caution_table
from triplenet.benchmark.execution import Benchmark
from triplenet.benchmark.plan import Plan
from triplenet.evaluation.method_tables import (
    NETWORKS_HELD,
    class_table,
    comparisons_table,
    gains_table,
    interval_cell,
    intervals_table,
    results_table,
    seeds_table,
    strata_table,
    thresholds_table,
    title_of,
)
from triplenet.evaluation.outside_paper import MARK
from triplenet.evaluation.tables import Cell, Column, Row, Table

INTERVALS = ("accuracy", "auc", "sensitivity", "specificity", "precision", "f1", "brier")
STRATA = ("accuracy", "auc", "sensitivity", "specificity")
AT_TEMPERATURE = "Probabilities are at each run's temperature, fitted on its validation patients."


def tables(results: BenchmarkResults) -> tuple[Table, ...]:
    """All that there are, Table 2 or 3 first."""
    found = [with_missing(table, results.benchmark) for table in _tables(results)]
    if results.tempered:
        found = [table if table.name == "calibration" else _noted(table, AT_TEMPERATURE) for table in found]
    return tuple(found)


def _tables(results: BenchmarkResults) -> Iterator[Table]:
    positive, predictions = results.positive, results.predictions
    yield results_table(
        predictions, positive, comparisons=results.comparisons, title=f"{results.benchmark.plan.task.title}"
    )
    yield intervals_table(
        results.estimates, INTERVALS, predictions=predictions, positive=positive, comparisons=results.comparisons
    )
    if results.comparisons:
        yield comparisons_table(results.comparisons)
    if results.gains:
        yield gains_table(
            results.gains, results.estimates, {name: one.shown for name, one in results.benchmark.plan.variants.items()}
        )
    yield class_table(predictions, results.classes, results.class_estimates)
    if positive is not None:
        called = {rule.title: results.at_thresholds(rule, positive) for rule in results.thresholds}
        between = {rule.title: found for rule, found in results.threshold_estimates.items()}
        yield thresholds_table(called, positive, between)
    yield calibration_table(results)
    if len(results.benchmark.plan.seeds) > 1:
        yield seeds_table(predictions, positive)
    for column, each in results.strata.items():
        yield strata_table(each, column, STRATA)
    against = caution_table(results.benchmark, results)
    if against is not None:
        yield against


def calibration_table(results: BenchmarkResults) -> Table:
    """Whether probabilities mean what they say, before and after temperature scaling on validation patients."""
    plain = "as the networks say"
    scaled = "at a temperature fitted on validation"
    columns = (
        Column("error", "ECE", unit="", scale=1, digits=3, better="low", group=plain),
        Column("by_chance", "ECE by chance", unit="", scale=1, digits=3, better=None, group=plain),
        Column("brier", "Brier score", unit="", scale=1, digits=3, better="low", group=plain),
        Column("slope", "slope", unit="", scale=1, better=None, group=plain),
        Column("in_the_large", "in the large", unit="", scale=1, better=None, group=plain),
        Column("temperature", "temperature", unit="", scale=1, better=None, group=scaled),
        Column("scaled_error", "ECE", unit="", scale=1, digits=3, better="low", group=scaled),
        Column("scaled_brier", "Brier score", unit="", scale=1, digits=3, better="low", group=scaled),
    )
    rows = []
    for name in results.methods:
        before, after = results.calibration[name], results.scaled[name]
        values = [one.value for one in results.temperatures[name].values()]
        temperature = Cell(float(np.mean(values)), float(np.std(values))) if values else Cell()
        cells = {
            "error": Cell(before.error),
            "by_chance": Cell(before.error_by_chance),
            "brier": interval_cell(before.brier),
            "slope": interval_cell(before.slope),
            "in_the_large": interval_cell(before.in_the_large),
            "temperature": temperature,
            "scaled_error": Cell(after.error),
            "scaled_brier": interval_cell(after.brier),
        }
        rows.append(Row(name, title_of(name), cells))
    of = (
        f"the probability of {results.classes[results.positive]}"
        if results.positive is not None
        else "the probability of the most probable class, and whether that is the true one"
    )
    notes = (
        f"Of {of}, all test patients together. ECE: expected calibration error, ten bins of equal width; perfect "
        "probabilities of as many patients would stay below “by chance” with 95 % chance. Slope 1 and in the large 0 "
        "are perfect; a slope below 1 is too sure of itself.",
        NETWORKS_HELD,
        "Temperature: mean ± population spread over the runs.",
    )
    return Table("calibration", "Calibration", "method", columns, tuple(rows), notes)


def _noted(table: Table, note: str) -> Table:
    return replace(table, notes=(*table.notes, note))


def parts(table: Table) -> tuple[Table, ...]:
    """A wide table as narrower ones: the leading columns with the first group, then each other group."""
    groups = list(dict.fromkeys(column.group for column in table.columns))
    named = [name for name in groups if name]
    leading = tuple(column for column in table.columns if column.group in ("", *named[:1]))
    more = [tuple(column for column in table.columns if column.group == name) for name in named[1:]]
    return (replace(table, columns=leading), *(replace(table, columns=columns, notes=()) for columns in more))


def with_missing(table: Table, found: Benchmark) -> Table:
    """The table with every failed run and every method that did not run in it, and what it says of comparators."""
    plan = found.plan
    per_method = len(plan.folds) * len(plan.seeds)
    failed = {name: sum(job.method == name for job in found.failures) for name in plan.methods}
    rows = []
    for row in table.rows:
        count = failed.get(row.name.partition("/")[0], 0)
        remark = "failed" if count == per_method else f"{count} of {per_method} runs failed"
        rows.append(replace(row, remark=remark, rated=False) if count else row)
    if table.heading == "method":
        rows += [Row(one.method, title_of(one.method), {}, f"not run: {one.reason}", False) for one in plan.not_run]
        rows.sort(key=lambda row: plan.order.index(row.name))
    notes = list(table.notes)
    if found.failures:
        named = "; ".join(
            f"{title_of(job.method)}, fold {job.fold}, seed {job.seed}: {failure.code}"
            for job, failure in found.failures.items()
        )
        notes.append(f"Failed runs: {named}.")
    if plan.not_run and table.heading != "method":
        notes.append("Not run: " + "; ".join(f"{title_of(one.method)}, {one.reason}" for one in plan.not_run) + ".")
    if any(MARK in row.title for row in rows):
        notes.append(outside_note(plan))
    return replace(table, rows=tuple(rows), notes=tuple(notes))


def outside_note(plan: Plan) -> str:
    """What the mark of a comparator means, and what each of them is."""
    each = "; ".join(f"{title_of(name).removesuffix(MARK)}: {what}" for name, what in plan.shown_comparators().items())
    return f"{MARK} Outside the paper, no method of it{f' ({each})' if each else ''}."
