import subprocess
import sys

import numpy as np
import pytest

from triplenet.errors import OutputFailed
from triplenet.evaluation.figures import COLOURS, confusion_figure, history_figure, roc_figure, write_figure

HISTORY = [
    {
        "epoch": float(epoch),
        "lambda": 1 - epoch / 3,
        "loss_classification": 0.7,
        "loss_contrastive": 3.0 - epoch,
        "loss_total": 3.0,
        "training_accuracy": 0.5,
        "validation_accuracy": 0.4 + 0.1 * epoch,
        "validation_auc": None if epoch == 1 else 0.6,
    }
    for epoch in range(3)
]


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_the_history_shows_each_loss_and_score_and_the_kept_epoch():
    above, below = history_figure(HISTORY, 2, "triple").axes
    assert list(lines(above)) == ["classification", "contrastive", "total, minimised"]
    assert list(lines(above)["contrastive"].get_ydata()) == [3, 2, 1]
    assert set(lines(below)) == {
        "validation accuracy",
        "validation AUC",
        "training accuracy (augmented)",
        "lambda",
    }
    assert np.isnan(lines(below)["validation AUC"].get_ydata()[1])
    for axes in (above, below):
        assert [line for line in axes.lines if list(line.get_xdata()) == [2, 2]]


def test_what_a_method_does_not_have_is_not_drawn():
    bare = [{"epoch": 0.0, "lambda": None, "loss_classification": 0.7, "loss_total": 0.7, "validation_accuracy": 0.5}]
    above, below = history_figure(bare, None, "baseline").axes
    assert list(lines(above)) == ["classification", "total, minimised"]
    assert list(lines(below)) == ["validation accuracy"]
    assert lines(below)["validation accuracy"].get_marker() == "o"  # one epoch is a point


def test_no_two_lines_differ_by_colour_alone():
    for axes in history_figure(HISTORY, None, "").axes:
        styles = [line.get_linestyle() for line in lines(axes).values()]
        assert len(set(styles)) == len(styles)
        assert {line.get_color() for line in lines(axes).values()} <= set(COLOURS)


def test_the_roc_is_drawn_as_given():
    (axes,) = roc_figure([0, 0, 0.5, 1], [0, 0.5, 1, 1], "").axes
    assert any(list(line.get_xdata()) == [0, 0, 0.5, 1] for line in axes.lines)


def test_the_confusion_matrix_has_truth_in_rows():
    (axes,) = confusion_figure(np.array([[5, 1], [2, 7]]), ("none", "spot"), "").axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "5", (1, 0): "1", (0, 1): "2", (1, 1): "7"}  # (column, row)
    assert axes.get_ylabel() == "truth"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "spot"]


def test_a_class_without_patients_does_not_break_the_picture(tmp_path):
    write_figure(tmp_path / "matrix.png", confusion_figure(np.array([[0, 0], [2, 7]]), ("none", "spot"), ""))
    assert (tmp_path / "matrix.png").stat().st_size > 1000


def test_the_same_figure_is_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        write_figure(tmp_path / name, roc_figure([0, 1], [0, 1], "title"))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed):
        write_figure(tmp_path / "file" / "roc.png", roc_figure([0, 1], [0, 1], ""))


def test_importing_figures_does_not_import_matplotlib():
    code = "import sys, triplenet.evaluation.figures; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
