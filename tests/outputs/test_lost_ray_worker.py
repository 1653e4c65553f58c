"""A Ray worker that is lost while it works on a scan costs time, and where it is always lost, this scan alone."""

import os
import signal

import pytest
import torch

from outputs.test_batch import kept, near, run, tree, write_scan
from toy_model import marker
from triplenet import networks
from triplenet.model import save_model
from triplenet.outputs import batch_on_ray
from triplenet.ray_cluster import RETRIES, ray_cluster

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'triplenet[ray]'")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = networks.build("triple", classes=2).eval()
    save_model(path, network, torch.full((64, 64), 0.5), marker(size=64, crop=64).card)
    return path


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One for all, which the batches find."""
    with ray_cluster("local"):
        yield


@pytest.fixture
def scans(tmp_path):
    found = [tmp_path / f"Doe-{number}.nii" for number in range(2)]
    for path in found:
        write_scan(path)
    return found


def lose(monkeypatch, marks, times):
    """Ray's worker is killed so often when it has the first scan."""
    marks.mkdir()
    execute = batch_on_ray._execute

    def killed(order, threads, task):
        before = len(list(marks.iterdir()))
        if task.index == 0 and before < times:
            (marks / str(before)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(order, threads, task)

    monkeypatch.setattr(batch_on_ray, "_execute", killed)


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_its_scan_done(scans, tmp_path, monkeypatch, model_file):
    run(scans, tmp_path / "here", model_file, jobs=1)
    lose(monkeypatch, tmp_path / "marks", 1)
    run(scans, tmp_path / "ray", model_file, ray="local", jobs=1)
    assert len(list((tmp_path / "marks").iterdir())) == 1
    assert tree(tmp_path / "ray") == near(tree(tmp_path / "here"))


@pytest.mark.slow
def test_a_scan_whose_worker_is_always_lost_is_refused_alone_and_tried_again(scans, tmp_path, monkeypatch, model_file):
    lose(monkeypatch, tmp_path / "marks", RETRIES + 1)
    first, second = run(scans, tmp_path / "out", model_file, ray="local", jobs=1)
    assert len(list((tmp_path / "marks").iterdir())) == RETRIES + 1
    assert (first.refusal.code, first.refusal.what) == ("READER_LOST", "the machine that worked on it was lost")
    assert second.record is not None
    again = run(scans, tmp_path / "out", model_file, jobs=1)
    assert kept(again) == [False, True] and again[0].record is not None
