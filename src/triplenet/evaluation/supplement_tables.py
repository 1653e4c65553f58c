"""The tables of ``supplement``: a row a method, or a method and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from triplenet.evaluation.averaged_auc import AveragedAuc
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.method_tables import TITLES, in_order, interval_cell, title_of
from triplenet.evaluation.predictive_values import PredictiveValues
from triplenet.evaluation.resampled_t import RunComparison
from triplenet.evaluation.results import Results
from triplenet.evaluation.sample_size import Width
from triplenet.evaluation.tables import Cell, Column, Row, Table
from triplenet.evaluation.variance_components import VarianceComponents

#: Parts of the variance are told of these; the others are in ``statistics.json``.
COMPONENTS_OF = ("auc", "brier", "accuracy")
#: The same of the differences over trainings.
RUNS_OF = ("auc", "brier", "accuracy", "f1")


def supplement_tables(results: Results) -> Iterator[Table]:
    """All that say something of these runs."""
    found = results.supplement
    yield averaged_auc_table(found.aucs, results.estimates, results.positive)
    if found.run_comparisons and max(one.runs for one in found.run_comparisons) > 1:
        yield run_comparisons_table(found.run_comparisons)
    if len(results.seeds) > 1:
        yield components_table(found.components)
    yield widths_table(found.widths)
    if results.positive is not None:
        named = {rule.title: each for rule, each in found.predictive_values.items()}
        yield predictive_values_table(named, results.methods, results.classes[results.positive])


def not_estimated(results: Results) -> tuple[str, ...]:
    """What these runs cannot tell, and why, a sentence each."""
    reasons = dict.fromkeys(
        reason for each in results.supplement.components.values() for one in each.values() for reason in one.missing
    )
    return tuple(f"{reason[0].upper()}{reason[1:]}." for reason in reasons)


def averaged_auc_table(
    aucs: Mapping[str, AveragedAuc], estimates: Mapping[str, Mapping[str, Estimate]], positive: int | None
) -> Table:
    """The AUC over folds by three intervals."""
    columns = (
        Column("auc", "DeLong" if positive is not None else "bootstrap", group="mean over the folds"),
        Column("averaged", "influence curve", group="mean over the folds"),
        *((Column("pooled", "DeLong", group="all test patients pooled"),) if positive is not None else ()),
    )
    rows = []
    for method in in_order(aucs):
        cells = {"averaged": interval_cell(aucs[method].averaged), "pooled": interval_cell(aucs[method].pooled)}
        if "auc" in estimates[method]:
            cells["auc"] = interval_cell(estimates[method]["auc"])
        rows.append(Row(method, title_of(method), {column.name: cells.get(column.name, Cell()) for column in columns}))
    notes = [
        "95 % intervals over patients, networks held fixed. Influence curve: LeDell, Petersen and van der Laan 2015, "
        "on the linear scale; none where every fold parts its classes wholly.",
    ]
    if positive is not None:
        notes.append(
            "Pooled: one curve of the probabilities of different networks, lower where what one calls 0.7 another "
            "calls 0.6; with several seeds of a patient's mean probability, which may be better than any network's."
        )
    return Table("auc", "AUC over the folds", "method", columns, tuple(rows), tuple(notes))


def run_comparisons_table(comparisons: Sequence[RunComparison]) -> Table:
    """Differences over trainings with the corrected resampled t test."""
    columns = (
        Column("difference", "difference", unit="points", better=None),
        Column("spread", "SD over runs", unit="points", better=None),
        Column("p", "p", unit="", scale=1, digits=4, better=None),
        Column("adjusted", "p after Holm", unit="", scale=1, digits=4, better=None),
        Column("seeds_averaged", "p, seeds averaged", unit="", scale=1, digits=4, better=None),
        Column("runs", "pairs of runs", unit="", scale=1, digits=0, better=None),
        Column("test_share", "test / training patients", unit="", scale=1, digits=3, better=None),
    )
    rows = []
    for one in comparisons:
        if one.metric not in RUNS_OF:
            continue
        cells = {
            "difference": Cell(one.difference.value, low=one.difference.low, high=one.difference.high),
            "spread": Cell(one.spread),
            "p": Cell(one.difference.p),
            "adjusted": Cell(one.adjusted),
            "seeds_averaged": Cell(one.seeds_averaged),
            "runs": Cell(float(one.runs)),
            "test_share": Cell(one.test_share),
        }
        title = f"{title_of(one.method)} against {title_of(one.reference)}, {TITLES[one.metric]}"
        rows.append(Row(f"{one.method}/{one.metric}", title, cells))
    note = (
        "Corrected resampled t test (Nadeau and Bengio 2003) over folds and seeds: would another training, of other "
        "patients, differ so too? Networks are not held fixed, and the degrees of freedom are the pairs of runs less "
        "one. Seeds of a fold share its patients; “seeds averaged” counts each fold once. Points are hundredths."
    )
    return Table(
        "run-comparisons",
        "Differences over trainings with 95 % intervals",
        "comparison",
        columns,
        tuple(rows),
        (note,),
    )


def components_table(components: Mapping[str, Mapping[str, VarianceComponents]]) -> Table:
    """How much of a run's variance is the patients' and how much the seed's."""
    columns = (
        Column("patients", "SD, patients", unit="points", better=None),
        Column("seeds", "SD, seeds", unit="points", better=None),
        Column("seed_share", "seeds' share of the variance", digits=0, better=None),
        Column("standard_error", "standard error of the mean", unit="points", better=None),
        Column("folds", "folds", unit="", scale=1, digits=0, better=None),
        Column("runs", "runs", unit="", scale=1, digits=0, better=None),
    )
    rows = []
    reasons: dict[str, None] = {}
    for method in in_order(components):
        for metric in COMPONENTS_OF:
            one = components[method][metric]
            reasons |= dict.fromkeys(one.missing)
            cells = {
                "patients": Cell(one.patients),
                "seeds": interval_cell(one.seeds),
                "seed_share": Cell(one.seed_share),
                "standard_error": Cell(one.standard_error),
                "folds": Cell(float(one.folds)),
                "runs": Cell(float(one.runs)),
            }
            rows.append(Row(f"{method}/{metric}", f"{title_of(method)}, {TITLES[metric]}", cells))
    notes = [
        "Of one run: patients, between folds, which are trained on and tested; seeds, between trainings of the same "
        "patients, with a 95 % interval (chi-squared). One-way analysis of variance with random effects; a fold's "
        "training patients overlap with another's, which the standard error does not know. Points are hundredths.",
        *(f"A dash: {reason}." for reason in reasons),
    ]
    return Table("variance", "The variance over runs, parted", "method and metric", columns, tuple(rows), tuple(notes))


