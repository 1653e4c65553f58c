"""A reader study from its panels to what the readers say."""

import csv
import json
import shutil

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from toy_prepared import write_toy
from toy_run import write_run
from triplenet.cli.explain import explain
from triplenet.errors import CohortTooSmall, OutputExists, RunMismatch
from triplenet.explanation import reader_study
from triplenet.explanation.overlay import OUTLINE
from triplenet.explanation.reader_study import write_reader_study
from triplenet.files import write_csv

app = typer.Typer()
app.command()(explain)
METHODS = ("baseline", "triple", "abn")
CASES = 4


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    prepared = write_toy(folder / "set", ("none", "spot") * 12, size=40)
    runs = [
        write_run(folder / f"{method}-of-{number}", prepared, method, crop=32) for number, method in enumerate(METHODS)
    ]
    done = call(*[run.folder for run in runs], "--reader-study", CASES, "--out", folder / "kit", "--seed", 5, "--json")
    assert done.exit_code == 0, done.output
    return prepared, runs, folder / "kit", json.loads(done.stdout)


def test_a_panel_of_each_slice_comes_before_any_map_and_the_key_knows_both(made):
    prepared, _, kit, said = made
    key = rows(kit / "key.csv")
    assert [row["panel"] for row in key] == [str(number) for number in range(1, 2 * CASES + 1)]
    assert [row["shows"] for row in key] == ["slice"] * CASES + ["maps"] * CASES
    first, second = ([row["case"] for row in key if row["shows"] == shows] for shows in ("slice", "maps"))
    assert sorted(first) == sorted(second) == [str(number) for number in range(1, CASES + 1)]
    assert first != second  # with this seed
    for row in key:
        patient = prepared.patients[int(row["patient number"]) - 1]
        assert patient.finding == row["truth"]
        assert patient.patient in prepared.fold(1).test
        assert sorted(row[letter] for letter in "ABC") == (sorted(METHODS) if row["shows"] == "maps" else [""] * 3)
    assert sorted(row["truth"] for row in key[:CASES]) == ["none", "none", "spot", "spot"]  # balanced
    assert len({tuple(row[letter] for letter in "ABC") for row in key[CASES:]}) > 1  # no letter stands for a method
    assert (said["cases"], said["panels"], said["methods"]) == (CASES, 2 * CASES, list(METHODS))


def test_readers_are_told_neither_who_nor_what_nor_whose(made):
    prepared, _, kit, _ = made
    for_readers = kit / "readers"
    panels = {f"panel-{number:03d}.png" for number in range(1, 2 * CASES + 1)}
    assert {path.name for path in for_readers.iterdir()} == {"README.txt", "answers.csv"} | panels
    texts = " ".join((for_readers / name).read_text(encoding="utf-8") for name in ("README.txt", "answers.csv"))
    hidden = {*METHODS, "Triple", "Baseline", "predicted", *(one.patient for one in prepared.patients)}
    assert not [word for word in hidden if word in texts]
    assert "1  none" in texts and "2  spot" in texts
    assert max(map(len, (for_readers / "README.txt").read_text(encoding="utf-8").splitlines())) <= 100
    for name in panels:
        with Image.open(for_readers / name) as image:
            assert image.info == {}
            # Its outline would tell where the disease is.
            assert not (np.asarray(image.convert("RGB")) == OUTLINE).all(axis=-1).any()


def test_each_panel_shows_the_pictures_that_the_key_names(made, tmp_path, monkeypatch):
    _, runs, kit, _ = made
    drawn = []
    real = reader_study.panel
    monkeypatch.setattr(reader_study, "panel", lambda tiles, **more: (drawn.append(tiles), real(tiles, **more))[1])
    maps = {}
    explained = reader_study.explained_cases

    def cases(run, *words, **more):
        for case in explained(run, *words, **more):
            maps[run.info.method, case.number] = case
            yield case

    monkeypatch.setattr(reader_study, "explained_cases", cases)
    write_reader_study(runs, tmp_path / "again", CASES, seed=5)
    key = rows(kit / "key.csv")
    assert rows(tmp_path / "again" / "key.csv") == key  # the seed decides all
    for row, tiles in zip(key, drawn, strict=True):
        (line,) = tiles
        assert [tile.title for tile in line] == [f"panel {row['panel']}", *("ABC" if row["shows"] == "maps" else "")]
        assert all(tile.lines == () for tile in line)
        for letter, tile in zip("ABC", line[1:], strict=False):
            case = maps[row[letter], int(row["patient number"])]
            expected = reader_study.draw_case(case.image, case.heat, side=reader_study.SIDE).hot
            np.testing.assert_array_equal(tile.picture, expected)


def test_the_sheet_that_was_written_is_read_again(made, tmp_path):
    _, _, kit, _ = made
    key = {row["panel"]: row for row in rows(kit / "key.csv")}
    for reader in ("anna", "bert"):
        sheet = rows(kit / "readers" / "answers.csv")
        for row in sheet:
            row["class"] = key[row["panel"]]["truth"]
            if row["preferred"] == "":
                row["preferred"] = next(letter for letter in "ABC" if key[row["panel"]][letter] == "triple")
                row |= {f"rating {letter}": "3" for letter in "ABC"}
        sheet[0]["reader"] = reader
        write_csv(tmp_path / f"{reader}.csv", sheet)
    words = ("--read", tmp_path / "anna.csv", tmp_path / "bert.csv", "--key", kit / "key.csv")
    found = json.loads(call(*words, "--json").stdout)
    assert found["readers"] == ["anna", "bert"]
    assert found["preference"]["triple"]["times"] == 2 * CASES
    assert found["preference"]["triple"]["share"]["value"] == 1
    assert [row["with_map"]["value"] for row in found["accuracy"]] == [1, 1, 1]
    assert found["agreement"]["class without map"]["value"] == 1
    told = call(*words)
    assert told.exit_code == 0, told.output
    assert "Triple Net" in told.stdout and "Krippendorff's alpha" in told.stdout


def test_what_cannot_be_is_refused_and_nothing_is_left(made, tmp_path):
    _, runs, kit, _ = made
    out = tmp_path / "out"
    with pytest.raises(CohortTooSmall, match="have a finding, not 1000"):
        write_reader_study(runs, out, 1000)
    with pytest.raises(RunMismatch, match="two runs of triple"):
        write_reader_study([runs[1], runs[1]], out, 2)
    with pytest.raises(OutputExists):
        write_reader_study(runs, kit, 2)
    other = write_toy(tmp_path / "other", ("none", "spot") * 9, size=40)
    elsewhere = write_run(tmp_path / "run", other, "double", crop=32)
    with pytest.raises(RunMismatch, match="another prepared set"):
        write_reader_study([*runs, elsewhere], out, 2)
    shutil.rmtree(tmp_path / "other")
    assert not out.exists()
    first = runs[0].folder
    for words in (
        (),
        (first,),
        (first, runs[1].folder, "--out", out),
        (first, "--out", out, "--reader-study", 2, "--identifiers"),
        (first, "--out", out, "--key", kit / "key.csv"),
        ("--read", kit / "readers" / "answers.csv"),
        ("--read", kit / "readers" / "answers.csv", "--key", kit / "key.csv", "--out", out),
    ):
        assert call(*words).exit_code == 2, words
    assert not out.exists()
