"""A model says the same in torch, in ONNX Runtime and in OpenVINO, and the exported one needs no torch."""

import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from export.conftest import CROP
from inference.test_searched_slice import held, patient
from toy_model import marker
from triplenet import scan
from triplenet.errors import BadInput, BadModel, MissingExtra, PathMissing, UnknownName
from triplenet.export import export
from triplenet.files import sha256_of
from triplenet.inference import Classifier, Options, Record, load_runtime, predict, runtime, slice_choice
from triplenet.inference.runtime import TorchRuntime, begin_to_load, softmax
from triplenet.model import load_model, read_card, read_onnx_card, save_model
from triplenet.model.embedding import Embedding
from triplenet.model.training_scans import EmbeddingFacts, TrainingScans
from triplenet.outputs import predict_batch

pytest.importorskip("onnxruntime", reason="needs the extra `export`")
pytest.importorskip("onnxscript", reason="needs the extra `export`")

#: One of each kind; test_every_method compares the graphs of all.
KINDS = pytest.mark.parametrize("name", ["resnet3d", "baseline", "triple"])
SEVERAL = ((20, 45, 28, 14.0), (41, 50, 68, 22.0))


def images(card, batch=3):
    frames = (card.frames,) if card.frames else ()
    return np.random.default_rng(4).integers(0, 256, (batch, *frames, card.size, card.size), dtype=np.uint8)


@KINDS
def test_every_runtime_gives_what_torch_gives(name, exported, model_file):
    torch_runtime = load_runtime(model_file(name))
    others = {"onnxruntime": load_runtime(exported(name, "onnx").path)}
    if name == "triple":
        pytest.importorskip("openvino", reason="needs the extra `openvino`")
        others["openvino"] = load_runtime(exported(name, "onnx").path, runtime="openvino")
    grey = images(torch_runtime.card, 2 if torch_runtime.card.frames else 3)
    lungs = (grey > 100).astype(np.uint8) if torch_runtime.channels == 2 else None
    wanted = torch_runtime.answer(grey, lungs)
    for kind, other in others.items():
        assert (other.name, other.channels, other.segments) == (
            kind,
            torch_runtime.channels,
            torch_runtime.segments,
        )
        assert other.card == torch_runtime.card and other.file_sha256 is not None
        found = other.answer(grey, lungs)
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.heat, wanted.heat, rtol=0, atol=2e-4)
        assert (found.class_heat is None) == (wanted.class_heat is None) == (name != "triple")
        if wanted.class_heat is not None:
            assert wanted.class_heat.shape == grey.shape
            np.testing.assert_allclose(found.class_heat, wanted.class_heat, rtol=0, atol=2e-4)
        assert (found.segmentation is None) == (wanted.segmentation is None)
        if wanted.segmentation is not None:
            assert (found.segmentation == wanted.segmentation).mean() > 0.999
        assert kind in other.versions()


