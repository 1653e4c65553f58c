"""``triplenet train`` as a call: one method on one fold of a prepared set, with one seed or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from triplenet.cohort.tasks import load_task
from triplenet.errors import BadRecipe
from triplenet.prepare.store import PreparedSet
from triplenet.training.distributed import distributed_context
from triplenet.training.fit import OnEpoch, train_recipe
from triplenet.training.loop import OnStep
from triplenet.training.recipe import Recipe, load_recipe
from triplenet.training.run import Run
from triplenet.training.trackers import Tracker

if TYPE_CHECKING:
    from triplenet.catalog import Task


def train(
    prepared: PreparedSet | Path | str,
    out: Path | str,
    task: Task | Path | str,
    *,
    fold: int = 1,
    method: str | None = None,
    recipe: Recipe | Path | str = "default",
    settings: Sequence[str] = (),
    encoder: Path | str | None = None,
    allow_download: bool = False,
    device: str = "auto",
    deterministic: bool = False,
    stream: bool | None = None,
    track: Sequence[Tracker] | None = None,
    resume: bool = False,
    restart_schedule: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Train one method on one fold and write the run into the folder ``out``.

    :param prepared: opened, or its folder, which is then compared with its checksums
    :param task: a name (``binary``), a TOML file, or the task itself
    :param fold: which of the three rotations
    :param method: by default what the recipe names
    :param recipe: ``default``, ``quick``, ``paper``, a TOML file, or the recipe itself
    :param settings: ``section.key=value`` each
    :param encoder: the encoder's first weights: a file, ``imagenet``, or ``none`` for random ones

    The other parameters and the errors are those of ``fit.train_recipe``, which this calls.
    """
    chosen = load_recipe(recipe, method=method, settings=settings, encoder=encoder)
    with distributed_context(device) as team:
        return train_recipe(
            PreparedSet.of(prepared, verify=team.is_main),
            load_task(task),
            fold,
            chosen,
            out,
            device=device,
            resume=resume,
            restart_schedule=restart_schedule,
            deterministic=deterministic,
            stream=stream,
            track=track,
            on_epoch=on_epoch,
            on_step=on_step,
            allow_download=allow_download,
        )


class TrainingOptions(TypedDict, total=False):
    """What ``train`` takes beside its recipe."""

    fold: int
    allow_download: bool
    device: str
    deterministic: bool
    stream: bool | None
    track: Sequence[Tracker] | None
    resume: bool
    restart_schedule: bool
    on_epoch: OnEpoch | None
    on_step: OnStep | None


def train_seeds(
    prepared: PreparedSet | Path | str,
    out: Path | str,
    task: Task | Path | str,
    seeds: Sequence[int],
    *,
    method: str | None = None,
    recipe: Recipe | Path | str = "default",
    settings: Sequence[str] = (),
    encoder: Path | str | None = None,
    on_run: Callable[[Run], None] = lambda _run: None,
    **options: Unpack[TrainingOptions],
) -> tuple[Run, ...]:
    """The same training with several seeds, a run each: ``out/seed-0``, ``out/seed-1``, ...

    :param on_run: called with each run as it is finished
    :param options: as ``train`` takes them
    :raises BadRecipe: seeds that are not different whole numbers of 0 or more; otherwise as ``train``
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise BadRecipe("seeds are different whole numbers, 0 or more", where=", ".join(map(str, seeds)) or None)
    first = load_recipe(recipe, method=method, settings=settings, encoder=encoder)
    recipes = {seed: load_recipe(first, settings=[f"training.seed={seed}"]) for seed in seeds}
    done = []
    with distributed_context(options.get("device", "auto")) as team:
        opened, chosen_task = PreparedSet.of(prepared, verify=team.is_main), load_task(task)
        for seed, chosen in recipes.items():
            run = train(opened, Path(out) / f"seed-{seed}", chosen_task, recipe=chosen, **options)
            done.append(run)
            if team.is_main:
                on_run(run)
    return tuple(done)
