"""The other formats, what is refused, and what is left behind."""

import io
import json
import re
import shutil
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toy_model import marker
from triplenet import networks
from triplenet.errors import BadModel, BadRun, ExportFailed, MissingExtra, OutputExists, PathMissing, UnknownName
from triplenet.explanation.one_pass import Explained
from triplenet.export import FORMATS, check, export, find_format
from triplenet.export import export_formats as formats
from triplenet.export.torch_program import CARD, refuse_pickles
from triplenet.model import load_model, read_card, save_model


@pytest.mark.parametrize("name", ["triple", "decovnet"])
def test_a_torch_program_runs_alone_for_any_number_of_images(name, exported, model_file):
    model, path = load_model(model_file(name)), exported(name, "torch").path
    extra = {CARD: ""}
    program = torch.export.load(path, extra_files=extra).module()
    assert json.loads(extra[CARD]) == read_card(model_file(name)).model_dump(mode="json")
    for batch in (1, 3):
        images = torch.from_numpy(check.random_inputs(model, batch)["images"])
        wanted = Explained(model)(images)
        found = program(images)
        assert set(found) == set(wanted)
        for part, tensor in wanted.items():
            torch.testing.assert_close(found[part], tensor, rtol=1e-4, atol=1e-4)


def test_a_network_that_reads_the_lung_takes_it_as_a_second_input(tmp_path):
    network = networks.build("covnet", lung_mask=True).eval()
    card = marker(size=40, crop=36, frames=4, method="covnet").card.model_copy(update={"network": {"lung_mask": True}})
    save_model(tmp_path / "model.safetensors", network, torch.full((40, 40), 0.5), card)
    made = export(tmp_path / "model.safetensors", tmp_path / "model.pt2", FORMATS["torch"])
    assert [port.name for port in made.inputs] == ["images", "lungs"]
    program = torch.export.load(made.path).module()
    images = torch.full((1, 1, 4, 40, 40), 200, dtype=torch.uint8)
    seen, unseen = (program(images, torch.full_like(images, inside))["logits"] for inside in (1, 0))
    assert not torch.allclose(seen, unseen)


def test_a_torch_program_holds_no_pickle(exported):
    with zipfile.ZipFile(exported("triple", "torch").path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert not name.endswith(".pkl")
            assert not zipfile.is_zipfile(io.BytesIO(content)), name
            if not re.search(r"/weights/weight_\d+$", name):
                content.decode()  # JSON and plain words


def test_a_pickle_in_a_torch_program_is_noticed(tmp_path):
    buffer = io.BytesIO()
    torch.save((torch.zeros(1),), buffer)
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("a/models/model.json", "{}")
        archive.writestr("a/data/sample_inputs/model.pt", buffer.getvalue())
    with pytest.raises(ExportFailed, match=r"pickles.*sample_inputs"):
        refuse_pickles(tmp_path / "a.pt2")


def test_safetensors_is_the_model_file_itself(exported, model_file):
    made = exported("decovnet", "safetensors")
    assert made.path.read_bytes() == model_file("decovnet").read_bytes()
    assert made.facts["tensors_sha256"] == read_card(model_file("decovnet")).tensors_sha256


def test_a_graph_that_says_something_else_is_not_kept(model_file, tmp_path, monkeypatch):
    module = import_module("triplenet.export.torch_program")
    found = module.differences

    def spoiled(model, run):
        return found(model, lambda inputs: {**run(inputs), "heat": run(inputs)["heat"] + np.float32(0.01)})

    monkeypatch.setattr(module, "differences", spoiled)
    with pytest.raises(ExportFailed, match=r"heat differ .* 0\.01"):
        export(model_file("wsdl"), tmp_path / "model.pt2", FORMATS["torch"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(model_file, tmp_path):
    (tmp_path / "model.onnx").write_text("precious")
    with pytest.raises(OutputExists):
        export(model_file("decovnet"), tmp_path / "model.onnx", FORMATS["onnx"])
    assert (tmp_path / "model.onnx").read_text() == "precious"


def test_bad_sources_are_refused_and_leave_nothing(model_file, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(model_file("decovnet").read_bytes())
    content[-3] ^= 1
    damaged.write_bytes(content)
    (tmp_path / "folder").mkdir()
    for source, error in ((damaged, BadModel), (tmp_path / "no", PathMissing), (tmp_path / "folder", BadRun)):
        for kind in ("safetensors", "torch"):
            with pytest.raises(error):
                export(source, tmp_path / "out", FORMATS[kind])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.safetensors", "folder"]


def test_unknown_and_misspelt_formats_are_told_apart():
    with pytest.raises(UnknownName, match=r"'monai'.*safetensors, onnx, torch"):
        find_format("monai")
    with pytest.raises(UnknownName, match="OpenVINO reads ONNX"):
        find_format("openvino")
    with pytest.raises(UnknownName, match="did you mean 'onnx'"):
        find_format("onx")


def test_a_missing_extra_is_named(model_file, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(MissingExtra, match=r"needs onnxscript; pip install 'triplenet\[export\]'"):
        export(model_file("decovnet"), tmp_path / "model.onnx", FORMATS["onnx"])


def test_each_format_is_a_module_that_writes():
    for one in FORMATS.values():
        assert callable(import_module(f"triplenet.export.{one.module}").write)


def test_the_example_in_the_readme_runs(exported, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (example,) = (code for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "onnxruntime" in code)
    shutil.copyfile(exported("triple", "onnx").path, tmp_path / "model.onnx")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8)).save(tmp_path / "slice.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README", "exec"), {})
    said = capsys.readouterr().out
    assert "negative" in said and "positive" in said
