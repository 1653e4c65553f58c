"""Scans on a share that delivers slowly: the next one is on its way while one is worked on."""

import os
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from outputs.test_batch import kept, run, write_scan
from triplenet.inference import Classifier
from triplenet.outputs import batch_work

PATIENCE_S = 60.0
"""Until what should happen is taken for not happening: nobody waits so long where all is well"""


class Share:
    """Delivers each scan only when the one before it is in work, and notes who waited for whom."""

    def __init__(self, scans):
        self.scans = [path.resolve() for path in scans]
        self.begun = [threading.Event() for _ in scans]
        self.delivered = [threading.Event() for _ in scans]
        self.in_time = []

    def fetch(self, handle, _start, _size, _advice):
        number = self.scans.index(Path(f"/proc/self/fd/{handle}").readlink())
        self.in_time.append(number == 0 or self.begun[number - 1].wait(PATIENCE_S))
        self.delivered[number].set()

    def work(self, attempt):
        def attempt_while_the_next_one_comes(classifier, request, **how):
            number = self.scans.index(Path(request.source).resolve())
            self.begun[number].set()
            if number + 1 < len(self.scans):
                self.in_time.append(self.delivered[number + 1].wait(PATIENCE_S))
            return attempt(classifier, request, **how)

        return attempt_while_the_next_one_comes


def test_the_next_scan_comes_while_one_is_worked_on(tmp_path, monkeypatch):
    """Its fetching begins and ends between the beginning and the end of that work."""
    scans = [tmp_path / f"{number}.nii" for number in range(3)]
    for path in scans:
        write_scan(path)
    share = Share(scans)
    monkeypatch.setattr(batch_work, "Worker", lambda: nullcontext(None))
    monkeypatch.setattr(os, "posix_fadvise", share.fetch)
    monkeypatch.setattr(Classifier, "attempt", share.work(Classifier.attempt))
    written = run(scans, tmp_path / "out")
    assert kept(written) == [False, False, False]
    assert all(one.record is not None for one in written)
    assert share.in_time == [True] * 5


@pytest.mark.parametrize("number", [0, 2])
def test_a_scan_that_the_share_does_not_deliver_costs_nothing_but_the_wait(tmp_path, monkeypatch, number):
    scans = [tmp_path / f"{index}.nii" for index in range(3)]
    for path in scans:
        write_scan(path)

    def fails(handle, *_):
        if Path(f"/proc/self/fd/{handle}").readlink().name == scans[number].name:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(batch_work, "Worker", lambda: nullcontext(None))
    monkeypatch.setattr(os, "posix_fadvise", fails)
    assert all(one.record is not None for one in run(scans, tmp_path / "out"))
