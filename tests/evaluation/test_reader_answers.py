"""The answers of a reader study: read line by line, refused by line and column, and counted by hand."""

import csv

import numpy as np
import pytest
from scipy.stats import binomtest

from triplenet.errors import BadAnswers, PathMissing
from triplenet.evaluation.intervals import wilson
from triplenet.evaluation.krippendorff import alpha
from triplenet.evaluation.reader_answers import EVERYONE, equal_preference_p, read_answers, reader_results
from triplenet.evaluation.reader_sheets import ReaderAnswers, read_key, read_sheets
from triplenet.evaluation.reader_tables import reader_tables
from triplenet.evaluation.tables import grid

CLASSES = {"class 1": "ill", "class 2": "well"}
#: Four cases: panels 1 to 4 the slices, 5 to 8 the maps in another order; the letters change from case to case.
KEY = [
    {"panel": 1, "case": 3, "shows": "slice", "truth": "ill", "A": "", "B": ""},
    {"panel": 2, "case": 1, "shows": "slice", "truth": "ill", "A": "", "B": ""},
    {"panel": 3, "case": 4, "shows": "slice", "truth": "well", "A": "", "B": ""},
    {"panel": 4, "case": 2, "shows": "slice", "truth": "well", "A": "", "B": ""},
    {"panel": 5, "case": 1, "shows": "maps", "truth": "ill", "A": "triple", "B": "baseline"},
    {"panel": 6, "case": 2, "shows": "maps", "truth": "well", "A": "baseline", "B": "triple"},
    {"panel": 7, "case": 3, "shows": "maps", "truth": "ill", "A": "triple", "B": "baseline"},
    {"panel": 8, "case": 4, "shows": "maps", "truth": "well", "A": "baseline", "B": "triple"},
]
COLUMNS = ("reader", "panel", "class", "preferred", "rating A", "rating B")
ANNA = [
    ("anna", 1, "well", "-", "-", "-"),
    ("", 2, "ILL", "-", "-", "-"),
    ("", 3, "2", "-", "-", "-"),
    ("", 4, "1", "-", "-", "-"),
    ("", 5, "ill", "A", "5", "1"),
    ("", 6, "well", "b", "2", "4"),
    ("", 7, "ill", "A", "4", "3"),
    ("", 8, "well", "A", "", "2"),
]


def write(path, rows, columns=COLUMNS, separator=","):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows([columns, *rows])
    return path


@pytest.fixture
def key(tmp_path):
    rows = [row | CLASSES for row in KEY]
    return write(tmp_path / "key.csv", [list(row.values()) for row in rows], list(rows[0]))


