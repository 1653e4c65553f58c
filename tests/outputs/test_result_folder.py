"""A result's folder is whole or not there, and never holds what an earlier scan left."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet import outputs
from triplenet.errors import OutputExists, OutputFailed, UnknownName
from triplenet.inference import Record, Refusal, predict
from triplenet.scan import Scan, Source


@pytest.fixture(scope="module")
def result():
    hu, _, infection, geometry = chest(lesion=(4, 40, 28, 5))
    hu = np.where(infection > 0, MARKED_HU, hu).astype(np.int16)
    return predict(Scan(hu, geometry, Source("nifti", "x")), marker(), infection=infection)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def beside(folder):
    return sorted(path.name for path in folder.parent.iterdir())


REFUSAL = Refusal(code="NO_LUNG", what="no lung was found in the scan")


def test_the_record_is_read_back_as_it_was(tmp_path, result):
    outputs.write(result, tmp_path / "scan-001")
    assert sorted(contents(tmp_path / "scan-001")) == ["overlay.png", "result.json"]
    text = (tmp_path / "scan-001" / "result.json").read_text(encoding="utf-8")
    assert Record.model_validate_json(text) == result.record
    with Image.open(tmp_path / "scan-001" / "overlay.png") as picture:
        assert picture.info == {}
    assert beside(tmp_path / "scan-001") == ["scan-001"]


def test_only_what_is_asked_for_is_written(tmp_path, result):
    outputs.write(result, tmp_path / "out", ["json"])
    assert list(contents(tmp_path / "out")) == ["result.json"]


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path, result):
    outputs.write(result, tmp_path / "out")
    later = replace(result, record=result.record.model_copy(update={"predicted": "negative"}))
    outputs.write(later, tmp_path / "out", ["json"])
    assert list(contents(tmp_path / "out")) == ["result.json"]
    assert json.loads(contents(tmp_path / "out")["result.json"])["predicted"] == "negative"
    assert beside(tmp_path / "out") == ["out"]


def test_a_refusal_takes_the_place_of_an_earlier_result(tmp_path, result):
    outputs.write(result, tmp_path / "out")
    outputs.write_refusal(REFUSAL, tmp_path / "out")
    assert list(contents(tmp_path / "out")) == ["refused.json"]
    assert Refusal.model_validate_json(contents(tmp_path / "out")["refused.json"]) == REFUSAL
    outputs.write(result, tmp_path / "out")
    assert "refused.json" not in contents(tmp_path / "out")


@pytest.mark.parametrize("earlier", [True, False])
def test_a_failure_half_way_leaves_what_was_there(tmp_path, result, monkeypatch, earlier):
    def broken(_result, _folder):
        raise OSError(28, "No space left on device")

    if earlier:
        outputs.write(result, tmp_path / "out")
    before = contents(tmp_path / "out") if earlier else None
    monkeypatch.setitem(outputs.FORMATS, "png", replace(outputs.FORMATS["png"], write=broken))
    with pytest.raises(OutputFailed, match="No space left"):
        outputs.write(result, tmp_path / "out")
    if earlier:
        assert contents(tmp_path / "out") == before
        assert beside(tmp_path / "out") == ["out"]
    else:
        assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path, result):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for place in ("letters", "file"):
        with pytest.raises(OutputExists):
            outputs.write(result, tmp_path / place)
        with pytest.raises(OutputExists):
            outputs.write_refusal(REFUSAL, tmp_path / place)
        with pytest.raises(OutputExists):
            outputs.discard(tmp_path / place)
    assert (tmp_path / "letters" / "letter.txt").read_text() == "dear"


def test_discarding_removes_a_result_and_is_no_error_without_one(tmp_path, result):
    outputs.write(result, tmp_path / "out", ["json"])
    outputs.discard(tmp_path / "out")
    outputs.discard(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_of_an_earlier_larger_batch_go_and_nothing_else_does(tmp_path, result):
    for number in (1, 2, 3):
        outputs.write(result, tmp_path / f"scan-{number:03d}", ["json"])
    (tmp_path / "scan-004").mkdir()
    (tmp_path / "scan-004" / "notes.txt").write_text("mine")
    (tmp_path / "kept").mkdir()
    outputs.discard_others(tmp_path, keep=["scan-001"])
    assert beside(tmp_path / "kept") == ["kept", "scan-001", "scan-004"]


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path, result):
    with pytest.raises(UnknownName, match="'gif'"):
        outputs.write(result, tmp_path / "out", ["json", "gif"])
    with pytest.raises(UnknownName):
        outputs.check_formats([])
    assert list(tmp_path.iterdir()) == []
