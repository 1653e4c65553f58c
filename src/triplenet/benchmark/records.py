"""What a benchmark keeps beside each run: its fingerprint, and how its training ended.

``runs/triple/fold-1/seed-0``       the run, as ``triplenet train`` makes it
``runs/triple/fold-1/seed-0.json``  its record
``runs/triple/fold-1/seed-0.log``   what its process wrote
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

import triplenet
from triplenet.benchmark.plan import Plan, digest
from triplenet.errors import BadRun, RunMismatch, TripleNetError
from triplenet.files import clear_abandoned, sha256_of, write_json, write_text
from triplenet.relative_paths import without_places
from triplenet.training.job import Job
from triplenet.training.recipe import differences
from triplenet.training.run import Run, open_run

RUNS = "runs"
SHOWN = 3

Step = Literal["keep", "resume", "begin", "damaged"]


class Failure(BaseModel):
    """Why a run failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    text: str

    @classmethod
    def of(cls, error: TripleNetError, out: Path, *places: Path) -> Failure:
        """As the command line would say it, but with paths as seen from the benchmark's folder.

        :param places: others that may be named
        """
        return cls(code=error.code, text=without_places(str(error), places, out))


class RunRecord(BaseModel):
    """``seed-0.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["triplenet benchmark run"] = "triplenet benchmark run"
    version: Literal[1] = 1
    hash: str
    fingerprint: dict[str, JsonValue]
    status: Literal["waiting", "running", "complete", "failed"] = "waiting"
    failure: Failure | None = None


def run_folder(out: Path, job: Job) -> Path:
    """Where a job's run lies."""
    return out / RUNS / job.path


def benchmark_folder(run: Path) -> Path:
    """The benchmark that a job's run lies in."""
    return run.parents[3]


def record_path(out: Path, job: Job) -> Path:
    """Where its record lies."""
    folder = run_folder(out, job)
    return folder.with_name(f"{folder.name}.json")


def log_path(out: Path, job: Job) -> Path:
    """Where its process writes what it has to say."""
    folder = run_folder(out, job)
    return folder.with_name(f"{folder.name}.log")


def read_record(path: Path) -> RunRecord | None:
    """A record; None where there is none.

    :raises BadRun: damaged
    """
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BadRun("damaged", where=path, do="remove it and the run beside it") from error


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record."""
    write_json(path, record.model_dump(mode="json"))


def note(path: Path, status: Literal["running", "complete", "failed"], failure: Failure | None = None) -> None:
    """Note how far a job is."""
    record = read_record(path)
    if record is None:
        return
    noted = record.model_copy(update={"status": status, "failure": failure})
    if noted != record:
        write_record(path, noted)


def next_steps(plan: Plan, out: Path, *, restart: bool) -> dict[Job, Step]:
    """What is to be done for each job.

    :param restart: what is damaged or of another recipe, data or code is to be trained anew
    :raises RunMismatch: there are runs of another recipe, data or code, and ``restart`` is not given
    """
    steps: dict[Job, Step] = {}
    strange: list[str] = []
    for job in plan.trainings():
        folder, path = run_folder(out, job), record_path(out, job)
        begun = folder.exists()
        try:
            record = read_record(path)
        except BadRun:
            if not restart:
                raise
            record = None
        fingerprint = plan.fingerprint(job, None if record is None else record.fingerprint.get("encoder"))
        if not begun:
            steps[job] = "begin"
        elif record is None:
            strange.append(f"{job}: not a run of a benchmark")
            steps[job] = "begin"
        elif record.hash != digest(fingerprint):
            strange.append(f"{job}: {_difference(record.fingerprint, fingerprint)}")
            steps[job] = "begin"
        else:
            steps[job] = _state(folder)
            if steps[job] == "damaged" and restart:
                steps[job] = "begin"
    if strange and not restart:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        raise RunMismatch(
            f"runs were made otherwise ({'; '.join(strange[:SHOWN])}{more})",
            where=out,
            do="--restart trains them anew; or name another --out",
        )
    return steps


def _state(folder: Path) -> Step:
    try:
        run = open_run(folder)
    except BadRun:
        return "damaged"
    if not run.complete:
        return "resume"
    return "keep" if intact(run) else "damaged"


def intact(run: Run) -> bool:
    """Whether a finished run's files are those that were written."""
    try:
        return all(sha256_of(run.folder / name) == digest for name, digest in run.info.files.items())
    except OSError:
        return False


def hide_places(log: Path, out: Path, prepared: Path) -> None:
    """Make the paths in what a process wrote relative to the benchmark's folder; it is passed on with it."""
    places = (prepared, Path(sys.prefix), Path(sys.base_prefix), Path(triplenet.__file__).parents[1])
    try:
        text = log.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return
    hidden = without_places(text, places, out)
    if hidden != text:
        write_text(log, hidden)


def damaged(out: Path, job: Job) -> Failure:
    """What stands in the place of a run whose files are not those that were written."""
    error = BadRun("damaged", where=run_folder(out, job), do="the same command with --restart trains it anew")
    return Failure.of(error, out)


def make_ready(plan: Plan, out: Path, job: Job, step: Step) -> None:
    """Leave a record, and nothing that does not belong to the run."""
    if step == "damaged":
        return
    folder = run_folder(out, job)
    if step == "begin" and folder.exists():
        shutil.rmtree(folder)
    clear_abandoned(folder.parent)
    if step == "keep":
        note(record_path(out, job), "complete")
        return
    fingerprint = plan.fingerprint(job)
    write_record(record_path(out, job), RunRecord(hash=digest(fingerprint), fingerprint=fingerprint))


def finished_run(out: Path, job: Job) -> Run | None:
    """A job's run if it is complete.

    :raises BadRun: damaged
    """
    folder = run_folder(out, job)
    if not folder.is_dir():
        return None
    run = open_run(folder)
    return run if run.complete else None


def _difference(was: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> str:
    what = list(differences({"recipe": was.get("recipe")}, {"recipe": now["recipe"]}))
    for name, words in (
        ("encoder", "another encoder file"),
        ("data", "other data"),
        ("fold", "another fold"),
        ("task", "another task"),
    ):
        if was.get(name) != now[name]:
            what.append(words)
    if was.get("code") != now["code"]:
        what.append("another version of triplenet's code")
    return ", ".join(what)
