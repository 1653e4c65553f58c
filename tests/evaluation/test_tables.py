"""Tables as data, CSV, Markdown and LaTeX."""

import csv
import math

import pytest

from triplenet.evaluation.tables import (
    Cell,
    Column,
    Row,
    Table,
    cell_text,
    csv_rows,
    grid,
    headings,
    latex,
    markdown,
    write_table,
)

ACCURACY = Column("accuracy", "accuracy", group="textbook")
BRIER = Column("brier", "Brier", unit="", scale=1, digits=3, better="low")
TABLE = Table(
    "table_9",
    "Results & more",
    "method",
    (ACCURACY, BRIER, Column("n", "patients", unit="", scale=1, digits=0, better=None)),
    (
        Row("a", "A_1 | 50%", {"accuracy": Cell(0.79401, 0.0271), "brier": Cell(0.2), "n": Cell(5)}),
        Row("b", "B", {"accuracy": Cell(0.79399, 0.03, mark="better"), "brier": Cell(0.15, low=0.1, high=0.2)}),
        Row("c", "C", {"accuracy": Cell(0.9), "brier": Cell(math.nan)}, remark="1 of 3 runs failed", rated=False),
    ),
    ("Mean ± spread.",),
)


def test_a_cell_is_written_as_its_column_says():
    assert cell_text(Cell(0.794, 0.0271), ACCURACY) == "79.40±2.71"
    assert cell_text(Cell(0.8125, low=0.75, high=0.86), BRIER) == "0.812 (0.750 to 0.860)"
    assert cell_text(Cell(math.nan, 0.1), ACCURACY) == "–"
    assert cell_text(Cell(0.5, math.nan, math.nan, math.nan), ACCURACY) == "50.00"
    assert cell_text(None, ACCURACY) == ""
    assert cell_text(Cell(text="DeLong"), ACCURACY) == "DeLong"


def test_the_best_is_that_of_what_is_shown_and_of_whole_rows():
    # 79.401 and 79.399 are both shown as 79.40; C lacks a run, so that its 90 is not comparable.
    assert TABLE.best(ACCURACY) == {"a", "b"}
    assert TABLE.best(BRIER) == {"b"}
    assert TABLE.best(TABLE.columns[2]) == set()
    alone = Table("x", "x", "m", (ACCURACY,), TABLE.rows[:1])
    assert alone.best(ACCURACY) == set()


def test_markdown():
    lines = markdown(TABLE).splitlines()
    assert lines[2] == "| method | textbook: accuracy (%) | Brier | patients |"
    assert lines[3] == "| --- | ---: | ---: | ---: |"
    assert lines[4] == r"| A\_1 \| 50% | **79.40±2.71** | 0.200 | 5 |"
    assert lines[5] == "| B | **79.40±3.00⁺** | **0.150 (0.100 to 0.200)** |  |"
    assert lines[6] == "| C (1 of 3 runs failed) | 90.00 | – |  |"
    assert lines[-1] == "Mean ± spread."


def test_latex_is_escaped_has_booktabs_and_as_many_cells_in_each_line():
    text = latex(TABLE)
    lines = text.splitlines()
    assert r"\caption{Results \& more}" in lines
    assert r"\label{tab:table_9}" in lines
    assert r"A\_1 \textbar{} 50\% & \textbf{79.40$\pm$2.71} & 0.200 & 5 \\" in lines
    assert r"B & \textbf{79.40$\pm$3.00}$^{+}$ & \textbf{0.150 (0.100 to 0.200)} &  \\" in lines
    assert r" & \multicolumn{1}{c}{textbook} & \multicolumn{2}{c}{} \\" in lines
    assert r"\cmidrule(lr){2-2}" in lines
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in lines
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert [line.replace(r"\&", "").count("&") for line in body] == [3, 3, 3]
    assert text.count("{") == text.count("}")


def test_a_wide_table_of_latex_is_scaled_to_the_page():
    columns = tuple(Column(f"c{number}", f"column {number}") for number in range(9))
    text = latex(Table("t", "t", "m", columns, (Row("a", "A", {}),)))
    assert r"\usepackage{booktabs,graphicx}" in text
    inside = text[text.index(r"\resizebox{\textwidth}{!}{%") : text.index(r"\end{tabular}}") + 15]
    assert inside.count("{") == inside.count("}")
    assert "resizebox" not in latex(TABLE)


def test_every_special_character_of_latex_is_escaped():
    row = Row("x", "\\&%$#_{}~^<>|", {"accuracy": Cell(0.5)})
    text = latex(Table("t", "t", "m", (ACCURACY,), (row,)))
    assert (
        r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}" in text
    )


def test_csv_has_the_unrounded_numbers(tmp_path):
    paths = write_table(tmp_path, TABLE)
    assert [path.name for path in paths] == ["table_9.csv", "table_9.md", "table_9.tex"]
    with paths[0].open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["accuracy"]) == 0.79401 and float(rows[0]["accuracy_spread"]) == 0.0271
    assert rows[1]["accuracy_mark"] == "better" and rows[0]["accuracy_mark"] == ""
    assert float(rows[1]["brier_low"]) == 0.1
    assert rows[2]["brier"] == "" and rows[2]["remark"] == "1 of 3 runs failed"
    assert paths[1].read_text(encoding="utf-8") == markdown(TABLE)
    assert paths[2].read_text(encoding="utf-8") == latex(TABLE)


def test_the_grid_is_for_a_terminal():
    assert headings(TABLE) == ("method", "textbook: accuracy (%)", "Brier", "patients")
    assert grid(TABLE)[1] == ["B", "79.40±3.00⁺", "0.150 (0.100 to 0.200)", ""]


@pytest.mark.parametrize("empty", [Table("t", "t", "m", (ACCURACY,), ()), Table("t", "t", "m", (), ())])
def test_an_empty_table_is_a_table(empty):
    assert csv_rows(empty) == []
    assert r"\end{table}" in latex(empty)
    assert markdown(empty).startswith("**t**")
