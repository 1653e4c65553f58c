import os

import pytest

from triplenet.training.threads import available


@pytest.fixture(autouse=True)
def many_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_affinity_limits(tmp_path):
    assert available(tmp_path) == 16


@pytest.mark.parametrize(
    ("text", "expected"), [("200000 100000", 2), ("150000 100000", 2), ("max 100000", 16), ("", 16)]
)
def test_the_containers_quota_limits(tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert available(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4), ("50000", 1), ("-1", 16)])
def test_the_older_quota_limits(tmp_path, quota, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available(tmp_path) == expected


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("64", 16), ("0", 1), ("many", 16)])
def test_the_environment_limits(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert available(tmp_path) == expected
