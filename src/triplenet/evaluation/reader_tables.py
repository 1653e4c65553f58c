"""What the answers of a reader study say, as tables."""

from __future__ import annotations

from math import isnan

from triplenet import catalog
from triplenet.evaluation.intervals import Estimate
from triplenet.evaluation.reader_answers import ReaderResults
from triplenet.evaluation.tables import Cell, Column, Row, Table

_TITLES = {
    "class without map": "class, from the slice alone",
    "class with map": "class, with the maps",
    "preferred map": "which map helps most",
    "rating": "rating of a map",
}


def reader_tables(results: ReaderResults) -> list[Table]:
    """Accuracy, preference with ratings, agreement."""
    return [_accuracy(results), _preference(results), _agreement(results)]


def _accuracy(results: ReaderResults) -> Table:
    columns = (
        Column("without", "slice alone", digits=1, better=None),
        Column("with", "with the maps", digits=1, better=None),
        Column("difference", "difference", unit="points", digits=1, better=None),
        Column("p", "p", unit="", scale=1, digits=4, better=None),
        Column("answered", "answered both ways", unit="", scale=1, digits=0, better=None),
    )
    rows = tuple(
        Row(
            one.reader,
            one.reader,
            {
                "without": _cell(one.without_map),
                "with": _cell(one.with_map),
                "difference": Cell(one.difference.value, low=one.difference.low, high=one.difference.high),
                "p": Cell(one.difference.p),
                "answered": Cell(one.answered),
            },
        )
        for one in results.accuracy
    )
    notes = (
        "95 % intervals over cases; p: McNemar's exact test of a reader, the bootstrap over cases of all of them.",
    )
    return Table("readers", "Classes named right", "reader", columns, rows, notes)


def _preference(results: ReaderResults) -> Table:
    columns = (
        Column("times", "preferred", unit="", scale=1, digits=0, better=None),
        Column("share", "share", digits=1),
        Column("rating", "mean rating, 1 to 5", unit="", scale=1),
    )
    rows = tuple(
        Row(
            method,
            _title(method),
            {
                "times": Cell(found.times),
                "share": _cell(found.share),
                "rating": _cell(results.ratings[method]),
            },
        )
        for method, found in results.preference.items()
    )
    p = results.preference_p
    test = "" if isnan(p) else f" That no map is preferred to another: p = {p:.4f} (maps permuted within each case)."
    return Table("preference", "Maps preferred", "map", columns, rows, (f"95 % intervals over cases.{test}",))


def _agreement(results: ReaderResults) -> Table:
    columns = (Column("alpha", "Krippendorff's alpha", unit="", scale=1, better=None),)
    rows = tuple(Row(name, _TITLES[name], {"alpha": _cell(found)}) for name, found in results.agreement.items())
    few = (
        "It takes two readers or more."
        if len(results.answers.readers) < 2
        else "1: all agree; 0: as by chance. 95 % intervals over cases; ratings as ordinal, the others as nominal."
    )
    return Table("agreement", "Agreement of the readers", "answer", columns, rows, (few,))


def _cell(estimate: Estimate) -> Cell:
    return Cell(estimate.value, low=estimate.low, high=estimate.high)


def _title(method: str) -> str:
    return catalog.METHODS[method].title if method in catalog.METHODS else method
