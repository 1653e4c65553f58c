"""``triplenet demo``: the whole way on synthetic patients, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet.cli import console


def demo(
    out: Annotated[Path, typer.Option(help="The folder to make.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=36, max=2000, help="Synthetic patients.")] = 72,
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="Of each training.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same demo.")] = 0,
    json: console.Json = False,
) -> None:
    """Phantom cohort as DICOM, prepared set, a benchmark of two methods, a new scan explained, one report.

    A few minutes on two cores; no data and no network needed.
    """
    from triplenet.demo import run

    say = console.say if not json else lambda _text: None
    with console.steps(quiet=json) as advance:
        made = run(out, patients=patients, epochs=epochs, seed=seed, say=say, on_progress=advance)
    if json:
        console.print_json(made.as_dict())
    else:
        console.out.print(f"The report: {made.report.resolve()}", markup=False)
