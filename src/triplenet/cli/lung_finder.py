"""What ``--lung-by`` may say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from triplenet.prepare.found_lungs import LungBy


def lung_finder(text: str) -> LungBy:
    """What finds the lung, checked before anything is read.

    :raises MissingExtra: the package is not installed
    """
    if text == "thresholds":
        return "thresholds"
    if text != "lungmask":
        raise typer.BadParameter("choose thresholds or lungmask", param_hint="--lung-by")
    from triplenet.prepare.lung_network import require_package

    require_package()
    return "lungmask"
