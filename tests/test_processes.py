"""Work in processes that may be lost: what fails costs its item, and nothing outlives the one who asked."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toy_work import work
from triplenet.errors import NotHu, ReaderFault, ReaderLost, ReaderTimeout, WorkerLost
from triplenet.processes import Failed, Worker, as_finished, attempts, in_processes


def errors_of(results):
    return [type(one.error) if isinstance(one, Failed) else one[0] for one in results]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_that_dies_costs_its_item_and_a_new_one_goes_on(jobs):
    results = list(attempts(work, [1, "crash", 2, "killed", 3, "leave", 4], jobs))
    assert errors_of(results) == [1, ReaderLost, 2, ReaderLost, 3, ReaderLost, 4]
    assert "SIGSEGV" in str(results[1].error) and "SIGKILL" in str(results[3].error)
    assert os.getpid() not in [one[1] for one in results if not isinstance(one, Failed)]


def test_an_item_that_hangs_is_given_up_when_its_time_is_over():
    began = time.monotonic()
    results = list(attempts(work, [1, "hang", 2], 1, budget_s=5))
    assert errors_of(results) == [1, ReaderTimeout, 2]
    assert time.monotonic() - began < 40


def test_an_error_that_nobody_foresaw_costs_its_item_and_leaves_its_traceback():
    results = list(attempts(work, ["unforeseen", 1, "end of file"], 1))
    assert errors_of(results) == [ReaderFault, 1, ReaderFault]
    assert "KeyError" in str(results[0].error) and 'raise KeyError("no such' in results[0].log
    assert "no such" not in str(results[0].error)  # which may name a patient


def test_a_refusal_of_triplenet_is_the_callers_to_answer():
    with pytest.raises(NotHu, match=r"grey levels: a\.nii"):
        list(attempts(work, [1, "refused", 2], 2))


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(jobs):
    assert [one[0] for one in in_processes(work, list(range(7)), jobs)] == list(range(7))


def test_an_item_is_taken_only_when_a_process_is_free_for_it():
    taken = []

    def items():
        for number in range(4):
            taken.append(number)
            yield number

    results = as_finished(work, items(), 1)
    assert next(results)[0] == 0 and taken == [0]
    assert [index for index, _ in results] == [1, 2, 3]


def test_each_process_has_its_share_of_threads():
    assert list(as_finished(os.getenv, ["OMP_NUM_THREADS"], 1, threads=3)) == [(0, "3")]


def test_work_of_our_own_ends_with_the_process_that_is_lost():
    with pytest.raises(WorkerLost):
        list(in_processes(work, [1, "killed", 2], 2))


def test_a_worker_keeps_what_it_knows_until_it_is_lost():
    with Worker() as worker:
        first = worker.call(work, 1)[1]
        assert worker.call(work, 2)[1] == first
        with pytest.raises(ReaderLost):
            worker.call(work, "crash")
        assert worker.call(work, 3)[1] != first


def test_no_process_is_left_when_the_work_is_given_up():
    results = attempts(work, [1, "hang", "hang"], 2)
    pid = next(results)[1]
    results.close()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("native", [False, True])
def test_workers_do_not_outlive_a_parent_that_is_killed(native):
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import os, toy_work\n"
        "from triplenet.processes import Worker\n"
        "worker = Worker()\n"
        "print(worker.call(os.getpid), flush=True)\n"
        f"worker.call(toy_work.work, {'hang in a decoder' if native else 'hang'!r})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_script_without_a_guard_may_ask_for_work(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom triplenet.processes import attempts\nprint(list(attempts(math.sqrt, [4, 9], 2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout == "[2.0, 3.0]\n", done.stderr