def widths_table(widths: Mapping[str, Mapping[str, Width]]) -> Table:
    """How wide the intervals are, and how many test patients narrower ones would need."""
    asked = list(dict.fromkeys(width for each in widths.values() for one in each.values() for width in one.needed))
    columns = (
        Column("width", "width of the interval", unit="points", better=None),
        Column("patients", "tested", unit="", scale=1, digits=0, better=None, group="patients"),
        *(
            Column(
                f"needed_{width:g}",
                f"needed for {100 * width:g} points",
                unit="",
                scale=1,
                digits=0,
                better=None,
                group="patients",
            )
            for width in asked
        ),
    )
    rows = []
    for method in in_order(widths):
        for metric, one in widths[method].items():
            cells = {"width": Cell(one.width), "patients": Cell(float(one.patients))}
            for width, count in one.needed.items():
                cells[f"needed_{width:g}"] = Cell(np.nan if count is None else float(count))
            rows.append(Row(f"{method}/{metric}", f"{title_of(method)}, {TITLES[metric]}", cells))
        if not widths[method]:
            rows.append(Row(method, title_of(method), {}))
    note = (
        "Of the 95 % intervals over patients, from the low to the high limit. Patients needed are tested ones of all "
        "classes, at the same value and shares of the classes: for proportions as Wilson's interval narrows, for the "
        "AUC and other means as a variance that falls with 1 / N does (DeLong's, the bootstrap's), on the logit scale."
    )
    return Table(
        "widths",
        "Width of the intervals, and patients for narrower ones",
        "method and metric",
        columns,
        tuple(rows),
        (note,),
    )


def predictive_values_table(
    values: Mapping[str, Mapping[str, Sequence[PredictiveValues]]], methods: Sequence[str], positive: str
) -> Table:
    """PPV and NPV at other prevalences, a row a method and rule.

    :param values: the rule's title -> method -> prevalences
    :param methods: those that should have run
    """
    asked = list(dict.fromkeys(one.prevalence for each in values.values() for found in each.values() for one in found))
    columns = tuple(
        Column(f"{name}_{prevalence:g}", name.upper(), better=None, group=f"prevalence {100 * prevalence:g} %")
        for prevalence in asked
        for name in ("ppv", "npv")
    )
    rows = []
    for method in in_order(dict.fromkeys(methods)):
        for rule, each in values.items():
            if method not in each:
                continue
            cells: dict[str, Cell] = {}
            for one in each[method]:
                cells[f"ppv_{one.prevalence:g}"] = interval_cell(one.ppv)
                cells[f"npv_{one.prevalence:g}"] = interval_cell(one.npv)
            rows.append(Row(f"{method}/{rule}", f"{title_of(method)}, {rule}", cells))
    note = (
        f"If {positive} were so frequent: from sensitivity and specificity by Bayes' rule, with 95 % intervals joined "
        "from theirs (MOVER of a ratio, Donner and Zou 2012). Both are taken to be as here whatever the prevalence, "
        "which another spectrum of patients may change. A dash: nobody is called so."
    )
    return Table(
        "predictive-values", "PPV and NPV at other prevalences", "method and threshold", columns, tuple(rows), (note,)
    )
