"""Whether the memory of a batch stays flat, and how long a scan takes with one process and with several.

    python benchmarks/batch_memory.py [--scans 100] [--slices 40] [--size 256] [--jobs 1 2] [--out FILE]

Makes small chests with noise of their own as NIfTI and an untrained Triple Net in a temporary folder, and classifies
them by ``predict_batch`` in a process of its own for each number of jobs. Prints one JSON object:

- ``resident_mib``: after each scan, the resident memory of the batch's process and all processes it began; shared
  libraries count once for each, so the sum is more than they take
- ``last_to_10th``: the memory after the last scan over that after the 10th; 1 is flat. With several jobs each is at
  another point of its scan, so ``last_10_to_second_10``, of means over ten scans, says more
- ``peak_mib``: the highest resident memory of each of them, added up
- ``seconds_a_scan``: after the first ten, which hold the loading of the models. Only ratios mean anything elsewhere
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

import triplenet
from triplenet import catalog, networks, scan
from triplenet.model import ModelCard, save_model, task_card
from triplenet.outputs import WrittenResult
from triplenet.processes import usable_threads
from triplenet.scan import Geometry

WARM = 10
SIZE = 64


def write_scan(path: Path, number: int, slices: int, size: int) -> None:
    """Two lungs in a body, with noise of the scan's own."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    plane = np.full((size, size), -1000.0)
    plane[(x / 0.42) ** 2 + (y / 0.32) ** 2 < 1] = 40
    for side in (-0.2, 0.2):
        plane[((x - side) / 0.15) ** 2 + (y / 0.24) ** 2 < 1] = -860
    hu = plane + rng.normal(0, 20, (slices, size, size))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 5.0, 360 / size, 360 / size, 1
    scan.write_nifti(path, np.clip(hu, -1024, 3000).astype(np.int16), Geometry(hu.shape, affine))


def write_model(path: Path) -> None:
    torch.manual_seed(0)
    task = catalog.task("binary")
    card = ModelCard(
        method="triple",
        classes=task.classes,
        task=task_card(task),
        window_hu=(-1000.0, 400.0),
        size=SIZE,
        crop=SIZE,
        dimensions=2,
        frames=0,
        recipe={},
        data_sha256="d" * 64,
        fold=1,
        versions={"triplenet": triplenet.__version__},
        created=date(2022, 11, 24),
    )
    save_model(path, networks.build("triple", classes=2).eval(), torch.full((SIZE, SIZE), 0.5), card)


def status_mib(field: str) -> float:
    """Of this process and of all that it began."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    total = 0.0
    for pid in family:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))
    return total


def measure(folder: Path, out: Path, jobs: int) -> dict[str, Any]:
    curve: list[float] = []
    times: list[float] = []
    peak = 0.0

    def on_written(written: WrittenResult) -> None:
        nonlocal peak
        if written.summary.refused:
            raise SystemExit(f"scan {written.number} was refused: {written.summary.reason}")
        curve.append(round(status_mib("VmRSS"), 1))
        times.append(time.monotonic())
        peak = max(peak, status_mib("VmHWM"))

    triplenet.predict_batch(
        sorted((folder / "scans").iterdir()), folder / "model.safetensors", out, jobs=jobs, on_written=on_written
    )
    return {
        "resident_mib": curve,
        "peak_mib": round(peak, 1),
        "last_to_10th": round(curve[-1] / curve[WARM - 1], 4),
        "last_10_to_second_10": round(mean(curve[-10:]) / mean(curve[WARM : WARM + 10]), 4),
        "seconds_a_scan": round((times[-1] - times[WARM - 1]) / (len(times) - WARM), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.measure / f"out-{options.jobs[0]}", options.jobs[0])))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scans").mkdir()
        for number in range(options.scans):
            write_scan(folder / "scans" / f"{number:04d}.nii", number, options.slices, options.size)
        write_model(folder / "model.safetensors")
        found: dict[str, Any] = {}
        for jobs in options.jobs:
            command = [sys.executable, __file__, "--measure", str(folder), "--jobs", str(jobs)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[f"jobs_{jobs}"] = json.loads(done.stdout)
    result = {
        "what": "resident memory of a batch after each scan (MiB, all its processes)",
        "scans": options.scans,
        "shape": [options.slices, options.size, options.size],
        "threads": usable_threads(),
        **found,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    }
    text = json.dumps(result)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
