"""The demo, small: every step runs, and ends in the benchmark's own page with the new scan on it."""

import json
import re
import shlex
from importlib import import_module

import numpy as np
import pytest
import typer
from PIL import Image

from toy_prepared import write_toy
from triplenet.cli.app import app
from triplenet.demo import run, steps
from triplenet.demo.patients_picture import write_patients_picture
from triplenet.errors import OutputExists
from triplenet.explanation.overlay import OUTLINE
from triplenet.model import load_model
from triplenet.prepare import PreparedSet
from triplenet.training import open_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    said = []
    with pytest.MonkeyPatch.context() as patch:
        # As `make demo` installs it, without umap-learn, whose compiler takes longer than all else here.
        patch.setattr(import_module("triplenet.evaluation.figures.embedding_figure"), "available", lambda: False)
        demo = run(tmp_path_factory.mktemp("demo") / "demo", patients=24, epochs=1, say=said.append)
    return demo, said


@pytest.mark.slow
def test_each_step_is_said_and_leaves_what_it_promises(made):
    demo, said = made
    assert [line[:3] for line in said if line[0].isdigit()] == [f"{number}/4" for number in range(1, 5)]
    prepared = PreparedSet.open(demo.folder / "prepared", verify=True)
    assert len(prepared) == 24
    assert any((demo.folder / "cohort" / "scans").rglob("*.dcm"))
    for method in steps.METHODS:
        opened = open_run(demo.folder / "benchmark" / "runs" / method / "fold-1" / "seed-0")
        assert opened.complete
        assert load_model(opened.model).card.data_sha256 == prepared.info.sha256
        assert len(opened.predictions().of("test").labels) == len(prepared.fold(1).test)
    assert any("AUC" in line and "Triple Net" in line for line in said)
    assert set(demo.seconds) == {"phantoms", "prepare", "benchmark", "predict"}


@pytest.mark.slow
def test_the_first_picture_is_there_before_the_trainings(made):
    demo, said = made
    told = next(number for number, line in enumerate(said) if "patients.png" in line)
    assert told < next(number for number, line in enumerate(said) if line.startswith("3/4"))
    picture = demo.folder / "patients.png"
    assert picture.stat().st_mtime < (demo.folder / "benchmark" / "benchmark.json").stat().st_mtime


@pytest.mark.slow
def test_the_new_scan_is_explained_and_is_none_of_the_cohorts(made):
    demo, _ = made
    folder = demo.folder / "results" / "scan-001"
    record = json.loads((folder / "result.json").read_text())
    assert record["slice"]["rule"] == "infection mask"
    assert record["explanation"]["kind"] == "attention"
    assert (folder / "overlay.png").stat().st_size > 10_000
    hashes = {path.read_bytes() for path in (demo.folder / "cohort" / "scans" / "phantom-0001").iterdir()}
    assert not hashes & {path.read_bytes() for path in (demo.folder / "new-scan" / "scans").rglob("*.dcm")}


@pytest.mark.slow
def test_the_page_is_the_benchmarks_own_with_the_new_scan(made):
    demo, _ = made
    page, own = (path.read_text() for path in (demo.report, demo.folder / "benchmark" / "report.html"))
    headings = [re.findall(r"<h2 [^>]*>(.*?)</h2>", text) for text in (page, own)]
    assert [title for title in headings[0] if title != "A new scan"] == headings[1]
    assert "A new scan" in headings[0]
    for title in ("Baseline ResNet18", "Triple Net", "Where they looked"):
        assert title in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "not a medical device" in page
    assert "Every scan on this page is synthetic" in page
    assert str(demo.folder) not in page


@pytest.mark.slow
def test_the_commands_on_the_page_are_commands_and_those_that_were_done(made):
    demo, _ = made
    page = demo.report.read_text()
    group = typer.main.get_command(app)
    asked = {}
    for command in demo.commands:
        assert command.replace("&", "&amp;") in page
        program, verb, *words = shlex.split(command)
        assert program == "triplenet"
        asked.setdefault(verb, []).append(group.get_command(None, verb).make_context(verb, words).params)
    plan = demo.benchmark.benchmark.plan
    (compared,) = asked["benchmark"]
    assert compared["methods"].split(",") == list(plan.methods)
    assert tuple(compared["settings"]) == plan.settings
    assert (compared["recipe"], compared["folds"]) == (plan.source, "1")
    assert (demo.folder / asked["predict"][0]["model"]).is_file()
    assert (demo.folder / asked["predict"][0]["infection"]).is_file()
    assert (demo.folder / asked["predict"][0]["scans"][0]).is_dir()
    assert [one["patients"] for one in asked["phantom"]] == [24, 1]
    assert asked["prepare"][0]["size"] == plan.prepared.info.size


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(OutputExists):
        run(tmp_path)


def test_the_first_picture_shows_patients_of_each_finding_with_their_lesions(tmp_path):
    prepared = write_toy(tmp_path / "set", ("none", "spot") * 9, size=40)
    write_patients_picture(prepared, tmp_path / "patients.png")
    picture = np.asarray(Image.open(tmp_path / "patients.png").convert("RGB"))
    outlined = np.flatnonzero((picture == OUTLINE).all(axis=-1).any(axis=0))
    assert outlined.size  # of the spots alone, which stand in the second column
    assert outlined.min() > picture.shape[1] / 3
