"""The benchmark's table of progress, and what the command line refuses before anything is trained."""

from io import StringIO

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from toy_prepared import TASK, write_toy
from triplenet.benchmark import Job, make_plan
from triplenet.benchmark.progress import RunProgress
from triplenet.benchmark.records import Failure
from triplenet.cli import benchmark
from triplenet.cli import progress_display as progress_of
from triplenet.errors import BadInput, BadPreparedSet, RunMismatch, UnknownName

TASK_FILE = 'name = "toy"\nclasses = ["none", "spot"]\n[findings]\nnone = "none"\nspot = "spot"\n'
FAILED = Failure(code="TRAINING_DIVERGED", text="the loss is no longer finite")

app = typer.Typer()
app.command()(benchmark.benchmark)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    write_toy(folder / "set", ("none", "spot") * 9, size=40)
    (folder / "task.toml").write_text(TASK_FILE)
    return folder


@pytest.fixture(scope="module")
def plan(folder):
    from triplenet.prepare import PreparedSet

    return make_plan(PreparedSet.open(folder / "set"), TASK, folds=(1, 2), seeds=(0, 1))


def call(folder, *more):
    arguments = [folder / "set", f"--task={folder / 'task.toml'}", f"--out={folder / 'out'}", "--encoder=none", *more]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def shown(plan, states):
    console = Console(width=160, record=True, file=StringIO())
    console.print(progress_of.table(plan, states, seconds=30))
    return console.export_text()


def test_the_table_shows_every_run_and_what_does_not_run(plan):
    states = dict.fromkeys(plan.jobs(), RunProgress(of=10))
    states[Job("baseline", 1, 0)] = RunProgress("done", 10, 10)
    states[Job("baseline", 1, 1)] = RunProgress("running", 5, 10, 0.75)
    states[Job("triple", 2, 0)] = RunProgress("failed", 3, 10, failure=FAILED)
    states[Job("double", 1, 0)] = RunProgress("kept", of=10)
    text = shown(plan, states)
    assert "3 of 28 runs, 1 failed" in text
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert "done 5/10 0.75" in lines["Baseline ResNet18"]
    assert "TRAINING_DIVERGED waiting" in lines["Triple Net"]
    assert "kept waiting" in lines["Double Net"]
    assert "not run: needs frames" in lines["CovNet"]


def test_the_time_left_follows_the_epochs_of_this_call(plan):
    jobs = list(plan.jobs())[:3]
    states = {jobs[0]: RunProgress("kept", of=10), jobs[1]: RunProgress("running", 5, 10), jobs[2]: RunProgress(of=10)}
    assert "about 90 s left" in shown(plan, states)  # 5 epochs took 30 s, 15 are left
    assert "left" not in shown(plan, dict.fromkeys(jobs, RunProgress(of=10)))


def test_a_long_time_left_is_told_in_minutes_and_hours(plan):
    job = next(iter(plan.jobs()))
    for of, words in ((21, "about 10 min left"), (301, "about 2 h 30 min left")):  # an epoch took 30 s
        assert words in shown(plan, {job: RunProgress("running", 1, of)})


def test_a_log_says_each_event_once(plan, capsys):
    with progress_of.follow(plan) as on_progress:
        job = Job("baseline", 1, 0)
        for state in (
            RunProgress(of=10),
            RunProgress("running", of=10),
            RunProgress("running", 3, 10),
            RunProgress("failed", 3, 10, failure=FAILED),
            RunProgress("failed", 3, 10, failure=FAILED),
        ):
            on_progress({job: state})
    assert capsys.readouterr().err.splitlines() == [
        "baseline, fold 1, seed 0: began (0 of 1 ended)",
        "baseline, fold 1, seed 0: failed: error[TRAINING_DIVERGED]: the loss is no longer finite (1 of 1 ended)",
    ]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--methods=baseline,tripple"], UnknownName),
        (["--methods=covnet"], BadPreparedSet),
        (["--methods=baseline", "--reference=abn"], UnknownName),
        (["--methods=baseline", "--strata=scanner"], UnknownName),
        (["--methods=baseline", "--folds=1,4"], UnknownName),
        (["--methods=baseline", "--prevalences=0.1,5"], BadInput),
        (["--methods=baseline", "--widths=5"], BadInput),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_trained(folder, more, error):
    with pytest.raises(error):
        call(folder, *more)
    assert not (folder / "out").exists()


def test_numbers_by_commas_are_numbers(folder):
    assert call(folder, "--seeds=0,x").exit_code == 2
    assert call(folder, "--widths=narrow").exit_code == 2


def test_a_run_that_is_not_the_benchmarks_is_named(folder, tmp_path):
    out = tmp_path / "out"
    (out / "runs" / "baseline" / "fold-1" / "seed-0").mkdir(parents=True)
    (out / "benchmark.json").write_text("{}")
    with pytest.raises(RunMismatch, match="baseline, fold 1, seed 0: not a run of a benchmark"):
        call(folder, f"--out={out}", "--methods=baseline", "--folds=1")
