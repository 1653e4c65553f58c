"""Programs that follow a training while it runs: TensorBoard and MLflow, each only where it is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from triplenet.errors import MissingExtra, OutputFailed
from triplenet.files import write_text
from triplenet.training.recipe import Recipe
from triplenet.training.run import RunInfo
from triplenet.training.state import Epoch
from triplenet.training.tensorboard_events import EventFile

Tracker = Literal["tensorboard", "mlflow"]
TRACKERS: tuple[Tracker, ...] = ("tensorboard", "mlflow")
TENSORBOARD = "tensorboard"
"""The folder in the run."""
MLFLOW = "mlflow.txt"
"""The file in the run that names MLflow's."""
logger = logging.getLogger(__name__)
OnEpoch = Callable[[Epoch], None]


def choose_trackers(names: Sequence[Tracker] | None) -> tuple[Tracker, ...]:
    """The programs that will follow; by default TensorBoard where it is installed.

    :raises MissingExtra: one that was asked for is not installed
    """
    if names is None:
        return ("tensorboard",) if find_spec("tensorboard") is not None else ()
    for name in names:
        if find_spec(name) is None:
            raise MissingExtra(f"{name} is not installed", do="pip install 'triplenet[track]'")
    return tuple(names)


@contextmanager
def open_trackers(
    names: Sequence[Tracker], out: Path, info: RunInfo, recipe: Recipe, done: int
) -> Iterator[tuple[OnEpoch, ...]]:
    """What to call after each epoch.

    :param done: epochs that a resumed run has already
    :raises OutputFailed: MLflow's server refuses
    """
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(_tensorboard(out, done) if name == "tensorboard" else _mlflow(out, info, recipe))
            for name in names
        )


def scalars(row: Epoch) -> dict[str, float]:
    """The numbers of an epoch by the names that trackers group by."""
    values = {f"loss/{name}": value for name, value in row.losses.items()}
    values |= {
        "training/accuracy": row.training_accuracy,
        "training/learning_rate": row.learning_rate,
        "validation/accuracy": row.validation_accuracy,
        "validation/loss": row.validation_loss,
        "seconds": row.seconds,
    }
    optional = {"training/lambda": row.contrastive_weight, "validation/auc": row.validation_auc}
    return values | {name: value for name, value in optional.items() if value is not None}


@contextmanager
def _tensorboard(out: Path, done: int) -> Iterator[OnEpoch]:
    # Epochs after the state that is gone on from come again: TensorBoard then forgets the first ones.
    with EventFile(out / TENSORBOARD, done) as events:
        yield lambda row: events.add(row.epoch, scalars(row))


@contextmanager
def _mlflow(out: Path, info: RunInfo, recipe: Recipe) -> Iterator[OnEpoch]:
    import mlflow
    from mlflow.exceptions import MlflowException

    identity = out / MLFLOW
    earlier = identity.read_text(encoding="utf-8").strip() if identity.is_file() else None
    try:
        with mlflow.start_run(run_id=earlier, run_name=f"{info.method}-fold{info.fold}") as run:
            if earlier is None:
                mlflow.log_params({"method": info.method, "task": info.task.name, "fold": info.fold})
                mlflow.log_dict(recipe.shown(), "recipe.json")
                write_text(identity, run.info.run_id + "\n")

            def follow(row: Epoch) -> None:
                try:
                    mlflow.log_metrics(scalars(row), step=row.epoch)
                except MlflowException as error:  # a server that is away for a while costs its points, not the training
                    logger.warning("MLflow did not take epoch %d: %s", row.epoch, error)

            yield follow
    except MlflowException as error:
        text = str(error).partition("\n")[0]
        raise OutputFailed(f"MLflow refused ({text})", do="look at MLFLOW_TRACKING_URI, or train without it") from error
