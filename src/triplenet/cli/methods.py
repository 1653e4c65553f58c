"""``triplenet methods``: what can be trained and compared."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from triplenet import catalog
from triplenet.cli import console
from triplenet.errors import BadMethod, MissingExtra

EXPLANATIONS = {"grad-cam": "Grad-CAM", "cam": "CAM", "abn-map": "ABN map", "attention": "attention map"}


def methods(json: console.Json = False) -> None:
    """List the methods of the paper's tables and of installed packages: parameters for two classes, input, labels.

    With --json also the terms of the loss and the options of each network; the options need torch and are null
    without it.
    """
    if json:
        console.print_json({"methods": [asdict(method) | _options(method) for method in catalog.METHODS.values()]})
        return
    from rich.table import Table

    table = Table(
        "method", "row in the tables", "parameters", "input", "labels", "explanation", box=None, pad_edge=False
    )
    table.columns[2].justify = "right"
    for method in catalog.METHODS.values():
        table.add_row(
            method.name,
            method.row or f"({method.package})",
            f"{method.parameters:,}",
            "frames" if method.dimensions == 3 else "slice" if method.views == 1 else "slice, twice",
            "finding, mask" if method.needs_masks else "finding",
            EXPLANATIONS[method.explanation],
        )
    console.out.print(table)


def _options(method: catalog.Method) -> dict[str, Any]:
    from triplenet import networks

    try:
        return {"options": networks.options_model(method.name)().model_dump(mode="json")}
    except (MissingExtra, BadMethod):
        return {"options": None}