def changed(line, **cells):
    """Anna's sheet with some cells of one line replaced."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ANNA]
    rows[line] |= {name.replace("_", " "): value for name, value in cells.items()}
    return [tuple(row.values()) for row in rows]


def test_letters_and_panels_are_turned_back_into_methods_and_cases(key, tmp_path):
    found = read_sheets([write(tmp_path / "anna.csv", ANNA)], read_key(key))
    assert (found.readers, found.cases) == (("anna",), ("1", "2", "3", "4"))
    assert (found.classes, found.methods) == (("ill", "well"), ("baseline", "triple"))
    assert found.truth.tolist() == [0, 1, 0, 1]
    assert found.without_map.tolist() == [[0, 0, 1, 1]]
    assert found.with_map.tolist() == [[0, 1, 0, 1]]
    # A is Triple Net in cases 1 and 3, the baseline in 2 and 4.
    assert found.preferred.tolist() == [[1, 1, 1, 0]]
    np.testing.assert_array_equal(found.ratings[0], [[1, 5], [2, 4], [3, 4], [np.nan, 2]])


def test_accuracy_preference_and_ratings_are_those_counted_by_hand(key, tmp_path):
    found = read_answers(write(tmp_path / "anna.csv", ANNA), key)
    (anna,) = found.accuracy
    assert (anna.answered, anna.without_map.value, anna.with_map.value) == (4, 0.5, 1.0)
    assert anna.without_map == wilson(2, 4)
    assert anna.with_map == wilson(4, 4)
    assert (anna.only_without, anna.only_with) == (0, 2)
    assert anna.difference.value == 0.5
    assert anna.difference.p == pytest.approx(binomtest(0, 2).pvalue)  # McNemar's, of two discordant cases
    assert {name: (one.times, one.share) for name, one in found.preference.items()} == {
        "baseline": (1, wilson(1, 4)),
        "triple": (3, wilson(3, 4)),
    }
    assert found.ratings["baseline"].value == pytest.approx((1 + 2 + 3) / 3)
    assert found.ratings["triple"].value == pytest.approx((5 + 4 + 4 + 2) / 4)
    assert all(np.isnan(one.value) for one in found.agreement.values())  # of one reader there is none


def test_several_readers_agree_as_krippendorff_counts_and_stand_together_last(key, tmp_path):
    bert = [("bert", *row[1:]) for row in changed(0, **{"class": "ill"})]
    sheets = [write(tmp_path / "one.csv", ANNA), write(tmp_path / "two.csv", bert, separator=";")]
    found = read_answers(sheets, key)
    assert [row.reader for row in found.accuracy] == ["anna", "bert", EVERYONE]
    assert found.accuracy[-1].answered == 8
    assert found.accuracy[-1].without_map.value == pytest.approx(5 / 8)
    assert found.accuracy[-1].difference.value == pytest.approx(3 / 8)
    assert (found.accuracy[-1].only_without, found.accuracy[-1].only_with) == (0, 3)
    both = np.array([[0, 0], [0, 0], [1, 0], [1, 1]])
    assert found.agreement["class without map"].value == pytest.approx(alpha(both, "nominal"))
    assert found.agreement["class with map"].value == found.agreement["rating"].value == 1
    # Two readers who agree are still four cases.
    assert found.preference["triple"].times == 6
    assert found.preference["triple"].share == wilson(3, 4)


def test_a_case_that_was_answered_one_way_only_does_not_count(key, tmp_path):
    found = read_answers(write(tmp_path / "anna.csv", changed(1, **{"class": ""})), key)
    (anna,) = found.accuracy
    assert (anna.answered, anna.without_map.value, anna.with_map.value) == (3, pytest.approx(1 / 3), 1.0)


def test_who_wrote_no_name_has_the_files(key, tmp_path):
    nameless = changed(0, reader="")
    sheets = [write(tmp_path / f"{name}.csv", nameless) for name in ("first", "second")]
    assert read_sheets(sheets, read_key(key)).readers == ("first", "second")


@pytest.mark.parametrize(
    ("line", "cells", "said"),
    [
        (5, {"preferred": "C"}, "row 7, preferred: BAD_ANSWER: 'C' is none of the letters A, B"),
        (0, {"class": "sick"}, "row 2, class: BAD_ANSWER: 'sick' is no class: write ill, well, or 1 to 2"),
        (0, {"class": "3"}, "row 2, class: BAD_ANSWER: '3' is no class"),
        (0, {"class": "0"}, "row 2, class: BAD_ANSWER: '0' is no class"),
        (7, {"rating_B": "6"}, "row 9, rating B: BAD_ANSWER: '6' is no whole number from 1 to 5"),
        (7, {"rating_A": "2.5"}, "row 9, rating A: BAD_ANSWER"),
        (2, {"preferred": "A"}, "row 4, preferred: BAD_ANSWER: 'A', but this panel shows no map"),
        (3, {"panel": "9"}, "row 5, panel: UNKNOWN_PANEL: '9' is none of the key's panels .and 1 more faults"),
        (3, {"panel": "3"}, "row 5, panel: DUPLICATE_LINE: anna has answered panel 3 already .and 1 more faults"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_by_line_and_column(key, tmp_path, line, cells, said):
    with pytest.raises(BadAnswers, match=said) as refused:
        read_answers(write(tmp_path / "anna.csv", changed(line, **cells)), key)
    assert refused.value.where == str(tmp_path / "anna.csv")
    assert refused.value.as_dict()["faults"][0]["row"] == line + 2


def test_what_is_missing_is_said(key, tmp_path):
    with pytest.raises(BadAnswers, match="row 8, panel: MISSING_LINE: anna has no line for panel 8"):
        read_answers(write(tmp_path / "short.csv", ANNA[:-1]), key)
    with pytest.raises(BadAnswers, match="rating B: MISSING_COLUMN"):
        read_answers(write(tmp_path / "narrow.csv", [row[:-1] for row in ANNA], COLUMNS[:-1]), key)
    with pytest.raises(BadAnswers, match="EMPTY_SHEET"):
        read_answers(write(tmp_path / "empty.csv", []), key)
    with pytest.raises(BadAnswers, match="DUPLICATE_LINE"):  # the same reader in two files
        read_answers([write(tmp_path / f"{name}.csv", ANNA) for name in ("one", "two")], key)
    with pytest.raises(PathMissing):
        read_answers(tmp_path / "nowhere.csv", key)
    with pytest.raises(BadAnswers, match="not the key"):
        read_answers(tmp_path / "one.csv", tmp_path / "one.csv")


def test_a_key_that_was_changed_is_refused(key, tmp_path):
    rows = [list((row | CLASSES).values()) for row in KEY]
    for wrong in (rows[:-1], [*rows[:-1], [*rows[-1][:3], "unknown", *rows[-1][4:]]]):
        with pytest.raises(BadAnswers, match="as it was written"):
            read_key(write(tmp_path / "bad.csv", wrong, list(KEY[0] | CLASSES)))


def test_equal_preference_is_tested_by_permuting_the_maps_of_each_case():
    # Six cases, one reader, always the same of two maps: 2 of 2^6 ways are as uneven.
    assert equal_preference_p([[1, 0]] * 6) == pytest.approx(2 / 64, abs=0.006)
    assert equal_preference_p([[1, 0], [0, 1]] * 3) == 1
    # Three readers who always agree know no more than one.
    assert equal_preference_p([[3, 0]] * 6) == pytest.approx(2 / 64, abs=0.006)
    # Of three maps: 3 of 3^4.
    assert equal_preference_p([[1, 0, 0]] * 4) == pytest.approx(3 / 81, abs=0.006)
    assert equal_preference_p([[1, 0]] * 30) == pytest.approx(1 / 10000)
    assert np.isnan(equal_preference_p([[0, 0]] * 6))
    assert np.isnan(equal_preference_p([[2]] * 6))


def test_the_pooled_difference_has_the_interval_of_resampled_cases():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, 40)
    without, seen = (np.where(rng.random((3, 40)) < right, truth, 1 - truth).astype(float) for right in (0.6, 0.85))
    nothing = np.full((3, 40), np.nan)
    answers = ReaderAnswers(
        ("a", "b", "c"),
        tuple(map(str, range(40))),
        ("ill", "well"),
        ("triple",),
        truth,
        without,
        seen,
        nothing,
        nothing[..., None],
    )
    pooled = reader_results(answers, resamples=400, seed=7).accuracy[-1]
    gain = ((seen == truth).astype(float) - (without == truth)).mean(axis=0)
    draws = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=400)
    assert pooled.difference.value == pytest.approx(gain.mean())
    limits = np.percentile(draws @ gain / 40, (2.5, 97.5))
    assert (pooled.difference.low, pooled.difference.high) == pytest.approx(tuple(limits))
    assert pooled.without_map.low < pooled.without_map.value < pooled.without_map.high
    assert pooled.difference.p < 0.05


def test_the_tables_say_what_was_found(key, tmp_path):
    accuracy, preference, agreement = reader_tables(read_answers(write(tmp_path / "anna.csv", ANNA), key))
    assert grid(accuracy)[0][:2] == ["anna", "50.0 (15.0 to 85.0)"]
    assert [row[:2] for row in grid(preference)] == [["Baseline ResNet18", "1"], ["Triple Net", "3"]]
    assert "p = " in preference.notes[0]
    assert agreement.notes == ("It takes two readers or more.",)
