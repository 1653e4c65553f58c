"""The demo's page says what its data say, no more."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from prepare.synthetic import chest
from report.test_page import Reader
from toy_model import MARKED_HU, marker
from triplenet.catalog import TASKS
from triplenet.inference import predict
from triplenet.report import Case, Curve, Demo, Estimate, Look, MethodOutcome, NewScan, demo_page, result_page
from triplenet.scan import Scan, Source


@pytest.fixture(scope="module")
def result():
    hu, _, infection, geometry = chest(lesion=(4, 40, 28, 5))
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)
    return predict(Scan(hu, geometry, Source("nifti", "Doe-Jane.nii")), marker(), infection=infection)


def metrics(accuracy, half):
    return {
        "accuracy": Estimate(accuracy, accuracy - half, accuracy + half),
        "sensitivity": Estimate(0.875),
        "auc": Estimate(0.9),
    }


def outcome(name, accuracy, confusion, half=0.15, **more):
    curve = Curve([0.0, 0.5, 1.0], [0.0, 0.8, 1.0])
    history = {"training loss": Curve([0, 1], [1.0, 0.5])}
    return MethodOutcome(name, metrics(accuracy, half), np.array(confusion), curve, history, **more)


def case(name="phantom-7", lesion=True):
    image = np.full((32, 32), 90, np.uint8)
    infection = np.zeros((32, 32), bool)
    infection[4:12, 4:12] = lesion
    heat = np.zeros((32, 32), np.float32)
    heat[4:12, 4:8] = 0.8
    heat[20:24, 20:28] = 0.8
    looks = (Look("baseline", heat, "negative", 0.31), Look("triple", heat, "positive", 0.82))
    return Case(name, "typical", "positive", image, infection, looks)


def demo(**changes):
    values = {
        "task": TASKS["binary"],
        "findings": {"typical": 5, "negative": 7},
        "partition": {"training": 8, "validation": 1, "test": 3},
        "methods": (
            outcome("baseline", 0.6, [[2, 1], [1, 1]], inside=Estimate(0.21), pointing=(1, 2), seconds=59.6),
            outcome("triple", 0.8, [[2, 1], [0, 2]], inside=Estimate(0.74), pointing=(2, 2), seconds=61.0),
        ),
        "cases": (case(),),
    }
    return Demo(**(values | changes))


def words(document):
    """The text a reader sees."""
    return re.sub(r"\s+", " ", " ".join(Reader(document).texts)).replace("\u202f", " ")


def test_the_answer_comes_first_and_counts_patients():
    text = words(demo_page(demo()))
    assert "Of 5 synthetic patients that no method had seen" in text
    assert "Baseline ResNet18 put 3 into the right class, Triple Net 4." in text
    assert "21 % of Baseline ResNet18's Grad-CAM and 74 % of Triple Net's attention map" in text
    assert text.index("put 3 into the right class") < text.index("Classification")


def test_overlapping_intervals_are_said_to_overlap_and_others_not():
    assert "overlap, so the difference may be chance" in words(demo_page(demo()))
    apart = (outcome("baseline", 0.5, [[1, 1], [1, 1]], 0.05), outcome("triple", 0.9, [[2, 0], [0, 2]], 0.05))
    text = words(demo_page(demo(methods=apart)))
    assert "do not overlap" in text
    assert "cannot rank two methods" in text


def test_it_says_that_it_is_research_software_and_that_nobody_is_shown():
    text = words(demo_page(demo()))
    assert "not a medical device" in text
    assert "Every scan on this page is synthetic" in text


def test_only_metrics_that_there_are_have_a_row():
    text = words(demo_page(demo()))
    for name in ("Accuracy", "Sensitivity", "AUC"):
        assert name in text
    for name in ("Precision", "Specificity", "F-measure"):
        assert name not in text
    assert "0.65 to 0.95" in text
    assert "The target is the class positive" in text


def test_a_patient_is_shown_with_truth_predictions_and_the_share_inside():
    document = demo_page(demo())
    text = words(document)
    assert "typical, so positive" in text
    assert "predicted negative wrong" in text
    assert "predicted positive right" in text
    # 32 of the 64 hot pixels, equally hot, lie in the lesion.
    assert text.count("50 % of the map lies in the lesion") == 2
    alts = [unescape(alt) for alt in Reader(document).values("alt")]
    assert len([alt for alt in alts if "phantom-7" in alt]) == 4


def test_a_patient_without_a_lesion_is_said_to_have_none():
    text = words(demo_page(demo(cases=(case(lesion=False),))))
    assert "True lesion (none)" in text
    assert "lies in the lesion" not in text


def test_how_to_read_each_map_is_said_once():
    text = words(demo_page(demo(cases=(case(), case("phantom-8")))))
    assert text.count("It does not depend on the class predicted.") == 1
    assert text.count("not a probability of infection") == 1


def test_the_new_scan_is_shown_with_its_answer_and_without_a_name(result):
    document = demo_page(demo(new_scan=NewScan(result, "typical", "positive")))
    text = words(document)
    assert f"Predicted class: {result.record.predicted}" in text
    assert "Infection probability (attention map)" in text
    assert "infection mask given" in text
    assert "Jane" not in document


def test_what_is_missing_is_left_out():
    bare = MethodOutcome("triple", {}, np.array([[1, 0], [0, 1]]))
    text = words(demo_page(demo(methods=(bare,), cases=())))
    assert "Curves" not in text
    assert "Where they looked" not in text
    assert "A new scan" not in text
    assert "Inside the true lesions" not in text


def test_durations_are_in_minutes_and_seconds():
    text = words(demo_page(demo(seconds=241.4)))
    assert "The whole demo took 4 min 01 s" in text
    assert "Training, Baseline ResNet18 1 min 00 s" in text


def test_a_result_has_a_page_of_its_own(result):
    document = result_page(result)
    assert Reader(document).faults == []
    text = words(document)
    assert "Slice 4 (0 at the feet, 5 at the head)" in text
    assert "Chosen by infection mask" in text
    assert "100 % of the heat map's sum" in text
    assert "Jane" not in document


def test_a_result_page_says_which_series_and_whose_lung(result):
    text = words(result_page(result))
    assert "Series the only volume there is" in text
    assert "Lung derived by thresholds, not drawn by a reader" in text
    choice = "chosen of 2 series: axial, chest, 300 slices; series 2 scored 60 but: NOT_HU"
    record = result.record
    record = record.model_copy(
        update={
            "scan": record.scan.model_copy(update={"choice": choice}),
            "slice": record.slice.model_copy(update={"lung_derived": False}),
        }
    )
    text = words(result_page(replace(result, record=record)))
    assert f"Series {choice}" in text
    assert "Lung as in the mask given" in text
