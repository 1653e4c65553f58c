"""Confusion matrices, metrics, the paper's columns, intervals, figures; a run or the runs of a benchmark evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.evaluation.metrics import Metrics, confusion, paper_columns, textbook_metrics
from triplenet.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from triplenet.evaluation.single_run import Evaluation, evaluate
else:
    __getattr__ = lazy_exports(__name__, {"Evaluation": "evaluation.single_run", "evaluate": "evaluation.single_run"})

__all__ = ["Evaluation", "Metrics", "confusion", "evaluate", "paper_columns", "textbook_metrics"]
