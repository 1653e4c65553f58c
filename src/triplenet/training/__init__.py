"""Recipe -> run: augmentation on the device, the loop, checkpoints. Importing this package does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triplenet.training.recipe import PRESETS, Recipe, load_recipe
from triplenet.training.run import Predictions, Run, RunInfo, open_run

if TYPE_CHECKING:
    from triplenet.training.fit import train

__all__ = ["PRESETS", "Predictions", "Recipe", "Run", "RunInfo", "load_recipe", "open_run", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from triplenet.training.fit import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
