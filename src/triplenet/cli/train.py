"""``triplenet train``: one method on one fold of a prepared set -> a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from triplenet.catalog import PAPERS_METHODS, TASKS
from triplenet.cli import console
from triplenet.cli.preparation_notes import say_notes

if TYPE_CHECKING:
    from triplenet.training import Run, RunInfo
    from triplenet.training.state import Epoch
    from triplenet.training.trackers import Tracker
    from triplenet.training.trainings import TrainingOptions

Follower = tuple[Callable[["Epoch"], None], Callable[[int, int, int], None]]
LOG_EVERY_S = 60.0


def train(
    prepared: Annotated[Path, typer.Argument(help="The prepared set's folder.")],
    out: Annotated[Path, typer.Option(help="The run's folder to make.")],
    task: Annotated[str, typer.Option(help=f"One of {', '.join(TASKS)}, or a TOML file.")],
    fold: Annotated[int, typer.Option(min=1, max=3, help="Which of the three rotations.")] = 1,
    method: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(PAPERS_METHODS)}, or an installed one; by default what the recipe names."
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="default, quick, paper, or a TOML file.")] = "default",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="A recipe setting; may be repeated.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="The encoder's first weights: a file, imagenet, or none for random ones.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch ImageNet weights from torchvision's address if need be.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, or cuda.")] = "auto",
    seeds: Annotated[
        str | None, typer.Option(help="Several trainings, by commas: OUT/seed-0, OUT/seed-1, ...", metavar="0,1,2")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits on a GPU too, more slowly.")
    ] = False,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Read each batch when it is due; by default if memory is short."),
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="tensorboard, mlflow, both by commas, or none; tensorboard where installed.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT, or begin it.")] = False,
    restart_schedule: Annotated[
        bool,
        typer.Option(
            "--restart-schedule",
            help="With --resume: train on for training.epochs, lambda and learning rate from the beginning.",
        ),
    ] = False,
    json: console.Json = False,
) -> None:
    """Train one method on one fold. A run that was stopped goes on with --resume, to the same result.

    Several processes or machines train one network together under torchrun: torchrun --nproc-per-node 2 -m triplenet
    train ...
    """
    from triplenet.prepare import PreparedSet
    from triplenet.training import load_recipe, train_seeds
    from triplenet.training import train as train_one

    if restart_schedule and not resume:
        raise typer.BadParameter("it goes with --resume", param_hint="--restart-schedule")
    numbers = None if seeds is None else _seeds(seeds)
    trackers = _trackers(track)
    chosen = load_recipe(recipe, method=method, settings=settings or (), encoder=encoder)
    main = console.is_main()
    opened = PreparedSet.open(prepared, verify=main)
    if main:
        say_notes(opened)
    done: list[dict[str, object]] = []

    def on_run(run: Run) -> None:
        done.append({"run": str(run.folder)} | run.info.model_dump(mode="json"))
        if not json:
            _say(run.info, run.folder)

    with follow(chosen.training.epochs, quiet=json or not main) as (on_epoch, on_step):
        options: TrainingOptions = {
            "fold": fold,
            "device": device,
            "resume": resume,
            "restart_schedule": restart_schedule,
            "deterministic": deterministic,
            "stream": stream,
            "track": trackers,
            "allow_download": allow_download,
            "on_epoch": on_epoch,
            "on_step": on_step,
        }
        if numbers is None:
            run = train_one(opened, out, task, recipe=chosen, **options)
            if main:
                on_run(run)
        else:
            train_seeds(opened, out, task, numbers, recipe=chosen, on_run=on_run, **options)
    if json and main:
        console.print_json(done[0] if numbers is None else {"runs": done})


def _say(info: RunInfo, folder: Path) -> None:
    auc = info.validation["auc"]
    scores = f"validation accuracy {info.validation['accuracy']:.3f}" + ("" if auc is None else f", AUC {auc:.3f}")
    console.out.print(
        f"{info.method}, fold {info.fold}: {info.epochs} epochs in {_duration(info.seconds or 0)}; "
        f"kept epoch {(info.best_epoch or 0) + 1}: {scores}",
        markup=False,
    )
    console.out.print(f"written to {folder}; look at it with triplenet evaluate {folder}", markup=False)


def _seeds(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise typer.BadParameter(f"{text!r} is not different whole numbers by commas", param_hint="--seeds")
    return numbers


def _trackers(text: str | None) -> tuple[Tracker, ...] | None:
    from triplenet.training.trackers import TRACKERS

    if text is None:
        return None
    names = [] if text == "none" else [part.strip() for part in text.split(",")]
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(TRACKERS)}, none", param_hint="--track")
    return tuple(name for name in TRACKERS if name in names)


@contextmanager
def follow(epochs: int, *, quiet: bool = False) -> Iterator[Follower]:
    """Follow a training: a bar with losses and time left on a terminal, a line now and then in a log.

    Yields ``on_epoch`` and ``on_step`` as ``training.train`` takes them.
    """
    if quiet:
        yield lambda _row: None, lambda _epoch, _done, _of: None
    elif console.err.is_terminal:
        yield from _bar(epochs)
    else:
        yield from _log(epochs)


def _bar(epochs: int) -> Iterator[Follower]:
    from rich.console import Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
    )
    state = Text(no_wrap=True, overflow="ellipsis")
    with Live(Group(bar, state), console=console.err, transient=True):

        def on_step(epoch: int, done: int, of: int) -> None:
            position = epoch * of + done
            if bar.tasks and position < bar.tasks[0].completed:  # the next seed's training
                bar.remove_task(bar.tasks[0].id)
            if not bar.tasks:  # a resumed run begins somewhere: its speed counts from there
                bar.add_task("", total=epochs * of, completed=position)
            bar.update(bar.tasks[0].id, completed=position, description=f"epoch {epoch + 1}/{epochs}")

        def on_epoch(row: Epoch) -> None:
            state.plain = summary(row)

        yield on_epoch, on_step


def _log(epochs: int) -> Iterator[Follower]:
    said = [monotonic()]

    def on_epoch(row: Epoch) -> None:
        if monotonic() - said[-1] >= LOG_EVERY_S or row.epoch + 1 == epochs:
            said[-1] = monotonic()
            console.say(f"epoch {row.epoch + 1}/{epochs}: {summary(row)}")

    yield on_epoch, lambda _epoch, _done, _of: None


def summary(row: Epoch) -> str:
    """The losses, lambda and validation accuracy of an epoch in a line."""
    terms = [f"{name} {value:.3f}" for name, value in row.losses.items() if name != "total"]
    parts = [f"loss {row.losses['total']:.3f}" + (f" ({', '.join(terms)})" if len(terms) > 1 else "")]
    if row.contrastive_weight is not None:
        parts.append(f"lambda {row.contrastive_weight:.3f}")
    return "; ".join([*parts, f"validation accuracy {row.validation_accuracy:.3f}"])


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
