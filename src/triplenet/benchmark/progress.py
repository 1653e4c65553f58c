"""How far each run of a benchmark is, read from its folder, wherever it is trained."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from triplenet.benchmark.records import Failure, record_path, run_folder
from triplenet.training.job import Job
from triplenet.training.run import HISTORY

State = Literal["waiting", "running", "done", "kept", "failed"]


@dataclass(frozen=True)
class RunProgress:
    """One run's."""

    state: State = "waiting"
    epochs: int = 0
    """Done"""
    of: int = 0
    accuracy: float | None = None
    """Of the last epoch, on the validation patients"""
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "kept", "failed")


BenchmarkProgress = dict[Job, RunProgress]
OnProgress = Callable[[Mapping[Job, RunProgress]], None]


def refresh(out: Path, progress_of: BenchmarkProgress) -> None:
    """Bring the running ones up to date."""
    for job, progress in progress_of.items():
        if progress.state == "running":
            epochs, accuracy = _last_line(run_folder(out, job) / HISTORY)
            progress_of[job] = replace(progress, epochs=max(epochs, progress.epochs), accuracy=accuracy)


def begun(out: Path, job: Job) -> bool:
    """Whether a job that waited is being trained, as its record says."""
    try:
        return '"status": "running"' in record_path(out, job).read_text(encoding="utf-8")
    except OSError:
        return False


def _last_line(path: Path) -> tuple[int, float | None]:
    """Epochs done, and the last one's validation accuracy; the file is always whole."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return (int(rows[-1]["epoch"]) + 1, float(rows[-1]["validation_accuracy"])) if rows else (0, None)
    except (OSError, KeyError, ValueError):
        return 0, None
