import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer import Typer
from typer.testing import CliRunner

from toy_prepared import TASK
from triplenet.cli import evaluate as verb
from triplenet.errors import BadRun
from triplenet.evaluation.single_run import assess, write_evaluation
from triplenet.model import TaskCard, task_card
from triplenet.training import Predictions, load_recipe, open_run
from triplenet.training.run import Hardware, RunInfo, write_history, write_info, write_predictions


def make_run(folder, labels, probabilities, *, task=None, classes=TASK.classes, status="complete"):
    """A run's folder with these test predictions, without a training."""
    folder.mkdir()
    n = len(labels)
    names = tuple(f"p{row}" for row in range(n))
    write_predictions(folder, Predictions(names, ("test",) * n, np.array(labels), np.array(probabilities)), classes)
    write_history(folder, [{"epoch": 0, "lambda": None, "loss_total": 0.5, "validation_accuracy": 0.5}])
    info = RunInfo(
        status=status,
        method="baseline",
        task=task or task_card(TASK),
        classes=classes,
        fold=1,
        fold_sha256="0" * 64,
        prepared="set",
        data_sha256="0" * 64,
        recipe=load_recipe(method="baseline").dump(),
        encoder=None,
        patients={},
        parameters=1,
        versions={},
        hardware=Hardware(device="cpu", name="", threads=1, system=""),
        started=datetime.now(UTC),
        best_epoch=0,
    )
    write_info(folder, info)
    return open_run(folder)


@pytest.fixture
def binary(tmp_path):
    # Of 6 with a spot 4 are found, of 4 without 3 are called so.
    spot = [0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.55, 0.3, 0.1, 0.05]
    return make_run(tmp_path / "run", [1] * 6 + [0] * 4, [[1 - p, p] for p in spot])


def test_the_numbers_of_a_binary_run_are_the_hand_worked_ones(binary):
    found = assess(binary)
    assert found.matrix.tolist() == [[3, 1], [2, 4]]
    assert found.positive == "spot"
    values = {name: estimate.value for name, estimate in found.metrics.items()}
    assert values["accuracy"] == pytest.approx(7 / 10)
    assert values["precision"] == pytest.approx(4 / 5)
    assert values["sensitivity"] == pytest.approx(4 / 6)
    assert values["specificity"] == pytest.approx(3 / 4)
    assert values["f1"] == pytest.approx(8 / 11)
    predictions = binary.predictions()
    assert values["auc"] == pytest.approx(roc_auc_score(predictions.labels, predictions.probabilities[:, 1]))
    for estimate in found.metrics.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_the_target_is_the_positive_class_wherever_it_stands(tmp_path):
    task = TaskCard(name="toy", title="", findings=TASK.findings, positive=("none",))
    run = make_run(tmp_path / "run", [0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], task=task)
    found = assess(run)
    assert found.positive == "none"
    assert found.metrics["sensitivity"].value == pytest.approx(1 / 2)
    assert found.metrics["specificity"].value == 1


def test_more_classes_give_macro_means_and_name_what_is_never_predicted(tmp_path):
    task = TaskCard(name="three", title="", findings={"a": "a", "b": "b", "c": "c"}, positive=())
    probabilities = np.eye(3)[[0, 0, 1, 1]]
    run = make_run(tmp_path / "run", [0, 1, 1, 2], probabilities, task=task, classes=("a", "b", "c"))
    found = assess(run)
    assert found.never_predicted == ("c",)
    assert found.metrics["sensitivity"].value == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_what_is_written_is_what_was_found(binary):
    found = assess(binary)
    folder = write_evaluation(found, binary)
    assert sorted(path.name for path in folder.iterdir()) == ["test", "test.json"]
    names = ["calibration", "confusion", "decision", "probabilities", "roc", "training"]
    drawn = sorted(path.name for path in (folder / "test").iterdir())
    assert drawn == sorted(["tables", *(f"{name}.{ending}" for name in names for ending in ("csv", "png", "svg"))])
    tables = {path.name for path in (folder / "test" / "tables").iterdir()}
    of_one_run = ("auc", "predictive-values", "widths")
    assert tables == {f"{name}.{ending}" for name in of_one_run for ending in ("csv", "md", "tex")}
    record = json.loads((folder / "test.json").read_text())
    assert record["matrix"] == [[3, 1], [2, 4]]
    with (folder / "test" / "roc.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    area = np.trapezoid(
        [float(row["true_positive_rate"]) for row in rows], [float(row["false_positive_rate"]) for row in rows]
    )
    assert area == pytest.approx(found.metrics["auc"].value)
    for name in names:
        with Image.open(folder / "test" / f"{name}.png") as picture:
            assert picture.width > 300
            assert np.asarray(picture.convert("L")).std() > 5  # not an empty page
            assert "Software" not in picture.info


def test_an_unfinished_run_is_not_evaluated(tmp_path):
    run = make_run(tmp_path / "run", [0, 1], np.eye(2), status="running")
    with pytest.raises(BadRun, match="--resume"):
        assess(run)
    complete = make_run(tmp_path / "other", [0, 1], np.eye(2))
    with pytest.raises(BadRun, match="validation"):
        assess(complete, "validation")


def test_the_verb_prints_the_table_or_one_object(binary):
    app = Typer()
    app.command()(verb.evaluate)
    table = CliRunner().invoke(app, [str(binary.folder)])
    assert table.exit_code == 0
    assert "0.700" in table.stdout
    assert "spot" in table.stdout
    assert table.stdout.index("AUC") < table.stdout.index("calibration slope") < table.stdout.index("accuracy")
    assert "PPV" in table.stdout and "needed for 10 points" in " ".join(table.stdout.split())
    assert "note: One seed" in table.stderr and "note: One fold" in table.stderr
    record = json.loads(CliRunner().invoke(app, [str(binary.folder), "--json"]).stdout)
    assert record["metrics"]["accuracy"]["value"] == pytest.approx(0.7)
    assert len(record["not_estimated"]) == 2
    asked = ["--json", "--prevalences", "0.3", "--widths", "0.2,0.4"]
    record = json.loads(CliRunner().invoke(app, [str(binary.folder), *asked]).stdout)
    (row,) = record["predictive_values"]["0.5"]["baseline"]
    # Sensitivity 4 / 6, specificity 3 / 4.
    assert row["ppv"]["value"] == pytest.approx(0.3 * 4 / 6 / (0.3 * 4 / 6 + 0.7 / 4))
    assert [one["width"] for one in record["interval_widths"]["baseline"]["auc"]["needed"]] == [0.2, 0.4]
    wrong = CliRunner().invoke(app, [str(binary.folder), "--prevalences", "few"])
    assert wrong.exit_code == 2
    assert "--prevalences" in wrong.stderr
