"""Paths in results are relative to what the user named."""

from pathlib import Path

import pytest

from triplenet.relative_paths import argument_shown, relative_path, without_places


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("/data/study/set", "/data/study/run", "../set"),
        ("/data/study/set", "/data/study", "set"),
        ("/data/study/scans/a.nii", "/data/study", "scans/a.nii"),
        ("/data/study/set", "/data/study/bench/runs/a", "../../../set"),
        ("/data/study/set", "/results/run", "set"),
        ("/home/anna/set", "/home/bert/run", "set"),
        ("/home/anna/a/set", "/home/anna/b/run", "../../a/set"),
    ],
)
def test_a_path_climbs_neither_to_the_root_nor_above_a_home(path, base, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    assert relative_path(Path(path), Path(base)) == expected


def test_a_message_keeps_its_words_and_loses_its_places(tmp_path):
    base = tmp_path / "Anna  Example"
    scan = base / "scans" / "a.nii"
    text = f"damaged: {scan}; see {' '.join(str(base).split())}/b.nii and {base}/c.nii"
    assert without_places(text, [scan, None], base) == "damaged: scans/a.nii; see b.nii and c.nii"


def test_a_link_keeps_the_name_it_was_given(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "scan").symlink_to(tmp_path / "real")
    assert relative_path(tmp_path / "study" / "scan", tmp_path / "study") == "scan"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("/home/anna/set", "set"),
        ("--out=/home/anna/bench", "--out=bench"),
        ("encoder.weights='/home/anna/a, b/r.pth'", "encoder.weights=r.pth"),
        ("training.keep=last", "training.keep=last"),
        (
            "--variant=own=triple:encoder.weights=/home/anna/r.pth,training.batch=3",
            "--variant=own=triple:encoder.weights=r.pth,training.batch=3",
        ),
        ("own=abn:training.batch=3,encoder.weights=~/r.pth", "own=abn:training.batch=3,encoder.weights=r.pth"),
    ],
)
def test_arguments_are_shown_without_their_folders(argument, shown):
    assert argument_shown(argument) == shown
