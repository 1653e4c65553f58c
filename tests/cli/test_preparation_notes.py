"""What preparing noted is told by whoever uses the set: once, by kind, counted, on standard error."""

import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from toy_prepared import write_toy
from toy_run import write_run
from triplenet.cli import explain, train
from triplenet.cli.preparation_notes import say_notes, say_notes_of
from triplenet.files import sha256_of, write_csv, write_json
from triplenet.prepare import PreparedSet, store

NOTES = ["the HU are approximate", "the HU are approximate; 3 slices are missing", "4 slices are missing", ""]
SOME = " (the numbers are of one of them)"
TOLD = ["note, 2 scans: the HU are approximate", f"note, 2 scans: 3 slices are missing{SOME}"]


@pytest.fixture
def prepared(tmp_path):
    made = write_toy(tmp_path / "set", ("none", "spot") * 9, size=40)
    noted = [
        replace(patient, notes=note)
        for patient, note in zip(made.patients, [*NOTES, *[""] * (len(made) - 4)], strict=True)
    ]
    write_csv(made.folder / store.TABLE, [store.table_row(patient) for patient in noted])
    files = made.info.files | {store.TABLE: sha256_of(made.folder / store.TABLE)}
    write_json(made.folder / store.INFO, made.info.model_copy(update={"files": files}).model_dump(mode="json"))
    return PreparedSet.open(made.folder, verify=True)


def test_each_kind_once_with_the_number_of_scans(prepared, capsys):
    say_notes(prepared)
    assert capsys.readouterr().err.splitlines() == TOLD


def test_of_a_run_and_where_its_set_is_gone_that_too(prepared, tmp_path, capsys):
    run = write_run(tmp_path / "run", prepared, "baseline", crop=32)
    say_notes_of(run)
    assert capsys.readouterr().err.splitlines() == TOLD
    prepared.folder.rename(tmp_path / "elsewhere")
    say_notes_of(run)
    (line,) = capsys.readouterr().err.splitlines()
    assert "not where the run found it" in line


def test_train_and_explain_tell_them_beside_their_json(prepared, tmp_path):
    app = typer.Typer()
    app.command()(train.train)
    app.command()(explain.explain)
    (tmp_path / "task.toml").write_text(
        'name = "toy"\nclasses = ["none", "spot"]\n[findings]\nnone = "none"\nspot = "spot"\n'
    )
    write_run(tmp_path / "run", prepared, "baseline", crop=32)
    small = ("--encoder=none", "--set=training.epochs=1", "--set=training.batch=4", "--set=augmentation.crop=32")
    task = f"--task={tmp_path / 'task.toml'}"
    for arguments in (
        ("train", prepared.folder, task, "--method=baseline", *small, f"--out={tmp_path / 'new'}"),
        ("explain", tmp_path / "run", f"--out={tmp_path / 'explained'}", "--limit=1"),
    ):
        done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert done.exit_code == 0, done.output
        json.loads(done.stdout)
        assert [line for line in done.stderr.splitlines() if line.startswith("note")] == TOLD
