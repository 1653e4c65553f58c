"""Model and scan -> result: the slice, the class probabilities, the heat map and what goes with them."""

from triplenet.catalog import INTENDED_USE
from triplenet.inference.classifier import BatchItem, Classifier, predict, refusal
from triplenet.inference.options import Options, OptionValues
from triplenet.inference.result import Record, Refusal, Result
from triplenet.inference.runtime import Runtime, load_runtime
from triplenet.inference.scan_request import ScanRequest
from triplenet.inference.seen import Keep

__all__ = [
    "INTENDED_USE",
    "BatchItem",
    "Classifier",
    "Keep",
    "OptionValues",
    "Options",
    "Record",
    "Refusal",
    "Result",
    "Runtime",
    "ScanRequest",
    "load_runtime",
    "predict",
    "refusal",
]
