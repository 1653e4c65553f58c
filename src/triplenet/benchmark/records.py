"""What a benchmark keeps beside each run: its fingerprint, and how its training ended.

``runs/triple/fold-1/seed-0``       the run, as ``triplenet train`` makes it
``runs/triple/fold-1/seed-0.json``  its record
``runs/triple/fold-1/seed-0.log``   what its process wrote
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from triplenet.benchmark.plan import Job, Plan, digest
from triplenet.errors import BadRun, RunMismatch, TripleNetError
from triplenet.files import write_json
from triplenet.training.recipe import differences
from triplenet.training.run import Run, open_run

RUNS = "runs"
SHOWN = 3

Step = Literal["keep", "resume", "begin"]


class Failure(BaseModel):
    """Why a run failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    text: str

    @classmethod
    def of(cls, error: TripleNetError) -> Failure:
        """As the command line would say it."""
        return cls(code=error.code, text=str(error))


class Record(BaseModel):
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


def record_path(out: Path, job: Job) -> Path:
    """Where its record lies."""
    folder = run_folder(out, job)
    return folder.with_name(f"{folder.name}.json")


def log_path(out: Path, job: Job) -> Path:
    """Where its process writes what it has to say."""
    folder = run_folder(out, job)
    return folder.with_name(f"{folder.name}.log")


def read_record(path: Path) -> Record | None:
    """A record; None where there is none.

    :raises BadRun: damaged
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BadRun("damaged", where=path, do="remove it and the run beside it") from error


def write_record(path: Path, record: Record) -> None:
    """Write a record."""
    write_json(path, record.model_dump(mode="json"))


def note(path: Path, status: Literal["running", "complete", "failed"], failure: Failure | None = None) -> None:
    """Note how far a job is."""
    record = read_record(path)
    if record is not None:
        write_record(path, record.model_copy(update={"status": status, "failure": failure}))


def next_steps(plan: Plan, out: Path, *, restart: bool) -> dict[Job, Step]:
    """What is to be done for each job.

    :param restart: runs of another recipe, data or code are to be trained anew
    :raises RunMismatch: there are such runs, and ``restart`` is not given
    """
    steps: dict[Job, Step] = {}
    strange: list[str] = []
    for job in plan.jobs():
        folder, path = run_folder(out, job), record_path(out, job)
        begun = folder.exists()
        record = read_record(path)
        fingerprint = plan.fingerprint(job)
        if not begun:
            steps[job] = "begin"
        elif record is None:
            strange.append(f"{job}: not a run of a benchmark")
            steps[job] = "begin"
        elif record.hash != digest(fingerprint):
            strange.append(f"{job}: {_difference(record.fingerprint, fingerprint)}")
            steps[job] = "begin"
        else:
            steps[job] = "keep" if open_run(folder).complete else "resume"
    if strange and not restart:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        raise RunMismatch(
            f"runs were made otherwise ({'; '.join(strange[:SHOWN])}{more})",
            where=out,
            do="--restart trains them anew; or name another --out",
        )
    return steps


def make_ready(plan: Plan, out: Path, job: Job, step: Step) -> None:
    """Leave a record, and nothing that does not belong to the run."""
    folder = run_folder(out, job)
    if step == "begin" and folder.exists():
        shutil.rmtree(folder)
    for half in folder.parent.glob(f".tmp-{folder.name}-*"):
        # Of a process that was killed.
        shutil.rmtree(half) if half.is_dir() else half.unlink()
    fingerprint = plan.fingerprint(job)
    record = Record(
        hash=digest(fingerprint),
        fingerprint=fingerprint,
        status="complete" if step == "keep" else "waiting",
    )
    if read_record(record_path(out, job)) != record:
        write_record(record_path(out, job), record)


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
    for name, words in (("data", "other data"), ("fold", "another fold"), ("task", "another task")):
        if was.get(name) != now[name]:
            what.append(words)
    if was.get("code") != now["code"]:
        what.append("another version of triplenet's code")
    return ", ".join(what)
