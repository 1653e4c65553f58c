"""``import triplenet`` is the command line as calls."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import triplenet
from prepare.synthetic import chest, write
from toy_prepared import TASK, write_toy
from triplenet import phantom
from triplenet.cli import benchmark, evaluate, explain, export, predict, prepare, train
from triplenet.files import write_csv
from triplenet.inference import Options, OptionValues
from triplenet.scan import NO_NAMES

#: verb -> the call, and what only the command line or only the call has.
VERBS = {
    "prepare": (prepare.prepare, triplenet.prepare, {"json"}, {"on_progress"}),
    "train": (train.train, triplenet.train, {"json", "seeds"}, {"on_epoch", "on_step"}),
    "evaluate": (evaluate.evaluate, triplenet.evaluate, {"json"}, {"write"}),
    "benchmark": (benchmark.benchmark, triplenet.benchmark, {"json"}, {"command", "following"}),
    "explain": (
        explain.explain,
        triplenet.explain_run,
        {"json", "run", "out", "reader_study", "seed", "read", "key"},  # with --read the first two are left out
        {"run", "out", "on_progress"},
    ),
    "explain, a reader study": (
        explain.explain,
        triplenet.write_reader_study,
        {"json", "run", "out", "reader_study", "patients", "limit", "class_", "map_", "identifiers", "read", "key"},
        {"runs", "out", "cases", "on_progress"},
    ),
    "explain, the answers of one": (
        explain.explain,
        triplenet.read_answers,
        {*inspect.signature(explain.explain).parameters} - {"seed"},
        {"read", "key", "resamples"},
    ),
    "export": (export.export, triplenet.export, {"json"}, {"on_step"}),
    "predict": (
        predict.predict,
        triplenet.predict,
        {"json", "scans", "out", "outputs", "site", "table", "studies", "jobs", "ray", "restart"},
        {"source", "keep"},  # which follows from --outputs
    ),
    "predict, a batch": (
        predict.predict,
        triplenet.predict_batch,
        {"json", "scans"},  # which a command may leave out, and a call says as None
        {"scans", "on_note", "on_written"},
    ),
}
#: Options whose name a call spells otherwise.
RENAMED = {"slice_": "slice_from_feet", "format_": "format"}


def plain(default: object) -> object:
    """A default as the command line has it: lists as text with commas, nothing as None."""
    if default in ((), NO_NAMES):
        return None
    return ",".join(map(str, default)) if isinstance(default, tuple) else default


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_and_its_call_have_the_same_options_with_the_same_defaults(name):
    verb, call, only_verb, only_call = VERBS[name]
    options = {
        RENAMED.get(option, option): parameter.default
        for option, parameter in inspect.signature(verb).parameters.items()
        if option not in only_verb
    }
    taken = {
        option: plain(parameter.default)
        for option, parameter in inspect.signature(call).parameters.items()
        if option not in only_call and parameter.kind is not parameter.VAR_KEYWORD
    }
    if "options" in inspect.signature(call).parameters:
        taken |= {one.name: plain(getattr(Options(), one.name)) for one in fields(Options)}
    assert taken == options


def test_options_by_name_are_those_of_the_options():
    assert list(OptionValues.__annotations__) == [one.name for one in fields(Options)]
    assert get_type_hints(OptionValues) == get_type_hints(Options)


def test_several_seeds_take_what_one_takes():
    one = set(inspect.signature(triplenet.train).parameters)
    several = set(inspect.signature(triplenet.train_seeds).parameters) - {"seeds", "on_run", "options"}
    from triplenet.training.trainings import TrainingOptions

    assert several | set(TrainingOptions.__annotations__) == one


def test_importing_it_imports_neither_torch_nor_numpy():
    code = "import sys, triplenet; dir(triplenet); assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_and_preparing_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; import triplenet\n"
        "names = 'read_scan open_scan read_cohort prepare PreparedSet load_task open_run import_dataset'.split()\n"
        "[getattr(triplenet, name) for name in names]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there_and_known_to_type_checkers():
    tree = ast.parse(Path(triplenet.__file__).read_text())
    (typed,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    names = [alias.asname or alias.name for line in typed.body for alias in line.names]
    assert sorted(names) == sorted(triplenet.__all__) == sorted(triplenet._HOMES)
    assert set(names) <= set(dir(triplenet))
    for name in names:
        assert getattr(triplenet, name) is not None
    with pytest.raises(AttributeError, match="predikt"):
        triplenet.predikt  # noqa: B018 - asked for


def test_a_call_is_not_hidden_by_the_room_of_its_name():
    code = (
        "import triplenet, triplenet.prepare.build, triplenet.export, triplenet.benchmark.plan\n"
        "from triplenet.prepare import PreparedSet\n"
        "assert all(callable(one) for one in (triplenet.prepare, triplenet.export, triplenet.benchmark))\n"
        "assert triplenet.catalog.METHODS"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_several_seeds_are_numbered_and_told_one_by_one(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 9, size=40, frames=4)
    settings = [
        "augmentation.crop=32",
        "training.batch=4",
        "training.epochs=1",
        "network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]",
    ]
    told = []
    runs = triplenet.train_seeds(
        prepared.folder,
        tmp_path / "runs",
        TASK,
        (4, 2),
        method="decovnet",
        settings=settings,
        encoder="none",
        track=(),
        on_run=told.append,
    )
    assert [run.folder.name for run in runs] == ["seed-4", "seed-2"] and told == list(runs)
    assert [run.recipe.training.seed for run in runs] == [4, 2]
    with pytest.raises(triplenet.TripleNetError, match="different"):
        triplenet.train_seeds(prepared, tmp_path / "more", TASK, (1, 1), method="decovnet")
    assert not (tmp_path / "more").exists()


def test_a_recipe_is_taken_as_it_is_with_settings_on_top():
    recipe = triplenet.load_recipe("quick", method="triple", settings=["network.fuse=true"], encoder="none")
    again = triplenet.load_recipe(recipe, settings=["training.epochs=3"])
    assert again.network["fuse"] is True and again.encoder.weights == "none"
    assert (again.training.epochs, again.training.batch) == (3, recipe.training.batch)
    assert "fuse" not in triplenet.load_recipe(recipe, method="baseline").network


README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
#: What makes the README's example small, text -> text.
SMALLER = {
    "derive_lung=True)": "derive_lung=True, size=64)",
    'encoder="resnet18-f37072fd.pth")': 'encoder="none", recipe=tiny)',
    'methods=["baseline", "triple"])': 'methods=["baseline"], recipe=tiny, encoder="none", folds=[1], figures=False)',
}


def small_patient(folder, number):
    """The cells of a patient who lies as nobody else does: the same image may not stand on two sides of a fold."""
    hu, lung, infection, geometry = chest(lesion=(2, 48, 27, 5) if number % 2 else None)
    there = ((number % 3 - 1) * 8, (number // 3 - 3) * 4)
    hu, lung, infection = (np.roll(array, there, axis=(1, 2)) for array in (hu, lung, infection))
    cells = write(folder, f"P{number:03d}", hu, geometry, lung=lung, infection=infection)
    return cells | {"finding": "typical" if number % 2 else "negative"}


@pytest.mark.slow
def test_the_readmes_example_runs(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(import triplenet\n.*?)```", README, flags=re.DOTALL)
    for text, smaller in SMALLER.items():
        assert example.count(text) == 1
        example = example.replace(text, smaller)
    if find_spec("onnxruntime") is None:
        example = example.replace('triplenet.export(run.folder, "model.onnx")', "")
    monkeypatch.chdir(tmp_path)
    rows = [small_patient(tmp_path, number) for number in range(18)]
    write_csv(tmp_path / "cohort.csv", rows)
    for name in ("new-scan", "another"):
        phantom.write_cohort(tmp_path / name, patients=1, seed=5, format="dicom", matrix=64, thickness_mm=10)
    tiny = triplenet.load_recipe(method="triple", settings=["training.epochs=1", "training.batch=4"])
    exec(compile(example, "README", "exec"), {"tiny": tiny})
    for made in ("explained/explanations.csv", "results/scan-002/result.json", "benchmark/report.html"):
        assert (tmp_path / made).is_file(), made
