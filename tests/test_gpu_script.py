"""``benchmarks/on_gpu.sh``: its steps, their limits, what it carries, and the page that it ends in."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from benchmarks import gpu_summary, packed_sets

from toy_prepared import write_toy
from triplenet.prepare.store import PreparedSet

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "on_gpu.sh"
FINDINGS = ("negative", "typical") * 9
MACHINE = {
    "device": "H",
    "precision": "bf16",
    "copy_gb_per_s": 4000.0,
    "triad_gb_per_s": 4100.0,
    "matmul_tflops": 700.0,
    "versions": {"torch": "2.11.0"},
}


def speed(**modes: dict[str, object]) -> str:
    return json.dumps({**MACHINE, "methods": {"triple": modes}})


def one(step_ms: float, share: float, minutes: float) -> dict[str, object]:
    return {"step_ms": step_ms, "share_of_bound": share, "fold_minutes": minutes, "speed_up": None}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "steps.tsv").write_text("speed\t0\t40\ncompiled\t124\t130\nsame_bits\t1\t9\nset\tleft-out\t0\n")
    (tmp_path / "speed.json").write_text(speed(eager=one(12.0, 0.35, 5.2), graph=one(8.0, 0.5249, 3.47)))
    (tmp_path / "same_bits.json").write_text(
        json.dumps({"methods": {"abn": {"again": True, "seconds": {"as it comes": 1.5, "deterministic": 2.5}}}})
    )
    tables = tmp_path / "runs" / "phantom.binary" / "tables"
    tables.mkdir(parents=True)
    (tables / "table2.csv").write_text("method,remark,auc,auc_spread\nbaseline,,0.8,0.1\n")
    return tmp_path


def test_the_summary_tells_what_each_step_came_to(work: Path) -> None:
    found = gpu_summary.gather(work)
    assert [step["outcome"] for step in found["steps"]] == [
        "done",
        "stopped at its limit",
        "failed with 1",
        "no time was left",
    ]
    page = gpu_summary.markdown(found)
    for line in (
        "| compiled | stopped at its limit | 130 |",
        "| triple, graph | 8.0 |  | 0.5249 |  |  |  |  |  |  |  |  | 3.47 |",
        "| abn | True |  |  |  |  | 1.5 | 2.5 |",
        "## phantom.binary: table2",
        "| baseline | 0.8 |",
    ):
        assert line in page


def test_the_aims_are_held_against_the_fastest_step(work: Path) -> None:
    told = gpu_summary.aims(gpu_summary.gather(work))
    assert told == [
        "The fastest is triple, graph:",
        "52% of the memory bound, short of the aim (55 %).",
        "3.47 minutes a fold, as was aimed at (5 minutes).",
    ]
    (work / "compiled.json").write_text(speed(compile=one(6.0, 0.7, 2.6), both={"failed": "no compiler"}))
    told = gpu_summary.aims(gpu_summary.gather(work))
    assert told[0] == "The fastest is triple, compile:"
    assert "70% of the memory bound, as was aimed at" in told[1]
    assert "compiled ones move less" in told[3]


@pytest.mark.parametrize(
    ("modes", "faster"),
    [
        ({"eager": {"step_ms": 9}, "graph": {"step_ms": 8}}, "true"),
        ({"eager": {"step_ms": 8}, "graph": {"step_ms": 9}}, "false"),
        ({"eager": {"step_ms": 8}, "graph": {"failed": "needs a CUDA GPU"}}, "false"),
        ({}, "false"),
    ],
)
def test_trainings_are_recorded_where_that_is_faster(tmp_path, monkeypatch, capsys, modes, faster) -> None:
    (tmp_path / "speed.json").write_text(speed(**modes))
    monkeypatch.setattr(sys, "argv", ["gpu_summary.py", "--graph", str(tmp_path)])
    gpu_summary.main()
    assert capsys.readouterr().out.strip() == faster


def test_a_set_travels_without_its_frames(tmp_path: Path) -> None:
    written = write_toy(tmp_path / "toy", FINDINGS, frames=4, lungs=True)
    archive = packed_sets.pack(tmp_path / "sets", tmp_path / "toy", "binary")
    assert archive.name == "toy.binary.tar.xz"
    with tarfile.open(archive) as packed:
        assert not [name for name in packed.getnames() if "frame" in name]
        assert {(member.uname, member.mtime) for member in packed.getmembers()} == {("", 0)}
    packed_sets.unpack(archive, tmp_path / "there" / "toy")
    there = PreparedSet.open(tmp_path / "there" / "toy", verify=True)
    assert np.array_equal(there.images, written.images)
    assert there.info.frames == 0
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["toy"]


def test_a_set_of_no_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="'wrong' is no task"):
        packed_sets.pack(tmp_path / "sets", tmp_path, "wrong")


def test_results_return_without_models(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "set" / "triple"
    run.mkdir(parents=True)
    for name in ("history.csv", "run.json", "model.safetensors"):
        (run / name).write_text("x")
    packed_sets.results(tmp_path / "runs", tmp_path / "out" / "benchmarks.tar.gz")
    with tarfile.open(tmp_path / "out" / "benchmarks.tar.gz") as packed:
        assert packed.getnames() == ["set/triple/history.csv", "set/triple/run.json"]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Notes what it is asked, and does only what takes no time."""
    stub = tmp_path / "python"
    stub.write_text(
        f"""#!/bin/sh
case "$*" in
*gpu_summary.py*|*packed_sets.py*) exec {sys.executable} "$@" ;;
*same_bits.py*) echo "$*" >>{tmp_path}/asked; exit 1 ;;
*) echo "$*" >>{tmp_path}/asked ;;
esac
"""
    )
    stub.chmod(0o755)
    return stub


