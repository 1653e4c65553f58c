"""What tells one training of a cohort from another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Job:
    """One training."""

    method: str
    fold: int
    seed: int

    @property
    def path(self) -> Path:
        """Of the run, in the folder of runs."""
        return Path(self.method, f"fold-{self.fold}", f"seed-{self.seed}")

    def __str__(self) -> str:
        return f"{self.method}, fold {self.fold}, seed {self.seed}"
