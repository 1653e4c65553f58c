"""One training in a process of its own, the order on its standard input (``local.COMMAND``).

Standard input stays open as long as the benchmark lives: when it ends, for whatever reason, so does the worker.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from triplenet.benchmark.records import Failure, benchmark_folder, note
from triplenet.errors import TripleNetError
from triplenet.model import TaskCard
from triplenet.prepare.store import PreparedSet
from triplenet.training.recipe import Recipe

FAILED = 1
ORPHANED = 9


class Order(BaseModel):
    """What a worker is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepared: str
    task: TaskCard
    classes: tuple[str, ...]
    fold: int
    recipe: dict[str, JsonValue]
    run: str
    record: str
    device: str = "auto"
    deterministic: bool = False
    allow_download: bool = False
    checkpoint_every_s: float = 60.0


def execute(order: Order) -> Failure | None:
    """Train as ordered, or go on with what is there; gives why it failed, None if it did not."""
    from triplenet.training import train_recipe

    try:
        note(Path(order.record), "running")
        train_recipe(
            PreparedSet.open(order.prepared),
            order.task.task(order.classes),
            order.fold,
            Recipe.of_dump(order.recipe),
            Path(order.run),
            device=order.device,
            resume=True,
            deterministic=order.deterministic,
            track=(),
            allow_download=order.allow_download,
            checkpoint_every_s=order.checkpoint_every_s,
        )
    except TripleNetError as error:
        failure = Failure.of(error, benchmark_folder(Path(order.run)), Path(order.prepared))
        note(Path(order.record), "failed", failure)
        return failure
    note(Path(order.record), "complete")
    return None


def main() -> None:
    """Read the order, execute it, and leave with 0, or 1 if it failed."""
    order = Order.model_validate_json(_line())
    threading.Thread(target=_leave_with_the_benchmark, daemon=True).start()
    sys.exit(FAILED if execute(order) is not None else 0)


def _line() -> bytes:
    """The first line of standard input, unbuffered: a thread that waits in a buffer would trouble Python's end."""
    found = b""
    while not found.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            break
        found += part
    return found


def _leave_with_the_benchmark() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
