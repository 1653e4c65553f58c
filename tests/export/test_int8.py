"""A graph in 8-bit integers says what it changed, and runs as the other does."""

import json

import numpy as np
import onnx
import pytest

from export.conftest import SIZE
from toy_prepared import write_toy
from triplenet.errors import BadInput, UnknownName
from triplenet.export import export
from triplenet.inference import load_runtime
from triplenet.prepare import PreparedSet

pytest.importorskip("onnxscript", reason="needs the extra `export`")


def finding(_row, kind):
    return "typical" if kind == "spot" else "negative"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("set") / "prepared", size=SIZE, labels=finding)


@pytest.fixture(scope="module")
def small(tmp_path_factory, model_file, prepared):
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    return export(model_file("baseline"), path, int8=prepared)


def test_it_is_smaller_and_tells_what_it_changed(small, exported, prepared):
    whole = exported("baseline", "onnx")
    assert small.bytes < 0.4 * whole.bytes and small.card == whole.card
    told = {entry.key: entry.value for entry in onnx.load(small.path).metadata_props}
    change = json.loads(told["int8"])
    opened = PreparedSet.of(prepared)
    assert change["patients"] == len(opened.fold(small.card.fold).test) and change["data_sha256"] == opened.info.sha256
    assert change["difference"] == pytest.approx(change["auc"] - change["auc_before"], abs=2e-4)
    assert f"on {change['patients']} test patients of fold 1" in small.facts["int8"]
    assert small.differences == {}


def test_what_is_told_is_what_both_graphs_say(small, exported, prepared):
    opened = PreparedSet.of(prepared)
    rows = opened.rows(opened.fold(1).test)
    images = np.array(opened.images[rows])
    whole, whole_numbers = (load_runtime(each.path).answer(images) for each in (exported("baseline", "onnx"), small))
    change = json.loads({e.key: e.value for e in onnx.load(small.path).metadata_props}["int8"])
    found = np.abs(whole.probabilities - whole_numbers.probabilities).max()
    assert change["greatest_change"] == pytest.approx(found, abs=2e-3)
    assert 0 < found < 0.2


def test_openvino_which_gives_other_numbers_is_refused_it(small):
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    with pytest.raises(UnknownName, match="use onnxruntime"):
        load_runtime(small.path, runtime="openvino")


def test_what_cannot_be_quantised_is_refused_and_leaves_nothing(model_file, prepared, tmp_path):
    with pytest.raises(BadInput, match="volumes"):
        export(model_file("resnet3d"), tmp_path / "a.onnx", int8=prepared)
    with pytest.raises(BadInput, match="not written in 8-bit"):
        export(model_file("baseline"), tmp_path / "a.safetensors", int8=prepared)
    other = write_toy(tmp_path / "other", size=SIZE - 8, labels=finding)
    with pytest.raises(BadInput, match="another size or window"):
        export(model_file("baseline"), tmp_path / "a.onnx", int8=other)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
