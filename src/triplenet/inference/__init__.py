"""Model and scan -> result: the slice, the class probabilities, the heat map and what goes with them."""

from triplenet.catalog import INTENDED_USE
from triplenet.inference.prediction import BatchItem, load_for_use, predict, predict_all, refusal
from triplenet.inference.result import Record, Refusal, Result

__all__ = [
    "INTENDED_USE",
    "BatchItem",
    "Record",
    "Refusal",
    "Result",
    "load_for_use",
    "predict",
    "predict_all",
    "refusal",
]
