"""``triplenet verify``: is this model file whole, and what is it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triplenet import catalog
from triplenet.cli import console


def verify(
    model: Annotated[Path, typer.Argument(help="The model file, .safetensors.")],
    json: console.Json = False,
) -> None:
    """Read a model file to its end, compare it with its checksum, and say what it is."""
    from triplenet.model import verify_model

    card = verify_model(model)
    checked = card.tensors_sha256 is not None
    if json:
        console.print_json({"model": str(model), "checksum": checked} | card.model_dump(mode="json"))
        return
    from rich.table import Table
    from rich.text import Text

    method = catalog.METHODS.get(card.method)
    frames = f", {card.frames} frames" if card.frames else ""
    rows = {
        "method": card.method if method is None else f"{method.title} ({card.method})",
        "task": f"{card.task.title or card.task.name}",
        "classes": ", ".join(f"{name}*" if name in card.task.positive else name for name in card.classes)
        + ("   * counts as disease" if card.task.positive else ""),
        "window": f"{card.window_hu[0]:g} to {card.window_hu[1]:g} HU",
        "input": f"{card.dimensions}D{frames}, {card.crop} x {card.crop} out of {card.size} x {card.size} pixels",
        "trained on": f"data {card.data_sha256[:12]}, fold {card.fold}",
        "weights of": "the last epoch" if card.epoch is None else f"epoch {card.epoch + 1}",
        "validation": ", ".join(f"{key} {value:.3f}" for key, value in card.validation.items() if value is not None),
        "made": f"{card.created}, " + ", ".join(f"{name} {version}" for name, version in card.versions.items()),
        "file": "whole, checksum right" if checked else "whole; it carries no checksum",
    }
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in rows.items():
        table.add_row(key, Text(value))
    console.out.print(table)
    console.out.print(card.intended_use, markup=False)
