"""The tables of a benchmark."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from toy_predictions import runs_of
from triplenet import catalog
from triplenet.evaluation import published_table as paper
from triplenet.evaluation.comparisons import compare
from triplenet.evaluation.estimation import estimates
from triplenet.evaluation.method_tables import (
    TABLE2,
    class_table,
    comparisons_table,
    in_order,
    intervals_table,
    results_table,
    seeds_table,
    strata_table,
    thresholds_table,
)
from triplenet.evaluation.predictions import join
from triplenet.evaluation.strata import strata
from triplenet.evaluation.tables import ZERO_MARK, cell_text, csv_rows, grid, headings, latex, markdown
from triplenet.evaluation.thresholds import YOUDEN, fixed_sensitivity
from triplenet.evaluation.validation import choose_thresholds, with_thresholds

SKILLS = {"triple": 2.0, "baseline": 0.5, "resnet3d": 0.7}


@pytest.fixture
def binary():
    return join({name: runs_of(skill, noise=n) for n, (name, skill) in enumerate(SKILLS.items())})


@pytest.fixture
def four():
    return join({name: runs_of(skill, classes=4, noise=n) for n, (name, skill) in enumerate(SKILLS.items())})


def of_folds(name, metric, classes=2):
    runs = runs_of(SKILLS[name], classes=classes, noise=list(SKILLS).index(name))
    return [metric(run.labels, run.probabilities.argmax(1), run.probabilities) for run in runs]


def test_methods_stand_in_the_catalogs_order_and_strangers_after_them():
    assert in_order({"mine": 0, "triple": 0, "baseline": 0, "abn": 0}) == ["baseline", "abn", "triple", "mine"]


def test_table_2_holds_the_means_and_population_spreads_of_the_folds(binary):
    table = results_table(binary, 1)
    assert [row.title for row in table.rows] == [catalog.METHODS[n].title for n in ("resnet3d", "baseline", "triple")]
    oracles = {
        "auc": lambda y, c, p: sk.roc_auc_score(y, p[:, 1]),
        "sensitivity": lambda y, c, p: sk.recall_score(y, c),
        "specificity": lambda y, c, p: sk.recall_score(1 - y, 1 - c),
        "precision": lambda y, c, p: sk.precision_score(y, c),
        "npv": lambda y, c, p: sk.precision_score(1 - y, 1 - c),
        "f1": lambda y, c, p: sk.f1_score(y, c),
        "accuracy": lambda y, c, p: sk.accuracy_score(y, c),
        # The paper's own: the transposed matrix with negative as the target.
        "paper_precision": lambda y, c, p: sk.recall_score(1 - y, 1 - c),
        "paper_sensitivity": lambda y, c, p: sk.precision_score(1 - y, 1 - c),
        "paper_specificity": lambda y, c, p: sk.precision_score(y, c),
        "paper_f1": lambda y, c, p: sk.f1_score(1 - y, 1 - c),
    }
    assert [column.name for column in table.columns] == list(oracles)
    for name, oracle in oracles.items():
        values = of_folds("triple", oracle)
        cell = table.rows[2].cells[name]
        assert (cell.value, cell.spread) == pytest.approx((np.mean(values), np.std(values)))
    assert "population spread (ddof 0) over 3 test folds" in table.notes[0]


def test_table_3_holds_macro_and_weighted_means(four):
    table = results_table(four, None)
    for name, average in (("", "macro"), ("weighted_", "weighted")):
        for metric, oracle in (
            ("sensitivity", sk.recall_score),
            ("precision", sk.precision_score),
            ("f1", sk.f1_score),
        ):
            values = of_folds("triple", lambda y, c, p, o=oracle, a=average: o(y, c, average=a), classes=4)
            assert table.rows[2].cells[name + metric].value == pytest.approx(np.mean(values))
    assert {"macro", "weighted", "as the paper computed them"} <= {column.group for column in table.columns}


def test_what_is_significantly_better_is_marked_and_the_reference_named(binary):
    found = compare(binary, "baseline", positive=1, resamples=300)
    table = results_table(binary, 1, comparisons=found)
    marks = {row.name: row.cells["auc"].mark for row in table.rows}
    assert marks["triple"] == "better"
    assert marks["baseline"] is None
    assert "Baseline ResNet18" in table.notes[-1] and "Holm" in table.notes[-1]
    assert "⁺" in markdown(table) and "$^{+}$" in latex(table)
    listed = comparisons_table(found)
    assert len(listed.rows) == 6
    (row,) = (row for row in listed.rows if row.name == "triple/auc")
    assert row.cells["test"].text == "DeLong"
    assert row.cells["adjusted"].value == next(
        one.adjusted for one in found if (one.method, one.metric) == ("triple", "auc")
    )


def test_failed_runs_are_shown_and_do_not_win():
    predictions = join({"baseline": runs_of(0.5), "abn": runs_of(0.3, noise=1), "triple": runs_of(5)[:2], "double": []})
    table = results_table(predictions, 1)
    rows = {row.name: row for row in table.rows}
    assert rows["triple"].remark == "1 of 3 runs failed"
    assert rows["double"].remark == "failed"
    assert cell_text(rows["double"].cells["accuracy"], TABLE2[0]) == "–"
    assert table.best(TABLE2[0]) == {"baseline"}
    assert "Double Net (failed)" in markdown(table)


def test_what_nobody_is_called_counts_as_0_and_is_marked():
    """A method that calls anybody negative in one fold only has an NPV of 0 in the others."""
    few = [
        replace(run, probabilities=np.where(run.fold == 1, run.probabilities, [[0.1, 0.9]]))
        for run in runs_of(9, noise=1)
    ]
    predictions = join({"baseline": runs_of(1), "triple": few})
    between = {name: estimates(one, positive=1, resamples=100) for name, one in predictions.items()}
    whole = results_table(predictions, 1)
    for table in (whole, intervals_table(between, ("npv", "accuracy"), predictions=predictions, positive=1)):
        row = next(row for row in table.rows if row.name == "triple")
        column = next(column for column in table.columns if column.name == "npv")
        first = few[0]
        of_first = sk.precision_score(first.labels, first.probabilities.argmax(1), pos_label=0)
        assert row.cells["npv"].value == pytest.approx(of_first / 3)
        assert row.cells["npv"].never_predicted and not row.cells["accuracy"].never_predicted
        assert ZERO_MARK in cell_text(row.cells["npv"], column)
        assert table.best(column) == {"baseline"}  # it is rated, and does not win by what it does not say
        assert any(note.startswith(ZERO_MARK) for note in table.notes)
    assert next(row for row in csv_rows(whole) if row["method"] == "triple")["npv_never_predicted"] == "yes"
    assert r"$^{\circ}$" in latex(whole) and ZERO_MARK in markdown(whole)


def test_who_says_one_class_of_four_does_not_win_in_precision():
    one_class = [replace(run, probabilities=np.tile([0.7, 0.1, 0.1, 0.1], (60, 1))) for run in runs_of(0, classes=4)]
    table = results_table(join({"baseline": runs_of(0.5, classes=4), "triple": one_class}), None)
    for name, average in (("precision", "macro"), ("weighted_precision", "weighted")):
        cell = table.rows[1].cells[name]
        expected = np.mean(
            [
                sk.precision_score(run.labels, run.probabilities.argmax(1), average=average, zero_division=0)
                for run in one_class
            ]
        )
        assert cell.value == pytest.approx(expected) and cell.never_predicted
        column = next(column for column in table.columns if column.name == name)
        assert table.best(column) == {"baseline"}


def test_a_number_that_few_folds_have_says_so_and_does_not_win():
    """Of three folds one has patients of the class."""
    runs = {
        name: [replace(run, labels=run.labels if run.fold == 1 else run.labels * 0) for run in runs_of(skill, noise=n)]
        for n, (name, skill) in enumerate({"baseline": 1, "triple": 2}.items())
    }
    table = results_table(join(runs), 1)
    column = next(column for column in table.columns if column.name == "sensitivity")
    cell = table.rows[1].cells["sensitivity"]
    assert cell.part == "1 of 3 folds"
    assert cell_text(cell, column).endswith("[1 of 3 folds]")
    assert table.best(column) == frozenset()
    assert any("In brackets" in note for note in table.notes)
    assert not table.rows[1].cells["accuracy"].part
    assert csv_rows(table)[1]["sensitivity_part"] == "1 of 3 folds"


def test_seeds_have_a_table_of_their_own():
    runs = runs_of(1, seeds=(0, 1, 2))
    predictions = join({"triple": runs})
    scores = {(r.fold, r.seed): sk.accuracy_score(r.labels, r.probabilities.argmax(1)) for r in runs}
    accuracy = np.array([[scores[fold, seed] for seed in (0, 1, 2)] for fold in (1, 2, 3)])
    (row,) = seeds_table(predictions, 1).rows
    assert row.cells["accuracy_folds"].value == pytest.approx(accuracy.mean(1).std())
    assert row.cells["accuracy_seeds"].value == pytest.approx(np.sqrt(accuracy.var(axis=1).mean()))
    assert "3 seeds averaged within each fold" in results_table(predictions, 1).notes[0]


def test_each_class_has_a_row(four):
    table = class_table(four, ("typical", "indeterminate", "atypical", "negative"))
    assert len(table.rows) == 12
    row = next(row for row in table.rows if row.name == "triple/atypical")
    values = of_folds("triple", lambda y, c, p: sk.recall_score(y == 2, c == 2), classes=4)
    assert row.cells["sensitivity"].value == pytest.approx(np.mean(values))
    assert row.cells["patients"].value == 45


def test_thresholds_have_rows_by_rule(binary):
    rules = (YOUDEN, fixed_sensitivity(0.95))
    called = {}
    for rule in rules:
        called[rule.title] = {}
        for n, (name, skill) in enumerate(SKILLS.items()):
            validation = runs_of(skill, noise=n, partition="validation")
            called[rule.title][name] = with_thresholds(binary[name], choose_thresholds(validation, rule, 1), 1)
    table = thresholds_table(called, 1)
    assert len(table.rows) == 6
    youden, high = table.rows[4:]
    assert "Youden" in youden.title and "95%" in high.title
    assert high.cells["sensitivity"].value > 0.85
    assert "validation" in table.notes[0]


def test_intervals_and_strata_are_written_with_both_ends(binary):
    between = {name: estimates(one, positive=1, resamples=100) for name, one in binary.items()}
    table = intervals_table(between | {"abn": {}}, ("accuracy", "auc", "brier"))
    assert " to " in grid(table)[0][1]
    assert next(row for row in table.rows if row.name == "abn").remark == "failed"
    assert table.best(table.columns[2]) == {"triple"}  # the lowest Brier score
    rows, predicted, probabilities = binary["triple"].pooled()
    sites = ["a"] * 150 + [None] * 30
    found = strata(sites, binary["triple"].labels[rows], predicted, probabilities, positive=1, resamples=50)
    by_site = strata_table({"triple": found, "baseline": found}, "site", ("accuracy", "auc"))
    titles = [f"{value}, {name}" for value in ("a", "not given") for name in ("Baseline ResNet18", "Triple Net")]
    assert [row[0] for row in grid(by_site)] == titles
    assert [row.name.partition("/")[0] for row in by_site.rows] == ["baseline", "triple"] * 2
    assert headings(by_site)[:2] == ("site and method", "patients")


def test_the_papers_own_tables_are_tables_too():
    printed, textbook = paper.tables()
    assert grid(printed)[0][:2] == ["3D-ResNet18", "71.02±1.25"]  # as published
    assert [row.name for row in textbook.rows] == list(catalog.METHODS)
    accuracy = printed.columns[0]
    assert printed.best(accuracy) == {"triple-wsdl"}


def test_the_papers_matrices_give_the_papers_table_through_the_same_path():
    """OutOfFoldPredictions made from the recovered matrices reproduce Table 2's columns."""
    from triplenet.evaluation.predictions import RunPredictions

    runs = {}
    for method, folds in paper.matrices().items():
        runs[method] = []
        for number, matrix in enumerate(folds, 1):
            # Patients in the order of their truth, so that every method has the same ones.
            predicted = np.concatenate([np.repeat([0, 1], row) for row in matrix])
            labels = np.repeat([0, 1], matrix.sum(1))
            names = tuple(f"{number}-{row}" for row in range(len(labels)))
            runs[method].append(RunPredictions(number, 0, names, labels, np.eye(2)[predicted]))
    table = results_table(join(runs), 1)
    printed = {row.method: row.paper for row in paper.table2()}
    for row in table.rows:
        assert 100 * row.cells["accuracy"].value == pytest.approx(printed[row.name]["accuracy"].mean)
        for name in ("precision", "sensitivity", "specificity", "f1"):
            cell = row.cells[f"paper_{name}"]
            expected = printed[row.name][name]
            assert (100 * cell.value, 100 * cell.spread) == pytest.approx((expected.mean, expected.spread))
    best = table.best(table.columns[0])
    assert best == {"triple-wsdl"}
    assert replace(table, rows=table.rows[:1]).best(table.columns[0]) == set()
