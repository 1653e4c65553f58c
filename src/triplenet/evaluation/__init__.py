"""Confusion matrices, metrics, the paper's columns, intervals, figures."""

from triplenet.evaluation.metrics import Metrics, confusion, paper_columns, textbook_metrics

__all__ = ["Metrics", "confusion", "paper_columns", "textbook_metrics"]