def run(python: Path, *words: object, **settings: str) -> None:
    given = {"PYTHON": str(python), "ON_GPU_WHEELS": "/none", **settings}
    done = subprocess.run(
        [SCRIPT, *map(str, words)], env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_step_is_done_and_a_failed_one_stops_nothing(tmp_path: Path, python: Path) -> None:
    write_toy(tmp_path / "toy", FINDINGS)
    packed_sets.pack(tmp_path / "sets", tmp_path / "toy", "binary")
    run(python, tmp_path / "out", tmp_path / "sets", ON_GPU_SECONDS="3000", ON_GPU_EPOCHS="7")
    asked = [line.split() for line in (tmp_path / "asked").read_text().splitlines()]
    verbs = [line[0] if line[0] != "-m" else line[2] for line in asked]
    assert [Path(verb).name for verb in verbs] == [
        *("train_step.py", "train_step.py", "same_bits.py"),
        *("benchmark", "benchmark", "benchmark"),
    ]
    given = [dict(itertools.pairwise(line)) for line in asked[3:]]
    trained = [(options["--methods"].count(",") + 1, options["--folds"]) for options in given]
    assert trained == [(2, "1"), (4, "1,2,3"), (7, "1,2,3")]
    assert all("training.epochs=7" in line and "training.cuda_graph=false" in line for line in asked[3:])
    assert {options["--task"] for options in given} == {"binary"}
    steps = json.loads((tmp_path / "out" / "summary.json").read_text())["steps"]
    assert [(step["name"], step["outcome"]) for step in steps] == [
        ("speed", "done"),
        ("compiled", "done"),
        ("same_bits", "failed with 1"),
        ("toy.binary.few", "done"),
        ("toy.binary.more", "done"),
        ("toy.binary.all", "done"),
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("summary.json", "summary.md", "log.txt", "benchmarks.tar.gz")
    }


def test_a_step_without_time_is_left_out_and_said(tmp_path: Path, python: Path) -> None:
    run(python, tmp_path / "out", ON_GPU_SECONDS="12")
    assert not (tmp_path / "asked").exists()
    page = (tmp_path / "out" / "summary.md").read_text()
    assert page.count("no time was left") == 3
