"""A toy cohort, and settings small enough that a training takes a second."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from toy_prepared import write_toy
from triplenet.benchmark import make_plan

TASK_FILE = (
    'name = "toy"\ntitle = "spot or none"\nclasses = ["none", "spot"]\n[findings]\nnone = "none"\nspot = "spot"\n'
)
SMALL = (
    "encoder.weights=none",
    "augmentation.crop=32",
    "training.batch=4",
    "training.epochs=2",
    "decovnet:network.grids=[[2, 4, 4], [1, 2, 2], [1, 1, 1]]",
)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A prepared set with frames, its task, and a way to plan and to command a benchmark of the smallest method."""
    from toy_prepared import TASK

    folder = tmp_path_factory.mktemp("toy")
    prepared = write_toy(folder / "set", ("none", "spot") * 12, size=40, frames=4)
    (folder / "task.toml").write_text(TASK_FILE)

    def plan(methods=("decovnet",), settings=(), folds=(1,), **more):
        return make_plan(prepared, TASK, methods, recipe="quick", settings=[*SMALL, *settings], folds=folds, **more)

    def command(out, *more, methods="decovnet", folds="1", settings=()):
        sets = [f"--set={setting}" for setting in (*SMALL, *settings)]
        named = [
            f"--task={folder / 'task.toml'}",
            f"--methods={methods}",
            f"--folds={folds}",
            "--recipe=quick",
            "--no-figures",
            "--map-patients=0",
        ]
        return ["benchmark", str(folder / "set"), f"--out={out}", *named, *sets, *more]

    return SimpleNamespace(folder=folder, prepared=prepared, task=TASK, plan=plan, command=command)
