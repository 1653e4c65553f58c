"""How many processors and how much memory are really there: of the machine, and of the container around us."""

import os
import subprocess
import sys

import pytest

from triplenet.processes import free_memory, processors, usable_threads

KB = 1024


@pytest.fixture(autouse=True)
def many_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def own(tmp_path):
    """What /proc/self/cgroup holds; not there until it is written."""
    return tmp_path / "own"


@pytest.fixture
def cgroup(tmp_path):
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


@pytest.fixture
def meminfo(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    return path


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_affinity_limits(cgroup, own):
    assert processors(cgroup, own) == 16
    assert usable_threads(cgroup, own) == 16


@pytest.mark.parametrize(
    ("text", "expected"), [("200000 100000", 2), ("150000 100000", 2), ("max 100000", 16), ("", 16), ("1 100000", 1)]
)
def test_the_containers_quota_limits(cgroup, own, text, expected):
    write(cgroup, cpu__max=text)
    assert processors(cgroup, own) == usable_threads(cgroup, own) == expected


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4), ("50000", 1), ("-1", 16)])
def test_the_older_quota_limits(cgroup, own, quota, expected):
    write(cgroup / "cpu", cpu__cfs_quota_us=quota, cpu__cfs_period_us=100000)
    assert processors(cgroup, own) == usable_threads(cgroup, own) == expected


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("64", 16), ("0", 1), ("many", 16)])
def test_the_environment_limits_threads_and_no_processes(cgroup, own, monkeypatch, text, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert usable_threads(cgroup, own) == expected
    assert processors(cgroup, own) == 16


def test_the_group_of_this_process_and_every_group_above_it_limit(cgroup, own):
    own.write_text("0::/job/step\n")
    write(cgroup / "job" / "step", cpu__max="max 100000")
    write(cgroup / "job", cpu__max="300000 100000")
    write(cgroup / "other", cpu__max="100000 100000")
    assert processors(cgroup, own) == 3


def test_the_group_of_this_process_limits_in_the_older_version_too(cgroup, own, meminfo):
    own.write_text("4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n")
    write(cgroup / "cpu" / "job", cpu__cfs_quota_us=200000, cpu__cfs_period_us=100000)
    write(cgroup / "memory" / "job", memory__limit_in_bytes=3000, memory__usage_in_bytes=1000)
    assert processors(cgroup, own) == 2
    assert free_memory(cgroup, own, meminfo) == 2000


def test_a_group_that_only_the_host_sees_leaves_the_containers_own(cgroup, own, meminfo):
    own.write_text("4:memory:/docker/0123\n3:cpu:/docker/0123\nnonsense\n")
    write(cgroup / "memory", memory__limit_in_bytes=3000, memory__usage_in_bytes=1000)
    write(cgroup / "cpu", cpu__cfs_quota_us=200000, cpu__cfs_period_us=100000)
    assert free_memory(cgroup, own, meminfo) == 2000
    assert processors(cgroup, own) == 2


def test_the_memory_of_a_container_counts(cgroup, own, meminfo, tmp_path):
    assert free_memory(cgroup, own, meminfo) == 4000 * KB
    write(cgroup, memory__max=3000000, memory__current=1000000)
    assert free_memory(cgroup, own, meminfo) == 2_000_000
    write(cgroup, memory__max="max")
    assert free_memory(cgroup, own, meminfo) == 4000 * KB
    assert free_memory(tmp_path / "absent", own, tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("limit", "used", "unused", "folder"),
    [
        ("memory__max", "memory__current", "inactive_file", "."),
        ("memory__limit_in_bytes", "memory__usage_in_bytes", "total_inactive_file", "memory"),
    ],
)
def test_files_that_a_container_keeps_in_memory_for_nobody_make_room(cgroup, own, meminfo, limit, used, unused, folder):
    write(cgroup / folder, **{limit: 3000, used: 2900, "memory__stat": f"cache 2500\n{unused} 2000"})
    assert free_memory(cgroup, own, meminfo) == 2100


def test_a_container_beyond_its_limit_has_nothing_left(cgroup, own, meminfo):
    write(cgroup, memory__max=1000, memory__current=2000)
    assert free_memory(cgroup, own, meminfo) == 0


def test_of_this_machine_both_are_told():
    code = (
        "from triplenet.processes import processors, free_memory;"
        "import os; assert 1 <= processors() <= len(os.sched_getaffinity(0)); print(free_memory())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) > 10 * 2**20
