"""``triplenet explain`` as a user meets it."""

import csv
import json

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from toy_prepared import write_toy
from toy_run import write_run
from triplenet.cli.explain import explain
from triplenet.errors import OutputExists, UnknownName
from triplenet.explanation import gallery
from triplenet.explanation.overlay import OUTLINE

app = typer.Typer()
app.command()(explain)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    prepared = write_toy(folder / "set", ("none", "spot") * 9, size=40)
    return write_run(folder / "run", prepared, "triple", crop=32), prepared


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def table(folder):
    with (folder / "explanations.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_picture_a_patient_a_panel_a_class_and_a_table(run, tmp_path):
    done = call(run[0].folder, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    names = run[1].fold(1).test
    rows = table(tmp_path / "out")
    assert [row["patient"] for row in rows] == list(names)
    assert [row["file"] for row in rows] == [f"patient-{number:03d}.png" for number in run[1].rows(names) + 1]
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert f"{len(names)} test patients explained, {right} of {len(names)} predicted right" in done.stdout
    for row in rows:
        assert float(row["p_none"]) + float(row["p_spot"]) == pytest.approx(1, abs=2e-6)
        assert row["right"] == ("yes" if row["label"] == row["predicted"] else "no")
        # An attention map speaks of no class; without a spot there is nothing to lie in.
        assert row["explained"] == ""
        assert (row["energy_in_lesion"] == "") == (row["finding"] == "none")
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {row["file"] for row in rows} | {"class-1-none.png", "class-2-spot.png"}
    for row in rows:
        picture = np.asarray(Image.open(tmp_path / "out" / row["file"]).convert("RGB"))
        assert (picture == OUTLINE).all(axis=-1).any() == (row["finding"] == "spot")
    about = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert (about["method"], about["partition"], about["patients"]) == ("triple", "test", len(names))
    assert about["data_sha256"] == run[1].info.sha256


def test_a_panel_says_who_was_recognised_and_who_mistaken(run, tmp_path, monkeypatch):
    said = {}
    real = gallery.panel

    def panel(rows, *, headings, **more):
        said[" ".join(headings)] = sum(bool(tile.lines) for row in rows for tile in row)
        return real(rows, headings=headings, **more)

    monkeypatch.setattr(gallery, "panel", panel)
    assert call(run[0].folder, "--out", tmp_path / "out").exit_code == 0
    rows = table(tmp_path / "out")
    for name in ("none", "spot"):
        headings = next(text for text in said if text.startswith(f"{name}, "))
        for word, right in (("recognised", "yes"), ("mistaken", "no")):
            assert (f"{name}, {word}" in headings) == any((row["label"], row["right"]) == (name, right) for row in rows)


def test_beside_a_map_of_no_class_stands_the_evidence_for_the_class(run, tmp_path, monkeypatch):
    """A patient has the slice, both maps and the infection; a panel both maps of whoever is on it."""
    drawn = []
    real = gallery.panel

    def panel(rows, *, headings, note, **more):
        drawn.append((headings, len(rows[0]), note))
        return real(rows, headings=headings, note=note, **more)

    monkeypatch.setattr(gallery, "panel", panel)
    assert call(run[0].folder, "--out", tmp_path / "out", "--class", "spot").exit_code == 0
    about = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert "what speaks for the class" in about["class_evidence"]
    for headings, across, note in drawn:
        assert len(headings) == across and "what speaks for the class" in note
        patient = headings[0] == "slice"
        title = "Class evidence for class spot" if patient else "class evidence"
        attention = "Infection probability (attention map)" if patient else "attention map"
        assert headings.index(title) == headings.index(attention) + 1


def test_a_method_whose_map_is_of_a_class_has_no_second_one(run, tmp_path):
    one = write_run(tmp_path / "run", run[1], "baseline", crop=32)
    assert call(one.folder, "--out", tmp_path / "out", "--limit", 1).exit_code == 0
    assert json.loads((tmp_path / "out" / "explanations.json").read_text())["class_evidence"] is None


def test_a_gallery_can_be_of_any_kind_of_map(run, tmp_path, monkeypatch):
    drawn = []
    real = gallery.panel

    def panel(rows, *, headings, note, **more):
        drawn.append((headings, note))
        return real(rows, headings=headings, note=note, **more)

    monkeypatch.setattr(gallery, "panel", panel)
    words = (run[0].folder, "--limit", 2, "--class", "spot")
    assert call(*words, "--out", tmp_path / "out", "--map", "grad-cam++").exit_code == 0
    about = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert (about["map"], about["scale"], about["class_evidence"]) == ("grad-cam++", "own maximum", None)
    assert about["cost"]["evaluations_a_map"] == 1 and about["cost"]["ms_a_map"] > 0
    patients = [(headings, note) for headings, note in drawn if headings[0] == "slice"]
    assert len(patients) == 2
    for headings, note in patients:
        assert headings[1] == "Grad-CAM++ for class spot" and "Class evidence for class spot" not in headings
        assert "highest value is 1 in every image" in note
    rows = table(tmp_path / "out")
    assert [row["explained"] for row in rows] == ["spot", "spot"]
    assert all(float(row["heat_max"]) in (0, 1) for row in rows)
    done = call(*words, "--out", tmp_path / "same", "--map", "eigen-cam")
    assert "Eigen-CAM: 1 evaluation and " in done.stdout
    assert "Eigen-CAM is the same for every class" in done.stderr
    assert [row["explained"] for row in table(tmp_path / "same")] == ["", ""]
    assert isinstance(call(*words, "--out", tmp_path / "none", "--map", "grad-cam+").exception, UnknownName)


def test_names_stay_in_the_table_unless_asked_for(run, tmp_path):
    words = (run[0].folder, "--limit", 2, "--json")
    done = call(*words, "--out", tmp_path / "out")
    name = run[1].fold(1).test[0]
    answer = json.loads(done.stdout)
    assert answer["patients"] == 2 and len(answer["cases"]) == 2
    assert isinstance(answer["cases"][0]["p_spot"], float)
    assert name not in done.stdout + " ".join(path.name for path in (tmp_path / "out").iterdir())
    asked = call(*words, "--out", tmp_path / "named", "--identifiers")
    assert json.loads(asked.stdout)["cases"][0]["patient"] == name
    assert (tmp_path / "named" / f"patient-{run[1].rows([name])[0] + 1:03d}-{name}.png").is_file()


def test_what_cannot_be_is_refused_and_nothing_is_left(run, tmp_path, monkeypatch):
    folder, out = run[0].folder, tmp_path / "out"
    assert call(folder, "--out", out, "--partition", "tests").exit_code == 2
    assert call(folder, "--out", out, "--style", "neon").exit_code == 2
    assert isinstance(call(folder, "--out", out, "--patients", "nobody").exception, UnknownName)
    assert isinstance(call(folder, "--out", out, "--class", "lesion").exception, UnknownName)
    with monkeypatch.context() as patch:
        patch.setattr(gallery, "write_csv", lambda *_: (_ for _ in ()).throw(RuntimeError("the disk is full")))
        assert isinstance(call(folder, "--out", out).exception, RuntimeError)
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    (out / "precious").write_text("x")
    assert isinstance(call(folder, "--out", out).exception, OutputExists)
    assert [path.name for path in out.iterdir()] == ["precious"]


def test_a_class_without_a_map_of_its_own_is_said_to_be_so(run, tmp_path):
    done = call(run[0].folder, "--out", tmp_path / "out", "--class", "spot", "--limit", 1)
    assert done.exit_code == 0
    assert "the same for every class" in done.stderr
