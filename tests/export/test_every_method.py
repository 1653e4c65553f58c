"""What holds for every method's ONNX file: a new method is tested by being in the catalog."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import triplenet
from triplenet import catalog
from triplenet.catalog import METHODS
from triplenet.explanation import heat_maps
from triplenet.model import load_model, read_card

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
onnx = pytest.importorskip("onnx", reason="needs the extra `export`")
pytest.importorskip("onnxscript", reason="needs the extra `export`")

every_method = pytest.mark.parametrize("name", METHODS)


def scans(model, batch, seed=5):
    """Grey images as a prepared set holds them: blobs in noise."""
    card = model.card
    frames = (card.frames,) if card.frames else ()
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 120, (batch, *frames, card.size, card.size))
    for image in images:
        row, column = generator.integers(10, card.size - 30, 2)
        image[..., row : row + 20, column : column + 20] += 130
    return images.astype(np.uint8)


def session_of(exported, name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(exported(name, "onnx").path, options)


def run(session, images):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images[:, None]}), strict=True))


@every_method
def test_onnx_runtime_alone_gives_what_the_model_gives_for_any_number_of_images(name, exported, model_file):
    model, session = load_model(model_file(name)), session_of(exported, name)
    start, stop = (72 - 64) // 2, (72 + 64) // 2
    for batch in (3, 1):
        images = scans(model, batch)
        with torch.no_grad():
            wanted = model.network(model.normalise(images))
        found = run(session, images)
        largest = max(1.0, float(wanted.logits.abs().max()))
        np.testing.assert_allclose(found["logits"], wanted.logits, rtol=0, atol=1e-4 * largest)
        np.testing.assert_allclose(found["probabilities"], wanted.logits.softmax(1), rtol=0, atol=1e-4)
        heat = heat_maps(model, images)
        assert heat.max() > 0.2
        np.testing.assert_allclose(found["heat"], heat, rtol=0, atol=1e-4)
        evidence = model.network.answer(model.normalise(images)).class_heat
        assert (evidence is None) == ("class_heat" not in found)
        if evidence is not None:
            assert evidence.max() > 0.01
            np.testing.assert_allclose(found["class_heat"][..., start:stop, start:stop], evidence, rtol=0, atol=1e-4)
            assert not found["class_heat"][..., :start, :].any() and not found["class_heat"][..., stop:].any()
        inside = (..., slice(start, stop), slice(start, stop))
        if wanted.segmentation is not None:
            np.testing.assert_allclose(found["segmentation"][inside], wanted.segmentation.softmax(1), rtol=0, atol=1e-4)
        if wanted.attention is not None:
            np.testing.assert_allclose(found["attention"][inside], wanted.attention, rtol=0, atol=1e-4)


@every_method
def test_onnx_has_the_parts_that_the_method_has_and_names_its_axes(name, exported):
    method = catalog.method(name)
    parts = ["logits", "probabilities", "heat"]
    parts += ["class_heat"] if method.explanation in ("attention", "abn-map") else []
    parts += ["segmentation"] if "segmentation" in method.terms else []
    parts += ["attention"] if method.explanation in ("attention", "abn-map") else []
    session = session_of(exported, name)
    (images,) = session.get_inputs()
    frames = [6] if method.dimensions == 3 else []
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["batch", 1, *frames, 72, 72])
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert list(shapes) == parts
    assert shapes["probabilities"] == ["batch", 2]
    assert shapes["heat"] == shapes.get("class_heat", shapes["heat"]) == ["batch", *frames, 72, 72]
    assert [port.name for port in exported(name, "onnx").outputs] == parts


@every_method
def test_onnx_says_what_it_is_and_nothing_of_the_machine(name, exported, model_file):
    path = exported(name, "onnx").path
    about = session_of(exported, name).get_modelmeta().custom_metadata_map
    assert json.loads(about["triplenet"]) == read_card(model_file(name)).model_dump(mode="json")
    assert json.loads(about["classes"]) == ["negative", "positive"]
    assert json.loads(about["window_hu"]) == [-1000, -500]
    assert (about["size"], about["method"]) == ("72", name)
    assert "not a medical device" in about["intended_use"]
    content = path.read_bytes()
    for place in (Path(triplenet.__file__).parent, Path(torch.__file__).parent, sys.prefix, Path.home() / "x"):
        assert str(place).encode() not in content
    onnx.checker.check_model(path, full_check=True)


@every_method
def test_the_greatest_difference_is_reported_and_small(name, exported):
    found = exported(name, "onnx").differences
    assert set(found) == {port.name for port in exported(name, "onnx").outputs}
    assert max(found["heat"], found["probabilities"]) <= 1e-4


def test_an_image_that_is_normalised_already_is_refused_by_its_type(exported):
    session = session_of(exported, "triple")
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="uint8"):
        session.run(None, {"images": np.zeros((1, 1, 72, 72), np.float32)})
