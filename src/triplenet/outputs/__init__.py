"""A result in the formats others read."""

from triplenet.outputs.batch import WrittenResult, predict_batch
from triplenet.outputs.result_folder import FORMATS, check_formats, discard, discard_others, write, write_refusal
from triplenet.outputs.summary import Summary

__all__ = [
    "FORMATS",
    "Summary",
    "WrittenResult",
    "check_formats",
    "discard",
    "discard_others",
    "predict_batch",
    "write",
    "write_refusal",
]