def test_a_scan_is_predicted_from_onnx_without_torch(exported, model_file, tmp_path):
    hu, geometry = patient(*SEVERAL)
    scan.write_nifti(tmp_path / "scan.nii.gz", hu, geometry)
    wanted = Classifier.load(model_file("triple"))(tmp_path / "scan.nii.gz").record
    code = f"""
import sys
for name in ("torch", "onnx", "sklearn", "matplotlib"):
    sys.modules[name] = None
sys.argv = ["triplenet", "predict", {str(tmp_path / "scan.nii.gz")!r}, "--out", {str(tmp_path / "out")!r},
    "--model", {str(exported("triple", "onnx").path)!r}]
from triplenet.cli.app import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = Record.model_validate_json((tmp_path / "out/scan-001/result.json").read_text(encoding="utf-8"))
    assert "torch" not in found.versions and found.model.runtime == "onnxruntime"
    assert found.predicted == wanted.predicted and found.slice == wanted.slice
    assert found.search == wanted.search
    for one, other in zip(found.classes, wanted.classes, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
    without_explanation = [sys.executable, "-c", code.replace(".onnx", ".safetensors").replace("exports", "models")]
    assert "error[" in subprocess.run(without_explanation, capture_output=True, text=True).stderr


def test_a_graph_that_was_exported_without_the_evidence_for_a_class_still_answers(exported, tmp_path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(exported("triple", "onnx").path)
    (unknown,) = (output for output in graph.graph.output if output.name == "class_heat")
    graph.graph.output.remove(unknown)
    onnx.save(graph, tmp_path / "earlier.onnx")
    names = ("onnxruntime", "openvino") if find_spec("openvino") else ("onnxruntime",)
    for name in names:
        whole, earlier = (
            load_runtime(path, runtime=name) for path in (exported("triple", "onnx").path, tmp_path / "earlier.onnx")
        )
        wanted, found = whole.answer(images(whole.card)), earlier.answer(images(whole.card))
        assert found.class_heat is None and wanted.class_heat is not None
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.heat, wanted.heat, rtol=0, atol=1e-6)


def test_the_card_of_an_export_is_that_of_the_model(exported, model_file):
    assert read_onnx_card(exported("baseline", "onnx").path) == read_card(model_file("baseline"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no model card"),
        (b"\x72\xff\xff\xff\xff\x0f", "damaged"),
        (b"\x0f", "damaged"),
        (b"\x08" + b"\xff" * 12, "damaged"),
        (b"\x72\x04\x0a\x02\xff\xfe", "damaged"),
        (b"no onnx at all", "damaged"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, content, says):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(BadModel, match=says):
        read_onnx_card(tmp_path / "model.onnx")
    with pytest.raises(BadModel):
        load_runtime(tmp_path / "model.onnx")


def test_a_damaged_graph_is_refused_whatever_runs_it(exported, tmp_path):
    path = shutil.copy(exported("triple", "onnx").path, tmp_path / "cut.onnx")
    content = bytearray(path.read_bytes())
    content[2000:2400] = bytes(400)
    path.write_bytes(content)
    for name in ("onnxruntime", "openvino"):
        with pytest.raises(BadModel):
            load_runtime(path, runtime=name)


@pytest.mark.parametrize(
    ("name", "device", "error"),
    [("torch", "cpu", UnknownName), ("jax", "cpu", UnknownName), ("auto", "cuda", UnknownName)],
)
def test_a_runtime_that_does_not_run_it_is_refused(exported, name, device, error):
    with pytest.raises(error):
        load_runtime(exported("baseline", "onnx").path, device, name)


def test_a_file_that_is_not_there_and_a_runtime_that_is_not_installed(exported, tmp_path, monkeypatch):
    with pytest.raises(PathMissing):
        load_runtime(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="onnx"):
        load_runtime(exported("baseline", "onnx").path, runtime="onnxruntime")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match="onnx"):
        load_runtime(exported("baseline", "onnx").path)


def test_images_that_do_not_fit_are_refused():
    ready = TorchRuntime(marker())
    with pytest.raises(BadInput, match="uint8"):
        ready.answer(np.zeros((1, 96, 96), np.float32))
    with pytest.raises(BadInput, match="96"):
        ready.answer(np.zeros((1, 64, 96), np.uint8))


def test_a_softmax_adds_up_to_one_however_large_the_scores_are():
    found = softmax([[1000.0, 0.0], [-1000.0, -1001.0]], 2.0)
    np.testing.assert_allclose(found.sum(1), 1)
    assert found[1, 0] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_a_classifier_is_loaded_once_and_called_for_each_scan():
    classify = Classifier.load(marker(), aggregate="mean", best_slices=3)
    assert classify.options == Options(aggregate="mean", best_slices=3)
    one, other = (classify(held(*patient(*SEVERAL))).record for _ in range(2))
    assert one.model_copy(update={"timings_ms": {}}) == other.model_copy(update={"timings_ms": {}})
    assert len(one.decision.slices) == 3 and one.decision.aggregate == "mean"


@pytest.fixture
def knowing(model_file, tmp_path):
    """A model that knows its training scans and carries a temperature."""
    model = load_model(model_file("double"))
    generator = torch.Generator().manual_seed(1)
    width = model.network.features(torch.zeros(1, 1, CROP, CROP)).shape[1]
    embedding = Embedding(torch.rand(width, generator=generator), torch.rand(width, width, generator=generator))
    facts = EmbeddingFacts(quantile=0.99, limit=1e-3, patients=9, of="validation")
    scans = TrainingScans(patients=20, slice_mm=(1.0, 1.2), embedding=facts)
    card = model.card.model_copy(update={"training_scans": scans, "temperature": 2.5})
    save_model(tmp_path / "model.safetensors", model.network, model.mean_image, card, embedding)
    return tmp_path / "model.safetensors"


def test_an_export_keeps_the_temperature_and_the_distance_from_the_training_scans(knowing, tmp_path):
    written = export(knowing, tmp_path / "model.onnx")
    assert "distance" in written.differences
    assert "2.5" in next(port.what for port in written.outputs if port.name == "probabilities")
    own, exported = load_runtime(knowing), load_runtime(tmp_path / "model.onnx")
    grey = images(own.card)
    one, other = own.answer(grey), exported.answer(grey)
    np.testing.assert_allclose(other.distance, one.distance, rtol=1e-4)
    np.testing.assert_allclose(other.probabilities, one.probabilities, atol=1e-4)
    if find_spec("openvino"):
        by_openvino = load_runtime(tmp_path / "model.onnx", runtime="openvino").answer(grey)
        np.testing.assert_allclose(by_openvino.distance, one.distance, rtol=1e-4)
    model = load_model(knowing)
    with torch.no_grad():
        inputs = model.normalise(grey)
        np.testing.assert_allclose(one.distance, model.embedding.distances(model.network.features(inputs)), rtol=1e-5)
        wanted = (model.network(inputs).logits.double() / 2.5).softmax(1)
    np.testing.assert_allclose(one.probabilities, wanted, atol=1e-6)


def test_a_scan_unlike_the_training_scans_is_told(knowing):
    record = predict(held(*patient(*SEVERAL)), knowing, slice_from_feet=20).record
    assert len(record.unlike_training) == 2
    assert record.unlike_training[0].startswith("slices are 2 mm apart")
    assert "beyond the 0.001" in record.unlike_training[1]
    assert [f"Unlike the training scans: {reason}." for reason in record.unlike_training] == list(record.warnings[:2])
    assert record.model.temperature == 2.5


@pytest.mark.parametrize(("missing", "wanted"), [((), "onnxruntime"), (("onnxruntime",), "openvino")])
def test_an_onnx_file_is_run_by_what_is_there(exported, monkeypatch, missing, wanted):
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    real = runtime.find_spec
    monkeypatch.setattr(runtime, "find_spec", lambda name: None if name in missing else real(name))
    assert load_runtime(exported("triple", "onnx").path).name == wanted


def test_the_network_of_a_single_scan_loads_while_the_lungs_are_found(exported, tmp_path, monkeypatch):
    """It is not there before they are, and nobody minds."""
    hu, geometry = patient(*SEVERAL)
    scan.write_nifti(tmp_path / "scan.nii.gz", hu, geometry)
    lungs_found, in_time = threading.Event(), []
    find, load = slice_choice.keep_to_lungs, runtime._load_graph

    def find_lungs(*given):
        chest = find(*given)
        lungs_found.set()
        return chest

    def load_late(path):
        in_time.append(lungs_found.wait(60))
        return load(path)

    monkeypatch.setattr(slice_choice, "keep_to_lungs", find_lungs)
    monkeypatch.setattr(runtime, "_load_graph", load_late)
    (written,) = predict_batch([tmp_path / "scan.nii.gz"], exported("triple", "onnx").path, tmp_path / "out")
    assert in_time == [True]
    assert written.record.model.file_sha256 == sha256_of(exported("triple", "onnx").path)


def test_a_graph_that_cannot_be_used_is_refused_where_it_is_loaded_and_for_one_scan_where_it_is_asked(
    exported, tmp_path, monkeypatch
):
    hu, geometry = patient(*SEVERAL)
    scan.write_nifti(tmp_path / "scan.nii.gz", hu, geometry)

    def fails(path):
        raise BadModel("the graph cannot be used", where=path)

    monkeypatch.setattr(runtime, "_load_graph", fails)
    path = exported("triple", "onnx").path
    begun = begin_to_load(path)
    assert begun.card.method == "triple"
    for ask in (begun.ready, lambda: begun.channels, lambda: begun.answer(images(begun.card))):
        with pytest.raises(BadModel):
            ask()
    with pytest.raises(BadModel):
        Classifier.load(path)
    with pytest.raises(BadModel):  # the scans of a batch are not to blame
        predict_batch([tmp_path / "scan.nii.gz"] * 2, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadModel):
        predict_batch([tmp_path / "scan.nii.gz"], path, tmp_path / "out")
    assert not (tmp_path / "out" / "scan-001").exists()
