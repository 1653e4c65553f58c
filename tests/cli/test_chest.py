"""``inspect``, ``predict`` and ``prepare`` say when a scan is no chest, and each names the way on."""

import json
import sys

import numpy as np
import pytest
import torch

from prepare import shelf
from toy_model import marker
from triplenet import networks, scan
from triplenet.cli.app import main
from triplenet.model import save_model


@pytest.fixture
def run(monkeypatch):
    """Run the command line; gives its exit code."""

    def _run(*words):
        monkeypatch.setattr(sys, "argv", ["triplenet", *(str(word) for word in words)])
        try:
            main()
        except SystemExit as stop:
            return stop.code or 0
        return 0

    return _run


@pytest.fixture
def folder(tmp_path):
    for name, subject in (("head", shelf.head()), ("chest", shelf.chest().cropped(slice(20, 44)))):
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = subject.spacing_mm
        affine[3, 3] = 1
        scan.write_nifti(tmp_path / f"{name}.nii", subject.hu, scan.Geometry(subject.hu.shape, affine))
    torch.manual_seed(0)
    network = networks.build("triple", classes=2).eval()
    save_model(tmp_path / "model.safetensors", network, torch.full((64, 64), 0.5), marker(size=64, crop=64).card)
    return tmp_path


def test_inspect_says_what_lungs_there_are(folder, run, capsys):
    assert run("inspect", folder / "chest.nii") == 0
    told = capsys.readouterr()
    assert "lungs: right" in told.out
    assert "warning: only 96 mm of the lungs are in the scan" in told.err
    assert run("inspect", folder / "head.nii", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["chest"]["largest_lung_mm2"] == 0
    assert "warning: this does not look like a chest" in told.err


def test_predict_refuses_a_head_unless_a_slice_is_named(folder, run, capsys):
    words = ("predict", folder / "head.nii", "--model", folder / "model.safetensors", "--out", folder / "out")
    assert run(*words) == 1
    assert "error[NO_LUNG]" in (told := capsys.readouterr().err) and "a slice" in told
    assert run(*words, "--slice", 20) == 0


def test_predict_prints_what_it_knows_of_the_chest(folder, run, capsys):
    assert run("predict", folder / "chest.nii", "--model", folder / "model.safetensors", "--out", folder / "out") == 0
    assert "warning: Only 96 mm of the lungs are in the scan." in capsys.readouterr().err


def test_lung_by_is_checked_before_anything_is_read(folder, run, capsys):
    words = ("predict", folder / "gone.nii", "--model", folder / "gone", "--out", folder / "out", "--lung-by")
    assert run(*words, "guess") == 2
    capsys.readouterr()
    assert run(*words, "lungmask") == 1
    assert "error[MISSING_EXTRA]" in capsys.readouterr().err
