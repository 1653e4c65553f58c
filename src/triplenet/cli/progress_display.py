"""How far a benchmark is: a live table on a terminal, a line an event in a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from rich.markup import escape

from triplenet.cli import console

if TYPE_CHECKING:
    from rich.table import Table

    from triplenet.benchmark.plan import Plan
    from triplenet.benchmark.progress import OnProgress, RunProgress
    from triplenet.training.job import Job

_STYLES = {"waiting": "dim", "running": "yellow", "done": "green", "kept": "green", "failed": "bold red"}


@contextmanager
def follow(plan: Plan, *, quiet: bool = False) -> Iterator[OnProgress]:
    """Yields what ``run_benchmark`` calls with the progress_of."""
    if quiet:
        yield lambda _progress: None
    elif console.err.is_terminal:
        yield from _live(plan)
    else:
        yield _Lines()


def _live(plan: Plan) -> Iterator[OnProgress]:
    from rich.live import Live

    began = monotonic()
    with Live(console=console.err, transient=True, refresh_per_second=4) as live:
        yield lambda progress_of: live.update(table(plan, progress_of, monotonic() - began))


def table(plan: Plan, progress_of: Mapping[Job, RunProgress], seconds: float) -> Table:
    """A line a method, a column a fold; in a cell each seed's state."""
    from rich.table import Table

    from triplenet.evaluation.method_tables import title_of

    ended = sum(one.ended for one in progress_of.values())
    failed = sum(one.state == "failed" for one in progress_of.values())
    title = f"{ended} of {len(progress_of)} runs" + (f", {failed} failed" if failed else "")
    left = _left(progress_of, seconds)
    shown = Table(title=title + (f", about {_duration(left)} left" if left is not None else ""))
    shown.add_column("method")
    for fold in plan.folds:
        shown.add_column(f"fold {fold}")
    for method in plan.methods:
        cells = [
            " ".join(
                _cell(progress) for job, progress in progress_of.items() if (job.method, job.fold) == (method, fold)
            )
            for fold in plan.folds
        ]
        shown.add_row(title_of(method), *cells)
    for one in plan.not_run:
        shown.add_row(title_of(one.method), f"[dim]not run: {one.reason}[/dim]")
    return shown


def _cell(progress: RunProgress) -> str:
    accuracy = "" if progress.accuracy is None else f" {progress.accuracy:.2f}"
    words = {
        "waiting": "waiting",
        "running": f"{progress.epochs}/{progress.of}{accuracy}",
        "done": "done",
        "kept": "kept",
        "failed": escape(progress.failure.code) if progress.failure else "failed",
    }[progress.state]
    return f"[{_STYLES[progress.state]}]{words}[/]"


def _left(progress_of: Mapping[Job, RunProgress], seconds: float) -> float | None:
    """Seconds, if the epochs that are left take as long as those of this call did; None before there are any."""
    counted = [one for one in progress_of.values() if one.state != "kept"]
    done = sum(one.of if one.ended else one.epochs for one in counted)
    return seconds / done * (sum(one.of for one in counted) - done) if done else None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class _Lines:
    """A line when a run begins and when it ends."""

    def __init__(self) -> None:
        self._said: dict[Job, str] = {}

    def __call__(self, progress_of: Mapping[Job, RunProgress]) -> None:
        for job, progress in progress_of.items():
            if progress.state != "waiting" and self._said.get(job) != progress.state:
                self._said[job] = progress.state
                ended = sum(one.ended for one in progress_of.values())
                console.say(f"{job}: {self._words(progress)} ({ended} of {len(progress_of)} ended)")

    def _words(self, progress: RunProgress) -> str:
        if progress.state == "failed" and progress.failure is not None:
            return f"failed: error[{progress.failure.code}]: {progress.failure.text}"
        return {"running": "began", "kept": "finished earlier"}.get(progress.state, progress.state)
