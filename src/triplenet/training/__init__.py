"""Recipe -> run: augmentation on the device, the loop, checkpoints. Importing this package does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.lazy_exports import lazy_exports
from triplenet.training.recipe import PRESETS, Recipe, load_recipe
from triplenet.training.run import Predictions, Run, RunInfo, open_run

if TYPE_CHECKING:
    from triplenet.training.fit import train_recipe
    from triplenet.training.trainings import train, train_seeds
else:
    __getattr__ = lazy_exports(
        __name__,
        {"train_recipe": "training.fit", "train": "training.trainings", "train_seeds": "training.trainings"},
    )

__all__ = [
    "PRESETS",
    "Predictions",
    "Recipe",
    "Run",
    "RunInfo",
    "load_recipe",
    "open_run",
    "train",
    "train_recipe",
    "train_seeds",
]
