"""``triplenet export`` as a user meets it."""

import json

import pytest
import torch
import typer
from typer.testing import CliRunner

from toy_model import marker
from toy_networks import frozen
from toy_prepared import write_toy
from toy_run import write_run
from triplenet.cli.export import export
from triplenet.errors import BadRun, UnknownName
from triplenet.files import sha256_of
from triplenet.model import save_model
from triplenet.training.run import write_info

app = typer.Typer()
app.command()(export)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.safetensors"
    card = marker(size=40, crop=36, method="wsdl").card
    save_model(path, frozen("wsdl"), torch.full((40, 40), 0.5), card)
    return path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_file_its_inputs_outputs_and_greatest_difference_are_said(model, tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    done = call(model, "-o", tmp_path / "model.onnx")
    assert done.exit_code == 0, done.output
    for text in (
        "ONNX graph of wsdl",
        "images: uint8 (batch, 1, 40, 40)",
        "-1000 HU and below is 0",
        "probabilities: float32 (batch, 2): of negative, positive",
        "heat: float32 (batch, 40, 40): CAM of the most probable class",
        "greatest difference from the model",
    ):
        assert text in done.stdout
    assert sha256_of(tmp_path / "model.onnx")[:16] in done.stdout


def test_json_is_one_object(model, tmp_path):
    done = call(model, "--format", "safetensors", "-o", tmp_path / "copy.safetensors", "--json")
    answer = json.loads(done.stdout)
    assert (answer["format"], answer["method"]) == ("safetensors", "wsdl")
    assert answer["sha256"] == sha256_of(model) == sha256_of(tmp_path / "copy.safetensors")
    assert answer["bytes"] == model.stat().st_size


def test_a_run_is_exported_once_it_is_finished(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 9, size=40)
    run = write_run(tmp_path / "run", prepared, "wsdl", crop=40)
    assert call(run.folder, "-o", tmp_path / "a.safetensors").exit_code == 0
    assert sha256_of(tmp_path / "a.safetensors") == sha256_of(run.model)
    write_info(run.folder, run.info.model_copy(update={"status": "running"}))
    assert isinstance(call(run.folder, "-o", tmp_path / "b.safetensors").exception, BadRun)
    assert not (tmp_path / "b.safetensors").exists()


def test_the_format_must_be_known_and_fit_the_name(model, tmp_path):
    assert call(model, "-o", tmp_path / "model.bin").exit_code == 2
    assert call(model, "--format", "torch", "-o", tmp_path / "model.onnx").exit_code == 2
    assert isinstance(call(model, "--format", "openvino", "-o", tmp_path / "model.xml").exception, UnknownName)
    assert list(tmp_path.iterdir()) == []
